//! The plain scan over the stored vectors: the truth that every other way is compared with.
//!
//! Reads every vector once, at the speed of memory.

use super::best::Best;
use super::column::{Access, CHUNK_ROWS, VectorColumn};
use super::query::QueryVector;
use crate::catalog::row_set::RowSet;
use crate::cores;
use crate::error::Result;

impl VectorColumn {
    /// The k best allowed rows like `top_k`, by looking at every vector.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub fn flat_top_k(&self, query: &QueryVector, k: usize, allowed: Option<&RowSet>) -> Result<Vec<(u32, f32)>> {
        let empty = || Best::new(k);
        let parts = self.flat(query, allowed, empty, |best, row, score| best.push(row, score))?;
        let mut best = empty();
        parts.into_iter().for_each(|part| best.merge(part));
        Ok(best.into_sorted())
    }

    /// Every allowed row whose cosine is `floor` or more like `at_least`, by looking at every vector.
    ///
    /// # Errors
    /// `dimension_mismatch`; `damaged` where a checksum says so.
    pub fn flat_at_least(&self, query: &QueryVector, floor: f32, allowed: Option<&RowSet>) -> Result<Vec<(u32, f32)>> {
        let parts = self.flat(query, allowed, Vec::new, |found, row, score| {
            if score >= floor {
                found.push((row, score));
            }
        })?;
        Ok(parts.concat())
    }

    /// Folds the score of every allowed row, chunk by chunk.
    fn flat<T: Send>(
        &self,
        query: &QueryVector,
        allowed: Option<&RowSet>,
        empty: impl Fn() -> T + Sync,
        fold: impl Fn(&mut T, u32, f32) + Sync,
    ) -> Result<Vec<T>> {
        self.check(query)?;
        let rows = self.rows()?;
        let count = self.len() as u32;
        let starts: Vec<u32> = (0..count).step_by(CHUNK_ROWS as usize).collect();
        let chunk = |_, &start: &u32| {
            let mut state = empty();
            let mut visit = |position: u32, score: f32| {
                if let Some(row) = rows.row(position)
                    && allowed.is_none_or(|allowed| allowed.contains(row))
                {
                    fold(&mut state, row, score);
                }
            };
            self.score_run(query, start..start.saturating_add(CHUNK_ROWS).min(count), Access::Mapped, &mut visit)?;
            Ok(state)
        };
        cores::map(&starts, 1, chunk)
    }
}
