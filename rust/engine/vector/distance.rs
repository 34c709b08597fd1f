//! The one inner product: f32 query times f16 stored vector.
//!
//! Every kernel follows this order, so all give the same bits. There are `LANES` accumulators, zero at first; lane `l`
//! takes components `l`, `l + LANES`, … in order by fused multiply-add, where components past the end count as zero.
//! Then the upper half of the lanes is added to the lower half until one is left.

use super::kernels::Kernels;
use super::query::QueryVector;

/// Cosine of the query and one stored vector (little-endian f16, as many as the query has components).
#[inline]
pub(super) fn cosine(kernels: &Kernels, query: &QueryVector, stored: &[u8]) -> f32 {
    (kernels.dot)(query.padded(), stored)
}
