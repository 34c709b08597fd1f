//! A random rotation that is cheap to apply and to store.
//!
//! Four rounds of random sign flips, a fast Hadamard transform and a Kac step, after the `FhtKac` rotator of the RaBitQ
//! authors' library. Only the seed is stored. The Hadamard transform needs a power of two: rounds take the first and
//! the last such run in turn, and the Kac step mixes both halves of the whole.
//!
//! Time is O(d log d). The sums have a fixed order, so a seed gives the same bits on every machine.

use std::f32::consts::FRAC_1_SQRT_2;

const ROUNDS: usize = 4;

/// An orthogonal map of vectors with `dimension` components, a multiple of 64.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    signs: Vec<[f32; ROUNDS]>,
}

impl Rotation {
    pub(super) fn new(seed: u64, dimension: usize) -> Self {
        let mut state = seed;
        let signs = (0..dimension)
            .map(|_| {
                let word = splitmix64(&mut state);
                std::array::from_fn(|round| if word >> (63 - round) & 1 == 0 { 1.0 } else { -1.0 })
            })
            .collect();
        Self { signs }
    }

    /// Rotates `vector` in place. Components past the rotation's dimension stay as they are.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        let dimension = vector.len();
        if dimension == 0 {
            return;
        }
        let power = if dimension.is_power_of_two() { dimension } else { dimension.next_power_of_two() / 2 };
        for round in 0..ROUNDS {
            for (component, signs) in vector.iter_mut().zip(&self.signs) {
                *component *= signs.get(round).copied().unwrap_or(1.0);
            }
            let start = if round % 2 == 0 { 0 } else { dimension - power };
            if let Some(run) = vector.get_mut(start..start + power) {
                hadamard(run);
            }
            if power < dimension {
                let (low, high) = vector.split_at_mut(dimension / 2);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = ((*a + *b) * FRAC_1_SQRT_2, (*a - *b) * FRAC_1_SQRT_2);
                }
            }
        }
    }
}

/// Orthonormal Walsh-Hadamard transform; the length is a power of two.
fn hadamard(run: &mut [f32]) {
    let mut half = 1;
    while half < run.len() {
        for pair in run.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = (run.len() as f32).sqrt().recip();
    for component in run {
        *component *= scale;
    }
}

/// Steele, Lea and Flood's SplitMix64: tiny, and the same everywhere.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_keeps_lengths_and_spreads_an_axis() {
        for dimension in [64, 128, 192, 384, 448, 768, 4096] {
            let rotation = Rotation::new(7, dimension);
            let mut axis = vec![0.0_f32; dimension];
            axis[dimension / 3] = 2.0;
            rotation.apply(&mut axis);
            let square: f32 = axis.iter().map(|c| c * c).sum();
            assert!((square - 4.0).abs() < 1e-3, "{dimension}: {square}");
            let largest = axis.iter().fold(0.0_f32, |a, c| a.max(c.abs()));
            assert!(largest < 1.5, "{dimension}: {largest}");
        }
    }
}
