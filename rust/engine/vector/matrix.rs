//! A matrix of f16 rows, for a model's tables: half the bytes of f32, and the cache is what a product waits for.

use half::f16;

use super::distance::LANES;
use super::kernels::kernels;
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

/// What `HalfMatrix::attend` finds, all of the first vector, then of the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// The product of each key with the vector.
    pub products: Vec<f32>,
    /// For each row of the values, its mean weighted by the keys.
    pub means: Vec<f32>,
}

impl HalfMatrix {
    /// Takes the rows as keys and weighs the columns of `values` by them: the weights of a vector are the softmax of its
    /// products with the keys over `temperature`, and its means are the products of `values` with the weights.
    ///
    /// # Errors
    /// `dimension_mismatch` as `products`, and if `values` has another number of columns than there are keys;
    /// `invalid_vector` if the temperature is not above zero.
    pub fn attend<'a>(
        &self,
        values: &Self,
        vectors: impl IntoIterator<Item = &'a [f32]>,
        temperature: f32,
    ) -> Result<Attention> {
        if !(temperature.is_finite() && temperature > 0.0) {
            let detail = format!("the temperature is {temperature}, expected a number above 0");
            return Err(Error::InvalidVector { what: "the matrix".to_owned(), detail });
        }
        let keys = self.bytes.len() / (2 * self.dimension);
        if keys != values.dimension {
            let (expected, got) = (keys, values.dimension);
            return Err(Error::DimensionMismatch { what: "the values for the keys".to_owned(), expected, got });
        }
        let products = self.products(vectors)?;
        let mut weights = products.clone();
        for weights in weights.chunks_mut(values.dimension) {
            let greatest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|weight| *weight = ((*weight - greatest) / temperature).exp());
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        let means = values.products(weights.chunks(values.dimension))?;
        Ok(Attention { products, means })
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
    fn attention_weighs_values_by_the_softmax_of_the_keys() -> Result<()> {
        let halves = |numbers: &[f32]| numbers.iter().flat_map(|&one| f16::from_f32(one).to_le_bytes()).collect();
        let keys = HalfMatrix::new(1, halves(&[1.0, 0.0]))?;
        let values = HalfMatrix::new(2, halves(&[8.0, 0.0, 0.0, 4.0, 1.0, 1.0]))?;
        let vectors = [2.0_f32, 0.0];
        let got = keys.attend(&values, vectors.chunks(1), 2.0)?;
        assert_eq!(got.products, [2.0, 0.0, 0.0, 0.0]);
        let sure = 1.0 / (1.0 + (-1.0_f32).exp());
        for (got, expected) in got.means.iter().zip([8.0 * sure, 4.0 * (1.0 - sure), 1.0, 4.0, 2.0, 1.0]) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
        let odd = HalfMatrix::new(3, halves(&[1.0, 2.0, 3.0]))?;
        assert!(matches!(keys.attend(&odd, vectors.chunks(1), 1.0), Err(Error::DimensionMismatch { .. })));
        assert!(matches!(keys.attend(&values, vectors.chunks(1), 0.0), Err(Error::InvalidVector { .. })));
        Ok(())
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
