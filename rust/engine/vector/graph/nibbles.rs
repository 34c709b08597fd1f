//! 4-bit codes: sixteen levels for each rotated component, and an unbiased estimate of the inner product.
//!
//! The same estimator as the 1-bit codes (`codes`; RaBitQ, Gao and Long, SIGMOD 2024, and its extension to more bits,
//! SIGMOD 2025): with `c` the centre of the column, `r = o - c` a stored vector's residual and `x` the levels -15, -13,
//! …, 15 that its rotated components are rounded to, the code keeps `x`, `a = |r|² / <x, r>` and `b = <r, c>`. Then
//!
//! ```text
//! <q, o> = <q, c> + b + <q - c, r>   and   <q - c, r> is estimated by a <x, q - c>
//! ```
//!
//! with a standard error of about `0.11 |r| |q - c| / √D`. The query is rounded to 8 bits, so `<x, q - c>` is a sum of
//! products of small integers, the same on every machine.
//!
//! Layout of a code, `C = ceil(d / 128)`:
//!
//! ```text
//! C × [64 × u8]   byte i of run t: component 128 t + i in the low four bits, 128 t + 64 + i in the high four
//! f32             a
//! f32             b
//! ```

use half::f16;

use super::super::kernels::Kernels;
use super::super::layout::{RUN_BYTES, RUN_COMPONENTS};
use super::super::rotation::Rotation;

/// Bytes of `a` and `b`.
pub(super) const FACTOR_BYTES: usize = 8;
/// Standard error of an estimate of residuals of length one, times the square root of the dimension.
pub(in super::super) const STANDARD_ERROR: f32 = 0.11;
const LARGEST_LEVEL: f32 = 15.0;
/// Half the step, in standard deviations, at which sixteen uniform levels fit a normal distribution best (Max, 1960).
const HALF_STEP: f32 = 0.1676;
const LARGEST_QUERY_LEVEL: f32 = 127.0;

/// Bytes of the levels of a code.
fn level_byte_len(dimension: usize) -> usize {
    dimension.div_ceil(RUN_COMPONENTS) * RUN_BYTES
}

/// Makes codes and prepares queries for one column.
#[derive(Debug, Clone)]
pub(in super::super) struct Nibbles {
    rotation: Rotation,
    centre: Vec<f32>,
    centre_square: f32,
    padded: usize,
}

/// One side of a comparison, as the kernels read it: whole runs of signed levels.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Levels {
    levels: Vec<i8>,
    /// The estimate is `base + b + a (twice * dot - all)`.
    twice: f32,
    all: f32,
    base: f32,
}

impl Nibbles {
    pub(in super::super) fn new(seed: u64, centre: Vec<f32>) -> Self {
        let padded = centre.len().next_multiple_of(RUN_COMPONENTS);
        let centre_square = dot(&centre, &centre);
        Self { rotation: Rotation::new(seed, padded), centre, centre_square, padded }
    }

    /// Bytes of a code with its factors.
    pub(super) fn byte_len(&self) -> usize {
        level_byte_len(self.padded) + FACTOR_BYTES
    }

    /// Writes the code of `vector` into `out`, which has `byte_len` bytes.
    pub(super) fn encode(&self, vector: &[f16], out: &mut [u8]) {
        let mut residual: Vec<f32> = vector.iter().zip(&self.centre).map(|(o, c)| o.to_f32() - c).collect();
        let b = dot(&residual, &self.centre);
        self.rotate(&mut residual);
        let square = dot(&residual, &residual);
        let half_step = HALF_STEP * (square / self.padded as f32).sqrt();
        let (levels, factors) = out.split_at_mut(level_byte_len(self.padded));
        let mut overlap = 0.0;
        for (run, bytes) in residual.chunks_exact(RUN_COMPONENTS).zip(levels.chunks_exact_mut(RUN_BYTES)) {
            let (low, high) = run.split_at(RUN_BYTES);
            for ((byte, &low), &high) in bytes.iter_mut().zip(low).zip(high) {
                let nibble = |component: f32| {
                    let index = if half_step > 0.0 { (component / half_step + LARGEST_LEVEL) * 0.5 } else { 0.0 };
                    index.round().clamp(0.0, LARGEST_LEVEL)
                };
                let (low_index, high_index) = (nibble(low), nibble(high));
                overlap += (2.0 * low_index - LARGEST_LEVEL) * low + (2.0 * high_index - LARGEST_LEVEL) * high;
                *byte = low_index as u8 | (high_index as u8) << 4;
            }
        }
        let a = if overlap > 0.0 { square / overlap } else { 0.0 };
        for (slot, byte) in factors.iter_mut().zip(a.to_le_bytes().into_iter().chain(b.to_le_bytes())) {
            *slot = byte;
        }
    }

    /// Prepares a unit-length vector of the column's dimension.
    pub(in super::super) fn query(&self, components: impl Iterator<Item = f32> + Clone) -> Levels {
        let base = components.clone().zip(&self.centre).map(|(q, c)| q * c).sum();
        let mut rotated: Vec<f32> = components.zip(&self.centre).map(|(q, c)| q - c).collect();
        self.rotate(&mut rotated);
        let largest = rotated.iter().fold(0.0_f32, |largest, component| largest.max(component.abs()));
        let scale = largest / LARGEST_QUERY_LEVEL;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let levels: Vec<i8> = rotated.iter().map(|component| (component * inverse).round() as i8).collect();
        let sum: i32 = levels.iter().map(|&level| i32::from(level)).sum();
        Levels { levels, twice: 2.0 * scale, all: scale * LARGEST_LEVEL * sum as f32, base }
    }

    /// Makes a code into the side that others are compared with.
    pub(super) fn unpack(&self, code: &[u8], out: &mut Levels) {
        let (bytes, _) = code.split_at(code.len() - FACTOR_BYTES);
        let (a, b) = factors(code);
        out.levels.resize(self.padded, 0);
        for (run, bytes) in out.levels.chunks_exact_mut(RUN_COMPONENTS).zip(bytes.chunks_exact(RUN_BYTES)) {
            let (low, high) = run.split_at_mut(RUN_BYTES);
            for ((low, high), &byte) in low.iter_mut().zip(high).zip(bytes) {
                *low = 2 * (byte & 15) as i8 - 15;
                *high = 2 * (byte >> 4) as i8 - 15;
            }
        }
        let sum: i32 = out.levels.iter().map(|&level| i32::from(level)).sum();
        // <o, p> = <r, p - c> + <r, c> + <c, p> with p - c estimated by a x, and <c, p> = b + |c|².
        (out.twice, out.all, out.base) = (2.0 * a, a * LARGEST_LEVEL * sum as f32, b + self.centre_square);
    }

    fn rotate(&self, vector: &mut Vec<f32>) {
        vector.resize(self.padded, 0.0);
        self.rotation.apply(vector);
    }
}

impl Levels {
    /// The estimated cosine with the vector of a code.
    #[inline]
    pub(super) fn estimate(&self, kernels: &Kernels, code: &[u8]) -> f32 {
        let (levels, _) = code.split_at(code.len().saturating_sub(FACTOR_BYTES));
        let (a, b) = factors(code);
        a * (self.twice * (kernels.nibble_dot)(&self.levels, levels) as f32 - self.all) + (self.base + b)
    }
}

/// `a` and `b` of a code.
#[inline]
pub(super) fn factors(code: &[u8]) -> (f32, f32) {
    let Some(&[a0, a1, a2, a3, b0, b1, b2, b3]) = code.last_chunk::<FACTOR_BYTES>() else { return (0.0, 0.0) };
    (f32::from_le_bytes([a0, a1, a2, a3]), f32::from_le_bytes([b0, b1, b2, b3]))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}
