//! What is asked: a direction.

use super::layout::LANES;
use super::normalise::unit_scale;
use crate::error::Result;

/// A query's direction: unit-length f32, every component finite.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryVector {
    /// The components, then zeros up to a multiple of `LANES`.
    padded: Vec<f32>,
    dimension: usize,
}

impl QueryVector {
    /// Checks `components` and scales them to unit length. `what` names the vector in the message of an error.
    ///
    /// # Errors
    /// `invalid_vector` if there are no components, one is NaN or infinite, or the length is zero or subnormal.
    pub fn new(what: &str, components: &[f32]) -> Result<Self> {
        let scale = unit_scale(what, components)?;
        let mut padded: Vec<f32> = components.iter().map(|&component| (f64::from(component) * scale) as f32).collect();
        padded.resize(components.len().next_multiple_of(LANES), 0.0);
        Ok(Self { padded, dimension: components.len() })
    }

    /// Number of components.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The components; their squares sum to one.
    #[must_use]
    pub fn components(&self) -> &[f32] {
        self.padded.get(..self.dimension).unwrap_or_default()
    }

    /// The components and zeros up to a multiple of `LANES`, as the kernels read them.
    pub(super) fn padded(&self) -> &[f32] {
        &self.padded
    }
}
