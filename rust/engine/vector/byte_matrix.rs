//! A matrix of one byte a component, for a model's tables that a question reads as a whole: the cache, out of which the
//! model before it pushed them, is what a product waits for.

use super::kernels::{LARGEST_LEVEL, kernels};
use super::layout::LANES;
use crate::error::{Error, Result};

/// The most components of a row: of more, the sum of products could pass an i32.
const MOST_COMPONENTS: usize = 4096;

/// Rows of signed levels, one after the other, each with the number that its levels are multiples of.
///
/// A product is off by a part in 250 of the largest component of the row times the vector's mean component: of unit vectors
/// of 384 dimensions by some 0.0005.
#[derive(Debug)]
pub struct ByteMatrix {
    dimension: usize,
    /// Whole runs of `LANES` a row, what lies past its components zero.
    levels: Vec<i8>,
    scales: Vec<f32>,
}

/// What `ByteMatrix::attend` finds, all of the first vector, then of the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// The product of each key with the vector.
    pub products: Vec<f32>,
    /// For each row of the values, its mean weighted by the keys.
    pub means: Vec<f32>,
}

impl ByteMatrix {
    /// Takes rows of `dimension` levels each, and the scale of each row.
    ///
    /// # Errors
    /// `invalid_vector` if there are no components or more than 4,096, not as many rows as scales, a level of -128, or a
    /// scale that is not finite.
    pub fn new(dimension: usize, levels: &[i8], scales: Vec<f32>) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidVector { what: "the matrix".to_owned(), detail };
        if dimension == 0 || dimension > MOST_COMPONENTS || Some(levels.len()) != dimension.checked_mul(scales.len()) {
            let (levels, rows) = (levels.len(), scales.len());
            return Err(invalid(format!("{levels} levels are no {rows} rows of {dimension} components")));
        }
        if let Some(at) = levels.iter().position(|&level| level == i8::MIN) {
            return Err(invalid(format!("component {} of row {} is -128", at % dimension, at / dimension)));
        }
        if let Some(row) = scales.iter().position(|scale| !scale.is_finite()) {
            return Err(invalid(format!("the scale of row {row} is not finite")));
        }
        let mut padded = Vec::with_capacity(scales.len() * dimension.next_multiple_of(LANES));
        for row in levels.chunks_exact(dimension) {
            padded.extend_from_slice(row);
            padded.resize(padded.len().next_multiple_of(LANES), 0);
        }
        Ok(Self { dimension, levels: padded, scales })
    }

    /// Number of components of each row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The inner product of every row with each vector: all rows of the first vector, then of the next. Each number is
    /// the same whatever vectors are beside it, and on every machine.
    ///
    /// # Errors
    /// `dimension_mismatch` if a vector has another number of components; `invalid_vector` if one is not finite.
    pub fn products<'a>(&self, vectors: impl IntoIterator<Item = &'a [f32]>) -> Result<Vec<f32>> {
        let (mut sums, mut products) = (vec![0; self.scales.len()], Vec::new());
        for vector in vectors {
            let step = self.add_up(vector, &mut sums)?;
            products.extend(sums.iter().zip(&self.scales).map(|(&sum, scale)| sum as f32 * (scale * step)));
        }
        Ok(products)
    }

    /// The greatest product of each vector with any row; below all numbers where there are no rows.
    ///
    /// # Errors
    /// As `products`.
    pub fn greatest<'a>(&self, vectors: impl IntoIterator<Item = &'a [f32]>) -> Result<Vec<f32>> {
        let mut sums = vec![0; self.scales.len()];
        let greatest = |vector| {
            let step = self.add_up(vector, &mut sums)?;
            let products = sums.iter().zip(&self.scales).map(|(&sum, scale)| sum as f32 * (scale * step));
            Ok(products.fold(f32::NEG_INFINITY, f32::max))
        };
        vectors.into_iter().map(greatest).collect()
    }

    /// Sets the sums of the products of levels for each row, and returns what the vector's levels are multiples of.
    fn add_up(&self, vector: &[f32], sums: &mut [i32]) -> Result<f32> {
        let (levels, step) = self.round(vector)?;
        (kernels().byte_dots)(&levels, &self.levels, sums);
        Ok(step)
    }

    /// The vector in whole runs of levels, and the number that they are multiples of.
    fn round(&self, vector: &[f32]) -> Result<(Vec<i16>, f32)> {
        let what = || "a vector for the matrix".to_owned();
        if vector.len() != self.dimension {
            return Err(Error::DimensionMismatch { what: what(), expected: self.dimension, got: vector.len() });
        }
        if let Some(at) = vector.iter().position(|component| !component.is_finite()) {
            return Err(Error::InvalidVector { what: what(), detail: format!("component {at} is not finite") });
        }
        let largest = vector.iter().fold(0.0_f32, |largest, component| largest.max(component.abs()));
        // Not of a vector of zeros, or of some so small that the quotient is beyond all numbers.
        let levels_a_unit = Some(f32::from(LARGEST_LEVEL) / largest).filter(|unit| unit.is_finite()).unwrap_or(0.0);
        let mut levels: Vec<i16> = vector.iter().map(|component| (component * levels_a_unit).round() as i16).collect();
        levels.resize(levels.len().next_multiple_of(LANES), 0);
        Ok((levels, largest / f32::from(LARGEST_LEVEL)))
    }

    /// Takes the rows as keys and weighs the columns of `values` by them: the weights of a vector are the softmax of its
    /// products with the keys over `temperature`, and its means are the products of `values` with the weights.
    ///
    /// # Errors
    /// As `products`; `dimension_mismatch` also if `values` has another number of columns than there are keys, and
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
        let keys = self.scales.len();
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
        fn products_are_near_those_of_plain_arithmetic(
            dimension in 1_usize..70, rows in 0_usize..5, vectors in 0_usize..4, seed in 0_u32..1000,
        ) {
            let number = |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 8;
            let levels: Vec<i8> = (0..rows * dimension).map(|at| (number(at) % 255) as i8).map(|level| level.max(-127)).collect();
            let scales: Vec<f32> = (0..rows).map(|row| 0.25 + row as f32).collect();
            let given: Vec<f32> = (0..vectors * dimension).map(|at| (number(at + 7) % 2001) as f32 / 1000.0 - 1.0).collect();
            let matrix = ByteMatrix::new(dimension, &levels, scales.clone())?;
            let got = matrix.products(given.chunks_exact(dimension))?;
            prop_assert_eq!(got.len(), rows * vectors);
            let greatest = matrix.greatest(given.chunks_exact(dimension))?;
            prop_assert_eq!(greatest.len(), vectors);
            for (greatest, products) in greatest.iter().zip(got.chunks_exact(rows.max(1))) {
                prop_assert_eq!(*greatest, products.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            }
            for (vector, got) in given.chunks_exact(dimension).zip(got.chunks_exact(rows.max(1))) {
                for ((row, scale), got) in levels.chunks_exact(dimension).zip(&scales).zip(got) {
                    let terms = || row.iter().zip(vector).map(|(&level, one)| f32::from(level) * scale * one);
                    // Half a step of the vector for each level.
                    let off: f32 = row.iter().map(|&level| f32::from(level).abs() * scale * 0.51 / 4095.0).sum();
                    prop_assert!((got - terms().sum::<f32>()).abs() <= off + 1e-4, "{got} {}", terms().sum::<f32>());
                }
            }
        }
    }

    #[test]
    fn attention_weighs_values_by_the_softmax_of_the_keys() -> Result<()> {
        let keys = ByteMatrix::new(1, &[127, 0], vec![1.0 / 127.0, 1.0])?;
        let values = ByteMatrix::new(2, &[8, 0, 0, 4, 1, 1], vec![1.0; 3])?;
        let vectors = [2.0_f32, 0.0];
        let got = keys.attend(&values, vectors.chunks(1), 2.0)?;
        let sure = 1.0 / (1.0 + (-1.0_f32).exp());
        let means = [8.0 * sure, 4.0 * (1.0 - sure), 1.0, 4.0, 2.0, 1.0];
        for (got, expected) in got.products.iter().chain(&got.means).zip([2.0, 0.0, 0.0, 0.0].iter().chain(&means)) {
            assert!((got - expected).abs() < 1e-3, "{got} {expected}");
        }
        let odd = ByteMatrix::new(3, &[1, 2, 3], vec![1.0])?;
        assert!(matches!(keys.attend(&odd, vectors.chunks(1), 1.0), Err(Error::DimensionMismatch { .. })));
        assert!(matches!(keys.attend(&values, vectors.chunks(1), 0.0), Err(Error::InvalidVector { .. })));
        Ok(())
    }

    #[test]
    fn what_is_no_matrix_or_no_vector_for_it_is_refused() {
        for (dimension, levels, scales) in [
            (2, vec![0; 6], vec![1.0; 2]),
            (0, Vec::new(), Vec::new()),
            (4097, vec![0; 4097], vec![1.0]),
            (1, vec![-128], vec![1.0]),
            (1, vec![1], vec![f32::NAN]),
        ] {
            assert!(matches!(ByteMatrix::new(dimension, &levels, scales), Err(Error::InvalidVector { .. })));
        }
        let products = |vector: &[f32]| ByteMatrix::new(1, &[1, 2], vec![1.0; 2])?.products([vector]);
        assert!(matches!(products(&[0.0; 2]), Err(Error::DimensionMismatch { expected: 1, got: 2, .. })));
        assert!(matches!(products(&[f32::INFINITY]), Err(Error::InvalidVector { .. })));
        assert_eq!(products(&[0.0]).ok(), Some(vec![0.0, 0.0]));
        assert_eq!(products(&[1e-40]).ok(), Some(vec![0.0, 0.0]));
    }
}
