//! Exact search that reads codes instead of vectors: scan, bound, re-score.
//!
//! `top_k` goes through the column in rounds that grow fourfold. After each, the candidates with the best estimates are
//! scored, which raises the floor for the next round and drops candidates that wait; at the end those that still wait
//! are scored in the same way. Rounds and chunks have fixed sizes, so the answer never depends on the number of threads.
//!
//! A row is missed only where its score lies more than five standard errors above its estimate (see `codes`).
//!
//! `approximate` finds its candidates through a graph and scores them in the same way (`settle`).

use std::ops::Range;

use super::allowed_blocks::allowed_blocks;
use super::best::Best;
use super::codes::{BLOCK_ROWS, Candidate, CodeQuery, block_byte_len};
use super::column::{Access, CHUNK_ROWS, Codes, VectorColumn};
use super::distance::cosine;
use super::query::QueryVector;
use super::rows::Rows;
use crate::catalog::row_set::RowSet;
use crate::cores;
use crate::error::Result;

/// Rows of the first round; a multiple of `BLOCK_ROWS`.
pub(super) const FIRST_ROUND_ROWS: u32 = 4096;
/// How much longer each round is than the one before.
pub(super) const ROUND_GROWTH: u32 = 4;
/// Rows of whose codes one thread reads at a time; whole blocks.
const SCAN_ROWS: u32 = 8 * 1024;
/// How much more of those that the codes could not exclude are scored together each time. Nearly all are scored in the end, and
/// each time threads wait for each other.
const BATCH_GROWTH: usize = 16;
/// Re-scoring one row at random costs about as much as reading this many codes.
pub(super) const CODES_A_RESCORE: usize = 24;
/// Rows re-scored by one task.
const RESCORE_ROWS: usize = 64;
/// Rows at the start of a chunk whose codes tell whether the codes of the others are worth reading; whole blocks.
const PROBE_ROWS: u32 = 512;
/// More rows of a chunk than this are scored where they are mapped: reading a row costs about as much as scoring four.
const MOST_READ_ROWS: usize = 64;
/// Rows that are looked at together to choose between reading them one by one and reading through.
const GROUP_ROWS: usize = 64;
/// Reading this many vectors in a row costs about as much as one at random.
const READ_THROUGH: usize = 4;
/// Where rows are bounded component by component, those components may stay unread that add at most `floor / READ_SHARE` to
/// a score.
const READ_SHARE: f32 = 4.0;
/// Vectors that are asked for ahead of the one being scored.
const AHEAD: usize = 8;

/// Which way a search went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Path {
    /// Exact: by the codes of all rows, or the vectors where there are no codes.
    #[default]
    Exact,
    /// Exact: by the vectors of the allowed rows, which are few.
    Allowed,
    /// Approximate: by the codes of all rows, of which those with the best estimates are scored, where the graph is not
    /// in memory.
    Codes,
    /// Approximate: through the graph. Under a filter the walk is as much wider as the filter leaves out.
    Graph,
}

/// What a search had to read, for reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Which way it went.
    pub path: Path,
    /// Rows whose codes were compared.
    pub coded_rows: usize,
    /// Rows whose stored vectors were scored.
    pub scored_rows: usize,
}

impl VectorColumn {
    /// The k best allowed rows with their exact cosines, by score descending, then row ascending.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub fn top_k(&self, query: &QueryVector, k: usize, allowed: Option<&RowSet>) -> Result<Vec<(u32, f32)>> {
        self.top_k_with_work(query, k, allowed).map(|(best, _)| best)
    }

    /// `top_k`, and what it read.
    ///
    /// # Errors
    /// As `top_k`.
    pub fn top_k_with_work(
        &self,
        query: &QueryVector,
        k: usize,
        allowed: Option<&RowSet>,
    ) -> Result<(Vec<(u32, f32)>, Work)> {
        cores::awake(|| self.top_k_by(query, k, allowed, Access::Mapped))
    }

    /// `top_k_with_work`, which reaches many vectors at once in this way. Read, they cost more and don't stay in memory.
    pub(super) fn top_k_by(
        &self,
        query: &QueryVector,
        k: usize,
        allowed: Option<&RowSet>,
        many: Access,
    ) -> Result<(Vec<(u32, f32)>, Work)> {
        self.check(query)?;
        let count = self.len() as u32;
        let rows = self.rows()?;
        let mut best = Best::new(k);
        if k == 0 {
            return Ok((Vec::new(), Work::default()));
        }
        if let Some(positions) = self.few(&rows, allowed) {
            let scores = self.score_at(query, &positions, self.access(Access::Mapped))?;
            push_all(&mut best, &rows, &positions, &scores);
            let work = Work { path: Path::Allowed, coded_rows: 0, scored_rows: positions.len() };
            return Ok((best.into_sorted(), work));
        }
        let Some(codes) = self.codes().filter(|_| k.saturating_mul(CODES_A_RESCORE) < self.len()) else {
            let found = self.flat_top_k(query, k, allowed)?;
            return Ok((found, Work { scored_rows: self.len(), ..Work::default() }));
        };
        codes.section.expect(0..codes.section.len());
        let code_query = codes.coder.query(query.components());
        let mut work = Work::default();
        let mut waiting: Vec<Candidate> = Vec::new();
        let promising = (2 * k).max(32);
        let mut floor = f32::NEG_INFINITY;
        let (mut start, mut round_rows) = (0, FIRST_ROUND_ROWS);
        while start < count {
            let end = start.saturating_add(round_rows).min(count);
            waiting.extend(self.candidates(codes, &code_query, floor, start..end, &rows, allowed)?);
            work.coded_rows += (end - start) as usize;
            work.scored_rows += self.settle(query, take_best(&mut waiting, promising), &rows, &mut best, many)?;
            floor = best.bar();
            waiting.retain(|row| code_query.reaches(row.estimate, row.a, row.b, floor));
            start = end;
            round_rows = round_rows.saturating_mul(ROUND_GROWTH);
        }
        let mut batch = promising;
        while !waiting.is_empty() {
            batch = batch.saturating_mul(BATCH_GROWTH);
            work.scored_rows += self.settle(query, take_best(&mut waiting, batch), &rows, &mut best, many)?;
            floor = best.bar();
            waiting.retain(|row| code_query.reaches(row.estimate, row.a, row.b, floor));
        }
        Ok((best.into_sorted(), work))
    }

    /// Every allowed row whose exact cosine is `floor` or more, rows ascending.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub fn at_least(&self, query: &QueryVector, floor: f32, allowed: Option<&RowSet>) -> Result<Vec<(u32, f32)>> {
        self.at_least_with_work(query, floor, allowed).map(|(found, _)| found)
    }

    /// `at_least`, and what it read.
    ///
    /// # Errors
    /// As `at_least`.
    pub(crate) fn at_least_with_work(
        &self,
        query: &QueryVector,
        floor: f32,
        allowed: Option<&RowSet>,
    ) -> Result<(Vec<(u32, f32)>, Work)> {
        self.check(query)?;
        let rows = self.rows()?;
        let keep = |positions: &[u32], scores: &[f32]| -> Vec<(u32, f32)> {
            let scored = positions.iter().zip(scores).filter(|&(_, &score)| score >= floor);
            scored.filter_map(|(&position, &score)| Some((rows.row(position)?, score))).collect()
        };
        if let Some(positions) = self.few(&rows, allowed) {
            let scores = self.score_at(query, &positions, self.access(Access::Mapped))?;
            let work = Work { path: Path::Allowed, coded_rows: 0, scored_rows: positions.len() };
            return Ok((keep(&positions, &scores), work));
        }
        let is_allowed =
            |position: &u32| rows.row(*position).is_some_and(|row| allowed.is_none_or(|allowed| allowed.contains(row)));
        let vertical = if floor > 0.0 { self.vertical(query, floor / READ_SHARE)? } else { None };
        if let Some(vertical) = vertical {
            let chunk = |_, range: &Range<u32>| {
                let uppers = vertical.uppers(self.kernels(), range.clone())?;
                let reaching = range.clone().zip(uppers).filter(|(_, upper)| *upper >= floor);
                let positions: Vec<u32> = reaching.map(|(position, _)| position).filter(is_allowed).collect();
                let scores = self.score_each(query, &positions, access_of(&positions))?;
                Ok((keep(&positions, &scores), positions.len()))
            };
            return Ok(of_chunks(cores::map(&chunks(0..self.len() as u32, CHUNK_ROWS), 1, chunk)?, self.len()));
        }
        let Some(codes) = self.codes() else {
            let found = self.flat_at_least(query, floor, allowed)?;
            return Ok((found, Work { scored_rows: self.len(), ..Work::default() }));
        };
        let code_query = codes.coder.query(query.components());
        let chunk = |_, range: &Range<u32>| {
            let range = range.clone();
            let probe = range.start..range.start.saturating_add(PROBE_ROWS).min(range.end);
            let likely = self.chunk_candidates(codes, &code_query, floor, probe.clone(), &rows, allowed)?;
            if likely.len() * READ_THROUGH > probe.len() {
                let mut found = Vec::new();
                let scored_rows = range.len();
                self.score_run(query, range, Access::Mapped, |position, score| {
                    if score >= floor {
                        let row = rows.row(position);
                        let row = row.filter(|&row| allowed.is_none_or(|allowed| allowed.contains(row)));
                        found.extend(row.map(|row| (row, score)));
                    }
                })?;
                return Ok((found, scored_rows));
            }
            let candidates = self.chunk_candidates(codes, &code_query, floor, range, &rows, allowed)?;
            let positions: Vec<u32> = candidates.iter().map(|row| row.position).collect();
            let scores = self.score_each(query, &positions, access_of(&positions))?;
            Ok((keep(&positions, &scores), positions.len()))
        };
        Ok(of_chunks(cores::map(&chunks(0..self.len() as u32, CHUNK_ROWS), 1, chunk)?, self.len()))
    }

    /// How many rows the codes alone can't exclude from `floor`: the scan without the re-scoring. `None` without codes.
    ///
    /// # Errors
    /// As `at_least`.
    pub fn reach_count(&self, query: &QueryVector, floor: f32) -> Result<Option<usize>> {
        self.check(query)?;
        let Some(codes) = self.codes() else { return Ok(None) };
        let code_query = codes.coder.query(query.components());
        let all = 0..self.len() as u32;
        self.candidates(codes, &code_query, floor, all, &self.rows()?, None).map(|found| Some(found.len()))
    }

    /// The allowed positions, if they are so few that their vectors are read directly.
    fn few(&self, rows: &Rows<'_>, allowed: Option<&RowSet>) -> Option<Vec<u32>> {
        let allowed = allowed?;
        ((allowed.count() as usize).saturating_mul(CODES_A_RESCORE) < self.len())
            .then(|| allowed.iter().filter_map(|row| rows.position(row)).collect())
    }

    /// The allowed rows of `range`, which starts with a block, that can reach `floor`; ascending.
    pub(super) fn candidates(
        &self,
        codes: &Codes,
        query: &CodeQuery,
        floor: f32,
        range: Range<u32>,
        rows: &Rows<'_>,
        allowed: Option<&RowSet>,
    ) -> Result<Vec<Candidate>> {
        if range.len() <= SCAN_ROWS as usize {
            return self.chunk_candidates(codes, query, floor, range, rows, allowed);
        }
        let chunk = |_, range: &Range<u32>| self.chunk_candidates(codes, query, floor, range.clone(), rows, allowed);
        Ok(cores::map(&chunks(range, SCAN_ROWS), 1, chunk)?.concat())
    }

    fn chunk_candidates(
        &self,
        codes: &Codes,
        query: &CodeQuery,
        floor: f32,
        range: Range<u32>,
        rows: &Rows<'_>,
        allowed: Option<&RowSet>,
    ) -> Result<Vec<Candidate>> {
        let block_bytes = block_byte_len(codes.coder.words());
        let mut found = Vec::new();
        let blocks = range.start as usize / BLOCK_ROWS..(range.end as usize).div_ceil(BLOCK_ROWS);
        let mut scan = |blocks: Range<usize>| -> Result<()> {
            let bytes = codes.section.slice(blocks.start * block_bytes..blocks.end * block_bytes)?;
            (self.kernels().scan)(query, bytes, floor, (blocks.start * BLOCK_ROWS) as u32, &mut found);
            Ok(())
        };
        match allowed {
            // Blocks without an allowed row are not read.
            Some(allowed) => allowed_blocks(rows, allowed, blocks).into_iter().try_for_each(scan)?,
            None => scan(blocks)?,
        }
        // The last block is filled up with rows that don't exist; `row` leaves them out.
        found.retain(|candidate| {
            let row = rows.row(candidate.position);
            row.is_some_and(|row| allowed.is_none_or(|allowed| allowed.contains(row)))
        });
        Ok(found)
    }

    /// Scores candidates exactly into `best`, many of them reached by `many`; returns how many.
    pub(super) fn settle(
        &self,
        query: &QueryVector,
        candidates: Vec<Candidate>,
        rows: &Rows<'_>,
        best: &mut Best,
        many: Access,
    ) -> Result<usize> {
        let mut positions: Vec<u32> = candidates.iter().map(|row| row.position).collect();
        positions.sort_unstable();
        let access = self.access(many);
        positions.iter().for_each(|&position| self.request(position, access));
        let scores = self.score_at(query, &positions, access)?;
        push_all(best, rows, &positions, &scores);
        Ok(positions.len())
    }

    /// The exact cosine at each position, by several threads where there are many; few are read where many are mapped.
    fn score_at(&self, query: &QueryVector, positions: &[u32], access: Access) -> Result<Vec<f32>> {
        if positions.len() <= RESCORE_ROWS {
            let access = if access == Access::Mapped { Access::Read } else { access };
            return self.score_each(query, positions, access);
        }
        let parts: Vec<&[u32]> = positions.chunks(RESCORE_ROWS).collect();
        Ok(cores::map(&parts, 1, |_, part| self.score_each(query, part, access))?.concat())
    }

    /// The exact cosine at each of the ascending positions.
    pub(super) fn score_each(&self, query: &QueryVector, positions: &[u32], access: Access) -> Result<Vec<f32>> {
        let mut scores = Vec::with_capacity(positions.len());
        for group in positions.chunks(GROUP_ROWS) {
            let (Some(&first), Some(&last)) = (group.first(), group.last()) else { break };
            let span = first..last.saturating_add(1);
            if span.len() <= group.len() * READ_THROUGH {
                let mut wanted = group.iter().peekable();
                self.score_run(query, span, access, |position, score| {
                    if wanted.next_if_eq(&&position).is_some() {
                        scores.push(score);
                    }
                })?;
            } else {
                self.score_scattered(query, group, access, &mut scores)?;
            }
        }
        Ok(scores)
    }

    fn score_scattered(
        &self,
        query: &QueryVector,
        positions: &[u32],
        access: Access,
        scores: &mut Vec<f32>,
    ) -> Result<()> {
        let mut room = Vec::new();
        positions.iter().take(AHEAD).for_each(|&position| self.expect(position, access));
        for (index, &position) in positions.iter().enumerate() {
            if let Some(&next) = positions.get(index + AHEAD) {
                self.expect(next, access);
            }
            let vector = self.stored(position..position + 1, access, &mut room)?;
            scores.push(cosine(self.kernels(), query, vector));
        }
        Ok(())
    }
}

/// How the vectors of one chunk's positions are best reached.
fn access_of(positions: &[u32]) -> Access {
    if positions.len() > MOST_READ_ROWS { Access::Mapped } else { Access::Read }
}

/// What was found chunk by chunk and how many were scored for it, as one.
fn of_chunks(parts: Vec<(Vec<(u32, f32)>, usize)>, coded_rows: usize) -> (Vec<(u32, f32)>, Work) {
    let scored_rows = parts.iter().map(|(_, scored)| scored).sum();
    let found = parts.into_iter().flat_map(|(found, _)| found).collect();
    (found, Work { coded_rows, scored_rows, ..Work::default() })
}

/// Takes the candidates with the best estimates out.
fn take_best(waiting: &mut Vec<Candidate>, count: usize) -> Vec<Candidate> {
    if waiting.len() <= count {
        return std::mem::take(waiting);
    }
    let worst_first =
        |a: &Candidate, b: &Candidate| a.estimate.total_cmp(&b.estimate).then(b.position.cmp(&a.position));
    let rest = waiting.len() - count;
    waiting.select_nth_unstable_by(rest, worst_first);
    waiting.split_off(rest)
}

fn push_all(best: &mut Best, rows: &Rows<'_>, positions: &[u32], scores: &[f32]) {
    for (&position, &score) in positions.iter().zip(scores) {
        if let Some(row) = rows.row(position) {
            best.push(row, score);
        }
    }
}

/// `range` in pieces of so many rows.
fn chunks(range: Range<u32>, rows: u32) -> Vec<Range<u32>> {
    let end = range.end;
    range.step_by(rows as usize).map(|start| start..start.saturating_add(rows).min(end)).collect()
}
