//! Approximate search over one or more columns: a walk through each one's graph, and the best of all re-scored exactly.
//!
//! The plan of a column:
//!
//! - *walk*, where its graph is in memory. The walk keeps the `effort` best rows by estimate. Under a filter it keeps as
//!   many more as the filter leaves out, and drops what is not allowed afterwards.
//! - *exact*, where that reads less, in codes scanned: where few rows are allowed or they lie together, as those of whole
//!   videos do, few of those that the walk found are allowed, or there is no graph. So a filter costs time, not recall.
//! - *codes*, where its graph is not in memory: the 1-bit codes of all rows are scanned and the rows with the best estimates
//!   scored (`coded`), so many for each row of effort (`coded_rows`). Reads are bounded by that.
//!
//! A graph of a file is read whole before it is walked, in the background and after the first answer, if it fits in memory
//! (`graph_memory`): a walk touches it everywhere, and reading here and there is what disks do worst. Whatever else an
//! answer reads goes before, for it would wait behind the graph.
//!
//! Several columns share one effort. Each is walked with less than all of it, for it holds a part of the answer only; where
//! all that a walk found is among the `effort` best of all columns, there may be more, and it is walked again with all of
//! it. The best estimates of all are scored together, so reads don't grow with the number of columns. What is found does
//! not depend on the number of threads, for what is walked again follows from all first walks.
//!
//! Scores are exact whatever the way; what is approximate is that a row can be missed.
//!
//! Where several kinds of evidence make up a score, the rows that are best on one are not those that are best on all. Then
//! more rows of each are wanted than a walk keeps. `passed_by` gives the rows that the walk compared on its way as well: it
//! has their estimates anyway.

use std::cmp::Ordering;
use std::sync::Arc;

use super::best::{Best, by_score};
use super::coded::best_estimates;
use super::codes::{BLOCK_ROWS, Candidate};
use super::column::{Access, Asked, VectorColumn};
use super::graph::{Beam, Graph};
use super::graph_memory::GraphMemory;
use super::query::QueryVector;
use super::scan::{CODES_A_RESCORE, Path, Work};
use crate::catalog::row_set::RowSet;
use crate::cores;
use crate::error::Result;

/// One step of the walk costs about as much as scanning this many codes.
const CODES_A_STEP: usize = 240;
/// Scanning four codes in the pieces that a filter leaves costs about as much as scanning seven in a row.
const CODES_IN_PIECES: usize = 4;
const CODES_IN_A_ROW: usize = 7;
/// Rows are scored whose estimate is at most this far below the k-th best, but no more of them than the effort. It is two
/// standard errors of a 4-bit estimate of vectors with 384 dimensions.
const MARGIN: f32 = 0.01;
/// Of k rows that are asked for at least `k + k / 2 + FEWEST_MORE` are scored.
const FEWEST_MORE: usize = 2;
/// Where rows are found by their 1-bit codes, this many divided by the dimension are scored for each row of effort: eight at
/// 384 dimensions. With fewer components estimates are further off, so more rows are needed.
const CODED_COMPONENTS: usize = 3072;
/// At least this many are scored for each row of effort, whatever the dimension.
const FEWEST_CODED_ROWS: usize = 4;
/// Under a filter a walk keeps as many rows as it takes on average for the effort to be allowed ones, and this many standard
/// deviations more. Without those, every second search would find too few and fall back to being exact.
const DEVIATIONS: f64 = 3.0;
/// A walk through one of n columns keeps `effort / n^SHARING` rows: a smaller graph takes less effort to the same recall,
/// but not as much less as it is smaller.
const SHARING: f64 = 0.25;
/// How many rows are asked of `passed_by` for each that the search itself would keep.
pub(crate) const PASSED: usize = 8;

/// What some columns found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Near {
    /// Which column, which row of it, and the exact cosine; by score descending, then column, then row ascending.
    pub best: Vec<(usize, u32, f32)>,
    /// For each column, which way it went and what it read.
    pub work: Vec<Work>,
}

/// How a column is searched.
enum Way<'a> {
    Exact,
    /// Exact, until the graph was read: what is scored then need not stay in memory.
    ExactAtFirst,
    Codes,
    Walk(&'a Graph, usize),
}

/// A column whose graph is walked, and how many nodes the walk keeps with all of the effort.
struct Walked<'a> {
    at: usize,
    asked: Asked<'a>,
    graph: &'a Graph,
    width: usize,
}

/// The allowed rows that a walk found, best estimate first, and all nodes that it came by.
struct Walk {
    found: Vec<Candidate>,
    beam: Beam,
    /// How many nodes were compared, also by a walk before.
    compared: usize,
}

/// About the k best allowed rows of all columns, with their exact cosines.
///
/// `effort` is how many rows are kept on the way, at least k: more finds more and takes longer, nearly in proportion. Equal
/// to the best of each one's `top_k` where no column has a graph or exact search is cheaper. Graphs are walked if they
/// get their bytes of `memory`.
///
/// # Errors
/// `dimension_mismatch`; `damaged` where a checksum says so or a graph makes no sense.
pub fn approximate_top_k(
    asked: &[Asked<'_>],
    query: &QueryVector,
    k: usize,
    effort: usize,
    memory: &Arc<GraphMemory>,
) -> Result<Near> {
    let near = nearest(asked, query, k, effort, memory)?;
    read_ahead(asked.iter().map(|one| one.column), memory);
    Ok(near)
}

/// Begins to read the graphs of columns in the background, where they get their bytes of `memory` and that was not begun.
pub(crate) fn read_ahead<'a>(columns: impl Iterator<Item = &'a VectorColumn>, memory: &Arc<GraphMemory>) {
    columns.filter_map(VectorColumn::graph).for_each(|graph| graph.read_ahead(memory));
}

/// What `approximate_top_k` finds, without reading graphs ahead.
fn nearest(
    asked: &[Asked<'_>],
    query: &QueryVector,
    k: usize,
    effort: usize,
    memory: &Arc<GraphMemory>,
) -> Result<Near> {
    asked.iter().try_for_each(|one| one.column.check(query))?;
    let effort = effort.max(k);
    let ways: Vec<Way<'_>> = asked.iter().map(|one| one.way(query, k, effort, memory)).collect();
    let mut found = Found { k, best: Vec::new(), work: vec![Work::default(); asked.len()] };
    let of_way = |wanted: fn(&Way<'_>) -> bool| -> Vec<(usize, Asked<'_>)> {
        asked.iter().copied().enumerate().filter(|(at, _)| ways.get(*at).is_some_and(wanted)).collect()
    };
    found.search_exactly(&of_way(|way| matches!(way, Way::Exact)), query, Access::Mapped)?;
    found.search_exactly(&of_way(|way| matches!(way, Way::ExactAtFirst)), query, Access::Read)?;
    let coded = of_way(|way| matches!(way, Way::Codes));
    if !coded.is_empty() {
        let candidates = best_estimates(&coded, query, coded_rows(query, effort))?;
        for (at, one) in coded {
            found.note(at, Path::Codes, one.column.len());
        }
        found.settle(asked, query, &candidates, Access::Read)?;
    }
    found.walk(asked, &walked(asked, &ways), query, effort)?;
    found.best.sort_unstable_by(|a, b| by_score(&(a.1, a.2), &(b.1, b.2)).then(a.0.cmp(&b.0)));
    found.best.truncate(k);
    Ok(Near { best: found.best, work: found.work })
}

/// Rows that an approximate search comes by.
#[derive(Debug)]
pub(crate) struct Passed {
    /// For each column its rows, and which way it went.
    pub(crate) columns: Vec<(Vec<u32>, Path)>,
    /// Whether what is compared with more queries is in memory, as far as is known.
    pub(crate) is_in_memory: bool,
}

/// The rows that a search with this effort comes by, those of all columns that are closest to the query by their codes. They
/// are not scored, and `passed` times as many as the search itself keeps. Where a graph is not in memory they are only
/// those that it keeps: to look closer at any other would be a read. Graphs are not read ahead: see [`read_ahead`].
///
/// # Errors
/// As `approximate_top_k`.
pub(crate) fn passed_by(
    asked: &[Asked<'_>],
    query: &QueryVector,
    effort: usize,
    passed: usize,
    memory: &Arc<GraphMemory>,
) -> Result<Passed> {
    asked.iter().try_for_each(|one| one.column.check(query))?;
    let ways: Vec<Way<'_>> = asked.iter().map(|one| one.way(query, effort, effort, memory)).collect();
    if ways.iter().any(|way| matches!(way, Way::ExactAtFirst | Way::Codes)) {
        let Near { best, work } = nearest(asked, query, effort, effort, memory)?;
        return Ok(Passed { columns: rows_by_column(&work, best.into_iter()), is_in_memory: false });
    }
    let mut found = Found { k: effort, best: Vec::new(), work: vec![Work::default(); asked.len()] };
    let most = effort.saturating_mul(passed);
    let is_walked = |at: &usize| matches!(ways.get(*at), Some(Way::Walk(..)));
    let mut others: Vec<(usize, Asked<'_>)> =
        asked.iter().copied().enumerate().filter(|(at, _)| !is_walked(at)).collect();
    let mut candidates = Vec::new();
    let walked = walked(asked, &ways);
    for (walk, one) in found.walks(&walked, query, effort)?.into_iter().zip(&walked) {
        if found.is_short(&walk, effort, walked.len()) {
            others.push((one.at, one.asked));
        } else {
            found.note(one.at, Path::Graph, walk.compared);
            let best = walk.beam.best_compared(most, one.is_allowed()?);
            candidates.extend(best.into_iter().map(|node| (one.at, candidate(node))));
        }
    }
    // Codes of whole vectors say nothing of columns that are kept by component.
    let has_codes = |one: &(usize, Asked<'_>)| one.1.column.codes().is_some() && !one.1.column.has_vertical();
    let (coded, scored): (Vec<_>, Vec<_>) = others.into_iter().partition(has_codes);
    // By one bit a component they are further from the truth.
    let most = if coded.is_empty() { most } else { most.max(coded_rows(query, most.div_ceil(PASSED))) };
    candidates.extend(best_estimates(&coded, query, most)?);
    for (at, one) in coded {
        found.note(at, Path::Codes, one.column.len());
    }
    found.search_exactly(&scored, query, Access::Mapped)?;
    if candidates.len() > most {
        candidates.select_nth_unstable_by(most, best_first);
        candidates.truncate(most);
    }
    let rows = asked.iter().map(|one| one.column.rows()).collect::<Result<Vec<_>>>()?;
    let row_of =
        |(at, candidate): (usize, Candidate)| Some((at, rows.get(at)?.row(candidate.position)?, candidate.estimate));
    let passed = candidates.into_iter().filter_map(row_of).chain(found.best);
    Ok(Passed { columns: rows_by_column(&found.work, passed), is_in_memory: true })
}

/// For each column its rows among `found`, and which way it went.
fn rows_by_column(work: &[Work], found: impl Iterator<Item = (usize, u32, f32)>) -> Vec<(Vec<u32>, Path)> {
    let mut columns: Vec<(Vec<u32>, Path)> = work.iter().map(|work| (Vec::new(), work.path)).collect();
    for (at, row, _) in found {
        columns.get_mut(at).into_iter().for_each(|(rows, _)| rows.push(row));
    }
    columns
}

/// The columns whose graphs are walked.
fn walked<'a>(asked: &[Asked<'a>], ways: &[Way<'a>]) -> Vec<Walked<'a>> {
    let walked = asked.iter().zip(ways).enumerate().filter_map(|(at, (&asked, way))| match *way {
        Way::Walk(graph, width) => Some(Walked { at, asked, graph, width }),
        Way::Exact | Way::ExactAtFirst | Way::Codes => None,
    });
    walked.collect()
}

/// How many rows a walk through one of `columns` keeps.
fn share(effort: usize, columns: usize) -> usize {
    (effort as f64 / (columns as f64).powf(SHARING)).ceil() as usize
}

/// A node with its estimate.
fn candidate((position, estimate): (u32, f32)) -> Candidate {
    Candidate { position, estimate, a: 0.0, b: 0.0 }
}

/// Best estimate first, then by column and position.
fn best_first((at, a): &(usize, Candidate), (other, b): &(usize, Candidate)) -> Ordering {
    b.estimate.total_cmp(&a.estimate).then((at, a.position).cmp(&(other, b.position)))
}

impl VectorColumn {
    /// [`approximate_top_k`] of one column, within the memory for graphs of this process.
    ///
    /// # Errors
    /// As `approximate_top_k`.
    pub fn approximate_top_k(
        &self,
        query: &QueryVector,
        k: usize,
        effort: usize,
        allowed: Option<&RowSet>,
    ) -> Result<Vec<(u32, f32)>> {
        self.approximate_top_k_with_work(query, k, effort, allowed).map(|(best, _)| best)
    }

    /// `approximate_top_k`, and which way it went and what it read.
    ///
    /// # Errors
    /// As `approximate_top_k`.
    pub fn approximate_top_k_with_work(
        &self,
        query: &QueryVector,
        k: usize,
        effort: usize,
        allowed: Option<&RowSet>,
    ) -> Result<(Vec<(u32, f32)>, Work)> {
        let asked = Asked { column: self, allowed };
        let near = approximate_top_k(&[asked], query, k, effort, GraphMemory::of_process())?;
        let best = near.best.into_iter().map(|(_, row, score)| (row, score)).collect();
        Ok((best, near.work.into_iter().next().unwrap_or_default()))
    }
}

/// How many rows are scored where they are found by their 1-bit codes.
fn coded_rows(query: &QueryVector, effort: usize) -> usize {
    effort.saturating_mul((CODED_COMPONENTS / query.dimension().max(1)).max(FEWEST_CODED_ROWS))
}

impl<'a> Asked<'a> {
    fn way(&self, query: &QueryVector, k: usize, effort: usize, memory: &Arc<GraphMemory>) -> Way<'a> {
        let Some(graph) = self.column.graph().filter(|_| k > 0) else { return Way::Exact };
        if graph.is_ready(memory) {
            return self.width(effort).map_or(Way::Exact, |width| Way::Walk(graph, width));
        }
        let coded = coded_rows(query, effort);
        let count = self.allowed.map_or(self.column.len(), |allowed| allowed.count() as usize);
        // Codes of whole vectors say nothing of columns that are kept by component (`vertical`).
        let is_exact_better =
            count <= coded || coded.saturating_mul(CODES_A_RESCORE) >= self.column.len() || self.column.has_vertical();
        if is_exact_better { Way::ExactAtFirst } else { Way::Codes }
    }

    /// How many rows the walk must keep so that about `effort` of them are allowed; `None` if exact search is cheaper.
    fn width(&self, effort: usize) -> Option<usize> {
        let Some(allowed) = self.allowed else {
            return (effort.saturating_mul(CODES_A_STEP) < self.column.len()).then_some(effort);
        };
        let (count, universe) = (allowed.count() as usize, allowed.universe() as usize);
        let left_out = 1.0 - count as f64 / universe.max(1) as f64;
        let spare = (DEVIATIONS * (effort as f64 * left_out).sqrt()).ceil() as usize;
        let width = effort.saturating_add(spare).saturating_mul(universe).checked_div(count)?;
        // Few rows are scored; of many the codes are scanned, in pieces where the filter leaves such: about a block more for each.
        let held = count.saturating_mul(self.column.len()) / universe.max(1);
        let in_pieces = held + allowed.run_count(0..allowed.universe()) * BLOCK_ROWS;
        let exact = self.column.len().min(in_pieces * CODES_IN_A_ROW / CODES_IN_PIECES).min(count * CODES_A_RESCORE);
        (width.saturating_mul(CODES_A_STEP) < exact).then_some(width)
    }
}

impl Walked<'_> {
    /// A walk with so much of the effort.
    fn walk(&self, query: &QueryVector, share: usize, effort: usize) -> Result<Walk> {
        let width = self.width.saturating_mul(share).div_ceil(effort);
        let beam = self.graph.walk(self.asked.column.kernels(), &self.graph.query(query.components()), width)?;
        let is_allowed = self.is_allowed()?;
        let found = beam.found().filter(|(position, _)| is_allowed(*position)).map(candidate).collect();
        let compared = beam.compared();
        Ok(Walk { found, beam, compared })
    }

    /// Whether the row at a position may be found.
    fn is_allowed(&self) -> Result<impl Fn(u32) -> bool> {
        let Asked { column, allowed } = self.asked;
        let rows = column.rows()?;
        Ok(move |position| allowed.is_none_or(|allowed| rows.row(position).is_some_and(|row| allowed.contains(row))))
    }
}

/// What was found so far.
struct Found {
    k: usize,
    best: Vec<(usize, u32, f32)>,
    work: Vec<Work>,
}

impl Found {
    fn note(&mut self, at: usize, path: Path, coded_rows: usize) {
        self.work.get_mut(at).into_iter().for_each(|work| *work = Work { path, coded_rows, scored_rows: 0 });
    }

    fn take(&mut self, at: usize, best: Vec<(u32, f32)>) {
        self.best.extend(best.into_iter().map(|(row, score)| (at, row, score)));
    }

    fn search_exactly(&mut self, asked: &[(usize, Asked<'_>)], query: &QueryVector, many: Access) -> Result<()> {
        let search = |_, (at, one): &(usize, Asked<'_>)| {
            one.column.top_k_by(query, self.k, one.allowed, many).map(|found| (*at, found))
        };
        for (at, (best, work)) in cores::map(asked, 1, search)? {
            self.take(at, best);
            self.work.get_mut(at).into_iter().for_each(|place| *place = work);
        }
        Ok(())
    }

    /// Scores candidates of several columns.
    fn settle(
        &mut self,
        asked: &[Asked<'_>],
        query: &QueryVector,
        candidates: &[(usize, Candidate)],
        many: Access,
    ) -> Result<()> {
        for (at, one) in asked.iter().enumerate() {
            let of_column: Vec<Candidate> =
                candidates.iter().filter(|(of, _)| *of == at).map(|(_, candidate)| *candidate).collect();
            if of_column.is_empty() {
                continue;
            }
            let mut best = Best::new(self.k);
            let scored_rows = one.column.settle(query, of_column, &one.column.rows()?, &mut best, many)?;
            self.work.get_mut(at).into_iter().for_each(|work| work.scored_rows += scored_rows);
            self.take(at, best.into_sorted());
        }
        Ok(())
    }

    /// Walks the graphs of some columns, again with all of the effort where that may find more.
    fn walks(&self, walked: &[Walked<'_>], query: &QueryVector, effort: usize) -> Result<Vec<Walk>> {
        let share = share(effort, walked.len());
        let mut all = cores::map(walked, 1, |_, one| one.walk(query, share, effort))?;
        let floor = self.nth_best(all.iter().flat_map(|walk| &walk.found), effort);
        let has_more =
            |walk: &Walk| walk.found.last().is_some_and(|last| floor.is_none_or(|floor| last.estimate >= floor));
        let again: Vec<(&mut Walk, &Walked<'_>)> =
            all.iter_mut().zip(walked).filter(|(walk, _)| share < effort && has_more(walk)).collect();
        let wider = cores::map(&again, 1, |_, (_, one)| one.walk(query, effort, effort))?;
        for ((walk, _), wider) in again.into_iter().zip(wider) {
            *walk = Walk { compared: walk.compared + wider.compared, ..wider };
        }
        Ok(all)
    }

    /// Whether a walk through one of `columns` found so few rows that exact search is to look for more.
    fn is_short(&self, walk: &Walk, effort: usize, columns: usize) -> bool {
        let share = share(effort, columns);
        walk.found.len() < self.k.min(share).max(share / 2)
    }

    /// Walks the graphs of some columns and scores the best of all.
    fn walk(&mut self, asked: &[Asked<'_>], walked: &[Walked<'_>], query: &QueryVector, effort: usize) -> Result<()> {
        let (mut pooled, mut short) = (Vec::new(), Vec::new());
        for (walk, one) in self.walks(walked, query, effort)?.into_iter().zip(walked) {
            if self.is_short(&walk, effort, walked.len()) {
                short.push((one.at, one.asked));
            } else {
                self.note(one.at, Path::Graph, walk.compared);
                pooled.extend(walk.found.into_iter().map(|candidate| (one.at, candidate)));
            }
        }
        self.search_exactly(&short, query, Access::Mapped)?;
        pooled.sort_unstable_by(best_first);
        if let Some(kth) = self.nth_best(pooled.iter().map(|(_, candidate)| candidate), self.k) {
            let near = pooled.partition_point(|(_, candidate)| candidate.estimate >= kth - MARGIN);
            pooled.truncate(near.min(effort).max(self.k + self.k / 2 + FEWEST_MORE));
        }
        self.settle(asked, query, &pooled, Access::Mapped)
    }

    /// The `n`-th best of some estimates and of the scores found so far; none if there are fewer.
    fn nth_best<'a>(&self, estimates: impl Iterator<Item = &'a Candidate>, n: usize) -> Option<f32> {
        let estimates = estimates.map(|candidate| candidate.estimate);
        let mut values: Vec<f32> = estimates.chain(self.best.iter().map(|(.., score)| *score)).collect();
        let nth = n.checked_sub(1).filter(|&nth| nth < values.len())?;
        Some(*values.select_nth_unstable_by(nth, |a, b| b.total_cmp(a)).1)
    }
}

#[cfg(test)]
#[expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
