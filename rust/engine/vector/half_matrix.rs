//! A matrix of f16 rows, for a model's tables: half the bytes of f32, and the cache is what a product waits for.

use half::f16;

use super::kernels::kernels;
use super::layout::LANES;
use crate::error::{Error, Result};

/// Rows of f16, one after the other.
#[derive(Debug)]
pub struct HalfMatrix {
    dimension: usize,
    bytes: Vec<u8>,
}

impl HalfMatrix {
    /// Takes rows of `dimension` little-endian f16 each.
    ///
    /// # Errors
    /// `invalid_vector` if the bytes are not whole rows, or a number is not finite.
    pub fn new(dimension: usize, bytes: Vec<u8>) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidVector { what: "the matrix".to_owned(), detail };
        if dimension == 0 || !bytes.len().is_multiple_of(2 * dimension) {
            return Err(invalid(format!("{} bytes are no rows of {dimension} components", bytes.len())));
        }
        let (components, _) = bytes.as_chunks::<2>();
        if let Some(at) = components.iter().position(|&component| !f16::from_le_bytes(component).is_finite()) {
            return Err(invalid(format!("component {} of row {} is not finite", at % dimension, at / dimension)));
        }
        Ok(Self { dimension, bytes })
    }

    /// Number of components of each row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The inner product of every row with each vector: all rows of the first vector, then of the next. Each number is
    /// the same whatever vectors are beside it.
    ///
    /// # Errors
    /// `dimension_mismatch` if a vector has another number of components.
    pub fn products<'a>(&self, vectors: impl IntoIterator<Item = &'a [f32]>) -> Result<Vec<f32>> {
        let mut padded = Vec::new();
        for vector in vectors {
            if vector.len() != self.dimension {
                let (expected, got) = (self.dimension, vector.len());
                return Err(Error::DimensionMismatch { what: "a vector for the matrix".to_owned(), expected, got });
            }
            let mut vector = vector.to_vec();
            vector.resize(self.dimension.next_multiple_of(LANES), 0.0);
            padded.push(vector);
        }
        let row_count = self.bytes.len() / (2 * self.dimension);
        let mut products = vec![0.0; row_count * padded.len()];
        // Each row is read once for all vectors.
        for (row, bytes) in self.bytes.chunks_exact(2 * self.dimension).enumerate() {
            for (vector, padded) in padded.iter().enumerate() {
                if let Some(product) = products.get_mut(vector * row_count + row) {
                    *product = (kernels().dot)(padded, bytes);
                }
            }
        }
        Ok(products)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn products_are_those_of_plain_arithmetic(
            dimension in 1_usize..70, rows in 0_usize..5, vectors in 0_usize..4, seed in 0_u32..1000,
        ) {
            let number = |at: usize| ((at as u32 * 37 + seed) % 64) as f32 / 16.0 - 2.0;
            let values: Vec<f32> = (0..rows * dimension).map(number).collect();
            let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
            let given: Vec<f32> = (0..vectors * dimension).map(|at| number(at + 5)).collect();
            let got = HalfMatrix::new(dimension, bytes)?.products(given.chunks_exact(dimension))?;
            let dot = |vector: &[f32], row: &[f32]| vector.iter().zip(row).map(|(one, other)| one * other).sum::<f32>();
            let expected: Vec<f32> = given
                .chunks_exact(dimension)
                .flat_map(|vector| values.chunks_exact(dimension).map(|row| dot(vector, row)).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn what_is_no_matrix_or_no_vector_for_it_is_refused() {
        assert!(matches!(HalfMatrix::new(2, vec![0; 6]), Err(Error::InvalidVector { .. })));
        assert!(matches!(HalfMatrix::new(0, Vec::new()), Err(Error::InvalidVector { .. })));
        let infinite = f16::INFINITY.to_le_bytes().to_vec();
        assert!(matches!(HalfMatrix::new(1, infinite), Err(Error::InvalidVector { .. })));
        let matrix = HalfMatrix::new(1, vec![0; 4]).map(|matrix| matrix.products([[0.0_f32; 2].as_slice()]));
        assert!(matches!(matrix, Ok(Err(Error::DimensionMismatch { expected: 1, got: 2, .. }))));
    }
}
