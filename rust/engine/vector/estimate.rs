//! What the vectors of some rows can score at most, from their codes: roughly by the 1-bit codes, closely by the 4-bit
//! codes of the graph. Where a column is kept component by component and the query asks for few (`vertical`), that is the
//! rough bound, and the close one is what they score, as it is where a column has no codes.
//!
//! A bound is wrong for one row in three million, as that of the exact search is: `CONFIDENCE` standard errors. What an
//! approximate answer goes by is wrong for one in forty.

use std::ops::Range;

use super::codes::{BLOCK_ROWS, CONFIDENCE, CodeQuery, block_byte_len};
use super::column::{Access, VectorColumn};
use super::graph::Graph;
use super::graph::nibbles::{Levels, STANDARD_ERROR};
use super::query::QueryVector;
use super::rows::Rows;
use super::vertical::{Gap, VerticalQuery};
use crate::error::Result;

/// Standard errors above an estimate that an approximate answer takes for as much as a row says.
const LIKELY_ERRORS: f32 = 2.0;
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
    /// One bit a component or some components, read in one go over many rows.
    Rough,
    /// Four bits a component, or all of it.
    Close,
    /// As close, and what it says likely holds: for approximate answers.
    Likely,
}

/// How far bounds are above what they bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Reach {
    #[default]
    Unknown,
    By(f32),
    Components(Gap),
}

impl Reach {
    /// A cosine that a row with this bound is not below.
    pub(crate) fn least(self, bound: f32) -> f32 {
        match self {
            Self::Unknown => f32::NEG_INFINITY,
            Self::By(most) => bound - most,
            Self::Components(gap) => gap.least(bound),
        }
    }
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
        // Where the graph is not in memory, vectors are as soon read.
        let close = self.graph().filter(|graph| by_codes && !graph.is_refused());
        let close = close.map(|graph| (graph, graph.query(components)));
        let rough = self.codes().filter(|_| by_codes).map(|codes| codes.coder.query(components));
        Ok(Estimator { column: self, query, vertical, rough, close })
    }
}

impl Estimator<'_> {
    /// Replaces the rough bounds of `rows` that reach `floor` by close ones, those by components where many do; tells how far
    /// these are above the cosines.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(crate) fn sharpen(&self, rows: Range<u32>, floor: f32, bounds: &mut [f32]) -> Result<Reach> {
        if let Some(vertical) = &self.vertical {
            return self.sharpen_vertical(vertical, rows, floor, bounds);
        }
        if floor <= -1.0 {
            return Ok(Reach::Unknown);
        }
        let of_column = self.column.rows()?;
        for (row, bound) in rows.zip(bounds).filter(|(_, bound)| **bound >= floor) {
            if let Some(position) = of_column.position(row) {
                self.most_at(Closeness::Close, position..position + 1, |_, close| *bound = bound.min(close))?;
            }
        }
        Ok(self.reach(Closeness::Close))
    }

    /// How far bounds that are not rough lie above the cosines at most.
    pub(crate) fn reach(&self, closeness: Closeness) -> Reach {
        if self.close.is_some() { Reach::By(2.0 * self.slack(closeness)) } else { Reach::Unknown }
    }

    /// Whether there are closer codes than those of one bit, all of them in memory.
    pub(crate) fn has_close_codes(&self) -> bool {
        self.close.as_ref().is_some_and(|(graph, _)| graph.is_settled())
    }

    fn sharpen_vertical(
        &self,
        vertical: &VerticalQuery<'_>,
        rows: Range<u32>,
        floor: f32,
        bounds: &mut [f32],
    ) -> Result<Reach> {
        let of_column = self.column.rows()?;
        let positions = of_column.positions(rows.clone());
        if !vertical.is_worth(positions.len()) {
            return Ok(Reach::By(0.0));
        }
        let open = bounds.iter().filter(|bound| **bound >= floor).count();
        let is_worth = vertical.is_worth_more(positions.len(), open);
        if is_worth {
            let place = |position: u32| of_column.row(position).map_or(usize::MAX, |row| (row - rows.start) as usize);
            let bound = |position: u32| bounds.get(place(position)).copied().unwrap_or_default();
            let mut closer: Vec<f32> = positions.clone().map(bound).collect();
            vertical.sharpen(self.column.kernels(), positions.clone(), &mut closer)?;
            for (position, closer) in positions.zip(closer) {
                bounds.get_mut(place(position)).into_iter().for_each(|bound| *bound = closer);
            }
        }
        Ok(Reach::Components(vertical.gap(is_worth)))
    }

    /// What a close estimate may be off by.
    fn slack(&self, closeness: Closeness) -> f32 {
        let errors = if closeness == Closeness::Likely { LIKELY_ERRORS } else { CONFIDENCE };
        errors * STANDARD_ERROR / (self.column.dimension() as f32).sqrt()
    }

    /// For each of `rows` a cosine that it does not exceed, minus infinity where it carries no vector.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(crate) fn most(&self, closeness: Closeness, rows: Range<u32>, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        out.resize(rows.len(), f32::NEG_INFINITY);
        let of_column = self.column.rows()?;
        let positions = of_column.positions(rows.clone());
        let Some(first) = of_column.row(positions.start).filter(|_| !positions.is_empty()) else { return Ok(()) };
        if let Rows::Run { .. } = of_column {
            let out = out.get_mut((first - rows.start) as usize..).unwrap_or_default();
            return self
                .most_at(closeness, positions, |at, most| out.get_mut(at).into_iter().for_each(|out| *out = most));
        }
        self.most_at(closeness, positions.clone(), |at, most| {
            if let Some(row) = of_column.row(positions.start + at as u32)
                && let Some(out) = out.get_mut((row - rows.start) as usize)
            {
                *out = most;
            }
        })
    }

    /// For each of some rows, here and there, a cosine that it does not exceed by the closest codes; minus infinity where it carries
    /// no vector.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(crate) fn most_of(&self, closeness: Closeness, rows: &[u32], out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        out.resize(rows.len(), f32::NEG_INFINITY);
        let of_column = self.column.rows()?;
        let (mut places, mut positions) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (place, &row) in rows.iter().enumerate() {
            if let Some(position) = of_column.position(row) {
                places.push(place);
                positions.push(position);
            }
        }
        let (mut most, slack) = match &self.close {
            Some((graph, levels)) => {
                (graph.estimates_of(self.column.kernels(), levels, &positions)?, self.slack(closeness))
            }
            None => (self.column.score_each(self.query, &positions, Access::Mapped)?, 0.0),
        };
        if most.len() == rows.len() {
            most.iter_mut().for_each(|most| *most += slack);
            *out = most;
            return Ok(());
        }
        for (place, most) in places.into_iter().zip(most) {
            out.get_mut(place).into_iter().for_each(|out| *out = most + slack);
        }
        Ok(())
    }

    /// Calls `take` for every one of `positions`, by its place among them.
    fn most_at(&self, closeness: Closeness, positions: Range<u32>, mut take: impl FnMut(usize, f32)) -> Result<()> {
        if closeness == Closeness::Rough
            && let Some(vertical) = &self.vertical
            && vertical.is_worth(positions.len())
        {
            let uppers = vertical.uppers(self.column.kernels(), positions)?;
            uppers.into_iter().enumerate().for_each(|(at, most)| take(at, most));
            return Ok(());
        }
        match (closeness, &self.close, &self.rough, self.column.codes()) {
            (Closeness::Close | Closeness::Likely, Some((graph, levels)), ..) => {
                let slack = self.slack(closeness);
                let estimates = graph.estimates(self.column.kernels(), levels, positions)?;
                estimates.enumerate().for_each(|(at, estimate)| take(at, estimate + slack));
            }
            (Closeness::Rough, _, Some(query), Some(codes)) => {
                let blocks = positions.start as usize / BLOCK_ROWS..(positions.end as usize).div_ceil(BLOCK_ROWS);
                let block_bytes = block_byte_len(codes.coder.words());
                let bytes = codes.section.slice(blocks.start * block_bytes..blocks.end * block_bytes)?;
                let mut uppers = Vec::with_capacity(blocks.len() * BLOCK_ROWS);
                (self.column.kernels().uppers)(query, bytes, &mut uppers);
                let skipped = positions.start as usize % BLOCK_ROWS;
                let uppers = uppers.into_iter().skip(skipped).take(positions.len());
                uppers.enumerate().for_each(|(at, most)| take(at, most));
            }
            _ => {
                let first = positions.start;
                self.column.score_run(self.query, positions, Access::Mapped, |position, most| {
                    take((position - first) as usize, most);
                })?;
            }
        }
        Ok(())
    }
}
