//! Approximate search: a walk through the graph, re-scored exactly; or exact search, where that is cheaper.
//!
//! The walk keeps the `effort` best rows by estimate. Under a filter it keeps as many more as the filter leaves out, and
//! drops what is not allowed afterwards. The planner compares what both ways would read, in codes scanned; where few
//! rows are allowed, or few of those that the walk found are, the search is exact. So a filter costs time, not recall.
//!
//! A graph of a file is read whole before it is walked, in the background: a walk touches it everywhere, and reading here
//! and there is what disks do worst. Until then, searches are exact, by codes that are a sixth of it and read in a row.
//!
//! Scores are exact either way; what is approximate is that a row can be missed.

use super::best::Best;
use super::codes::Candidate;
use super::column::VectorColumn;
use super::graph::Graph;
use super::query::QueryVector;
use super::scan::{CODES_A_RESCORE, Path, Work};
use crate::catalog::row_set::RowSet;
use crate::error::Result;

/// One step of the walk costs about as much as scanning this many codes.
const CODES_A_STEP: usize = 240;
/// Rows whose estimate is no further below the k-th best are scored: two standard errors of a 4-bit estimate of vectors
/// with 384 dimensions.
const MARGIN: f32 = 0.01;
/// So many more than half as many again as are asked for are scored in any case.
const FEWEST_MORE: usize = 8;

/// Rows with their cosines, and what finding them read.
type Found = (Vec<(u32, f32)>, Work);

impl VectorColumn {
    /// About the k best allowed rows with their exact cosines, by score descending, then row ascending.
    ///
    /// `effort` is how many rows the walk through the graph keeps, at least k: more finds more and takes longer, nearly
    /// in proportion. Equal to `top_k` where the column has no graph or exact search is cheaper.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so or the graph makes no sense.
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
    ) -> Result<Found> {
        self.check(query)?;
        let width = self.width(effort.max(k), allowed).filter(|_| k > 0);
        let Some((graph, width)) = self.graph().zip(width) else {
            return self.top_k_with_work(query, k, allowed);
        };
        if !graph.is_ready() {
            let found = self.top_k_with_work(query, k, allowed);
            graph.read_ahead();
            return found;
        }
        match self.walk(graph, query, k, effort.max(k), width, allowed)? {
            Some(found) => Ok(found),
            None => self.top_k_with_work(query, k, allowed),
        }
    }

    /// How many rows the walk must keep so that about `effort` of them are allowed; `None` if exact search is cheaper.
    fn width(&self, effort: usize, allowed: Option<&RowSet>) -> Option<usize> {
        let (width, exact) = match allowed {
            None => (effort, self.len()),
            Some(allowed) => {
                let count = allowed.count() as usize;
                let width = effort.saturating_mul(allowed.universe() as usize).checked_div(count)?;
                (width, self.len().min(count.saturating_mul(CODES_A_RESCORE)))
            }
        };
        (width.saturating_mul(CODES_A_STEP) < exact).then_some(width)
    }

    /// The k best of what a walk finds; `None` if too little of it is allowed.
    fn walk(
        &self,
        graph: &Graph,
        query: &QueryVector,
        k: usize,
        effort: usize,
        width: usize,
        allowed: Option<&RowSet>,
    ) -> Result<Option<Found>> {
        let rows = self.rows()?;
        let (found, walked_rows) = graph.search(self.kernels(), &graph.query(query.components()), width)?;
        let mut candidates: Vec<Candidate> = found
            .into_iter()
            .filter(|&(position, _)| {
                let row = rows.row(position);
                row.is_some_and(|row| allowed.is_none_or(|allowed| allowed.contains(row)))
            })
            .map(|(position, estimate)| Candidate { position, estimate, a: 0.0, b: 0.0 })
            .collect();
        if candidates.len() < k.max(effort / 2) {
            return Ok(None);
        }
        if let Some(kth) = candidates.get(k - 1).map(|candidate| candidate.estimate) {
            let near = candidates.partition_point(|candidate| candidate.estimate >= kth - MARGIN);
            candidates.truncate(near.max(k + k / 2 + FEWEST_MORE));
        }
        let mut best = Best::new(k);
        let scored_rows = self.settle(query, candidates, &rows, &mut best)?;
        Ok(Some((best.into_sorted(), Work { path: Path::Graph, coded_rows: walked_rows, scored_rows })))
    }
}
