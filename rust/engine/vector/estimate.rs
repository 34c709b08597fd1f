//! What the vectors of some rows can score at most, from their codes: roughly by the 1-bit codes, closely by the 4-bit
//! codes of the graph; component by component where a column is kept so and the query asks for few (`vertical`). Where
//! a column has none of them, it is what they score.
//!
//! A bound is wrong for one row in three million, as that of the exact search is: `CONFIDENCE` standard errors.

use std::ops::Range;

use super::codes::{BLOCK_ROWS, CONFIDENCE, CodeQuery, block_byte_len};
use super::column::VectorColumn;
use super::graph::Graph;
use super::graph::nibbles::{Levels, STANDARD_ERROR};
use super::query::QueryVector;
use super::vertical::VerticalQuery;
use crate::error::Result;

/// How much of a score may stay unread where it is bounded component by component.
const TOLERANCE: f32 = 0.001;

/// A query prepared to be compared with a column.
pub(crate) struct Estimator<'a> {
    column: &'a VectorColumn,
    query: &'a QueryVector,
    vertical: Option<VerticalQuery<'a>>,
    rough: Option<CodeQuery>,
    close: Option<(&'a Graph, Levels)>,
}

/// Which codes say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closeness {
    /// One bit a component, read in one go over many rows.
    Rough,
    /// Four bits a component.
    Close,
}

impl VectorColumn {
    /// Prepares a query to be compared with rows.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub(crate) fn estimator<'a>(&'a self, query: &'a QueryVector) -> Result<Estimator<'a>> {
        self.check(query)?;
        let vertical = self.vertical(query, TOLERANCE)?;
        // A code of the whole vector is never close enough where components are worth keeping apart.
        let by_codes = vertical.is_none();
        let components = query.components();
        let close = self.graph().filter(|_| by_codes).map(|graph| (graph, graph.query(components)));
        let rough = self.codes().filter(|_| by_codes).map(|codes| codes.coder.query(components));
        Ok(Estimator { column: self, query, vertical, rough, close })
    }
}

impl Estimator<'_> {
    /// Calls `found` with every row of `rows` that carries a vector and a cosine that it does not exceed, ascending.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(crate) fn most(&self, closeness: Closeness, rows: Range<u32>, mut found: impl FnMut(u32, f32)) -> Result<()> {
        let of_column = self.column.rows()?;
        let positions = of_column.positions(rows);
        if positions.is_empty() {
            return Ok(());
        }
        let mut take = |position: u32, most: f32| {
            if let Some(row) = of_column.row(position) {
                found(row, most);
            }
        };
        if let Some(vertical) = &self.vertical
            && vertical.is_worth(positions.len())
        {
            let uppers = vertical.uppers(self.column.kernels(), positions.clone())?;
            positions.zip(uppers).for_each(|(position, most)| take(position, most));
            return Ok(());
        }
        match (closeness, &self.close, &self.rough, self.column.codes()) {
            (Closeness::Close, Some((graph, levels)), ..) => {
                let slack = CONFIDENCE * STANDARD_ERROR / (self.column.dimension() as f32).sqrt();
                let estimates = graph.estimates(self.column.kernels(), levels, positions.clone())?;
                positions.zip(estimates).for_each(|(position, estimate)| take(position, estimate + slack));
            }
            (Closeness::Rough, _, Some(query), Some(codes)) => {
                let blocks = positions.start as usize / BLOCK_ROWS..(positions.end as usize).div_ceil(BLOCK_ROWS);
                let block_bytes = block_byte_len(codes.coder.words());
                let bytes = codes.section.slice(blocks.start * block_bytes..blocks.end * block_bytes)?;
                let mut uppers = Vec::with_capacity(blocks.len() * BLOCK_ROWS);
                (self.column.kernels().uppers)(query, bytes, &mut uppers);
                let skipped = positions.start as usize % BLOCK_ROWS;
                positions.zip(uppers.into_iter().skip(skipped)).for_each(|(position, most)| take(position, most));
            }
            _ => self.column.score_run(self.query, positions, take)?,
        }
        Ok(())
    }
}
