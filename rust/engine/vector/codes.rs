//! 1-bit codes: one sign for each rotated component, an unbiased estimate of the inner product, and its error bound.
//!
//! After RaBitQ (Gao and Long, SIGMOD 2024). With `c` the centre of the column, `r = o - c` a stored vector's residual
//! and `s` the signs of the rotated residual over √D, the code stores `s`, `a = |r| / <s, r/|r|>` and `b = <r, c>`.
//! For a query `q` and `q' = q - c`, rotated,
//!
//! ```text
//! <q, o> = <q, c> + b + <q', r>   and   <q', r> is estimated without bias by a <s, q'>
//! ```
//!
//! with a standard error of `sqrt((a² - |r|²) (|q'|² - <q', r>²/|r|²) / (D - 1))`. The query is rounded to sixteen odd
//! levels, -15 to 15: as four bit planes of signs, so that `<s, q'>` is a sum of popcounts of exclusive ors. `|r|²` needs
//! no room: `|o|² = |r|² + 2b + |c|²`, and `|o|²` is one but for rounding.
//!
//! Layout of the section, in blocks of `BLOCK_ROWS` rows, the last one filled up with zeros; `W = ceil(d / 64)`:
//!
//! ```text
//! W × [32 × u64]   word w of every row: bit i is component 64 w + i, set where it is not negative
//! [32 × f16]       a
//! [32 × f16]       b
//! ```
//!
//! Rows of a block lie side by side word by word, so a kernel of any width loads whole registers, and a block is a
//! multiple of 64 bytes.
//!
//! What surprises: a row is excluded where its true score would have to be `CONFIDENCE` standard errors above its
//! estimate. The bound knows that a row that reaches a high score lies close to the query, where the error is smaller.

use half::f16;

use super::rotation::Rotation;

/// Rows in a block.
pub(super) const BLOCK_ROWS: usize = 32;
/// Bit planes of a query.
pub(super) const PLANES: usize = 4;
const LARGEST_LEVEL: f32 = 15.0;
/// Standard errors that a row must be short of the floor to be excluded: one row in three million is, wrongly.
pub(super) const CONFIDENCE: f32 = 5.0;
/// Covers the rounding of `a`, `b` and `|o|²`.
pub(super) const SLACK: f32 = 0.002;
/// Half the step, in standard deviations, at which sixteen uniform levels fit a normal distribution best (Max, 1960).
const HALF_STEP: f32 = 0.1676;

/// Words of a code.
pub(super) fn word_count(dimension: usize) -> usize {
    dimension.div_ceil(64)
}

/// Bytes of a block.
pub(super) fn block_byte_len(words: usize) -> usize {
    BLOCK_ROWS * (8 * words + 4)
}

/// A row that the codes could not exclude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Where its vector lies in the column.
    pub(super) position: u32,
    /// The unbiased estimate of its score.
    pub(super) estimate: f32,
    /// The code's factors.
    pub(super) a: f32,
    pub(super) b: f32,
}

/// Makes codes and prepares queries for one column.
#[derive(Debug, Clone)]
pub(super) struct Coder {
    rotation: Rotation,
    centre: Vec<f32>,
    centre_square: f32,
    /// Mean of `|o|²`.
    mean_square: f32,
}

impl Coder {
    pub(super) fn new(seed: u64, centre: Vec<f32>, mean_square: f32) -> Self {
        let rotation = Rotation::new(seed, 64 * word_count(centre.len()));
        let centre_square = dot(&centre, &centre) as f32;
        Self { rotation, centre, centre_square, mean_square }
    }

    pub(super) fn words(&self) -> usize {
        word_count(self.centre.len())
    }

    /// The block of at most `BLOCK_ROWS` vectors that lie one after the other.
    pub(super) fn encode_block(&self, vectors: &[f16]) -> Vec<u8> {
        let words = self.words();
        let mut signs = vec![0_u64; words * BLOCK_ROWS];
        let mut factors = [f16::ZERO; 2 * BLOCK_ROWS];
        for (lane, vector) in vectors.chunks_exact(self.centre.len()).take(BLOCK_ROWS).enumerate() {
            let mut residual: Vec<f32> = vector.iter().zip(&self.centre).map(|(o, c)| o.to_f32() - c).collect();
            let b = dot(&residual, &self.centre);
            residual.resize(64 * words, 0.0);
            self.rotation.apply(&mut residual);
            let square = dot(&residual, &residual);
            let sum: f64 = residual.iter().map(|component| f64::from(component.abs())).sum();
            let a = if sum > 0.0 { square * (residual.len() as f64).sqrt() / sum } else { 0.0 };
            for (word, components) in residual.chunks_exact(64).enumerate() {
                let bits = components.iter().enumerate().fold(0, |bits, (i, &c)| bits | (u64::from(c >= 0.0) << i));
                if let Some(slot) = signs.get_mut(word * BLOCK_ROWS + lane) {
                    *slot = bits;
                }
            }
            if let Some([a_slot, .., b_slot]) = factors.get_mut(lane..=lane + BLOCK_ROWS) {
                (*a_slot, *b_slot) = (f16::from_f64(a), f16::from_f64(b));
            }
        }
        let mut block: Vec<u8> = signs.iter().flat_map(|word| word.to_le_bytes()).collect();
        block.extend(factors.iter().flat_map(|factor| factor.to_le_bytes()));
        block
    }

    /// Prepares a unit-length query of the column's dimension.
    pub(super) fn query(&self, components: &[f32]) -> CodeQuery {
        let words = self.words();
        let mut rotated: Vec<f32> = components.iter().zip(&self.centre).map(|(q, c)| q - c).collect();
        rotated.resize(64 * words, 0.0);
        self.rotation.apply(&mut rotated);
        let dimension = rotated.len() as f64;
        let square = dot(&rotated, &rotated);
        let step = HALF_STEP * (square / dimension).sqrt() as f32;
        let levels: Vec<f32> = rotated
            .iter()
            .map(|q| {
                let index = if step > 0.0 { ((q / step + LARGEST_LEVEL) / 2.0).round() } else { 0.0 };
                2.0 * index.clamp(0.0, LARGEST_LEVEL) - LARGEST_LEVEL
            })
            .collect();
        // Scaled so that the rounding error is orthogonal to the query, which keeps the estimate without bias.
        let overlap = dot(&levels, &rotated);
        let scale = if overlap > 0.0 { square / overlap } else { 0.0 };
        let error_square: f64 =
            levels.iter().zip(&rotated).map(|(&l, &q)| (f64::from(l) * scale - f64::from(q)).powi(2)).sum();
        let mut planes = Vec::with_capacity(words * PLANES);
        for run in levels.chunks_exact(64) {
            for plane in 0..PLANES {
                planes.push(run.iter().enumerate().fold(0_u64, |bits, (i, level)| {
                    let index = (level + LARGEST_LEVEL) as u64 / 2;
                    bits | (((index >> plane) & 1) << i)
                }));
            }
        }
        let unit = scale / dimension.sqrt();
        CodeQuery {
            tables: tables(&planes),
            planes,
            offset: (unit * dimension * f64::from(LARGEST_LEVEL)) as f32,
            slope: (2.0 * unit) as f32,
            base: dot(components, &self.centre) as f32,
            square: square as f32,
            error_square: error_square as f32,
            residual_base: self.mean_square - self.centre_square,
            spread: (f64::from(CONFIDENCE).powi(2) / (dimension - 1.0)) as f32,
        }
    }
}

/// A query as the code kernels read it.
#[derive(Debug, Clone)]
pub(super) struct CodeQuery {
    /// Word by word, `PLANES` planes each.
    pub(super) planes: Vec<u64>,
    /// The same for those who look up: see `tables`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "AVX2 alone looks up"))]
    pub(super) tables: Vec<[u8; 16]>,
    /// `<s, q'>` is `offset - slope * sum`, where `sum` adds `2^p` for every bit in which code and plane `p` differ.
    pub(super) offset: f32,
    pub(super) slope: f32,
    /// `<q, c>`.
    pub(super) base: f32,
    /// `|q'|²`.
    pub(super) square: f32,
    /// Square of the length of what rounding took from `q'`.
    pub(super) error_square: f32,
    /// `|r|²` is `residual_base - 2 b`.
    pub(super) residual_base: f32,
    /// `CONFIDENCE² / (D - 1)`.
    pub(super) spread: f32,
}

impl CodeQuery {
    /// The same query, with which only rows whose estimate is short of the floor by `SLACK` or less reach it.
    pub(super) fn by_estimate(self) -> Self {
        Self { spread: 0.0, ..self }
    }

    /// The unbiased estimate of the score of a row, from the weighted count of bits in which it differs.
    #[inline(always)]
    pub(super) fn estimate(&self, sum: f32, a: f32, b: f32) -> f32 {
        a * (self.offset - self.slope * sum) + (self.base + b)
    }

    /// Whether the true score can be `floor` or more. Kernels compute the same in the same order.
    #[inline(always)]
    pub(super) fn reaches(&self, estimate: f32, a: f32, b: f32, floor: f32) -> bool {
        let short = positive(Self::slack_floor(floor) - estimate);
        let needed = positive(floor - (self.base + b));
        let residual = positive(self.residual_base - 2.0 * b);
        let aside = positive(self.square * residual - needed * needed);
        let error = positive(a * a - residual) * aside + a * a * residual * self.error_square;
        let beyond = short * short * residual > self.spread * error;
        // Asked this way round, factors that are not numbers are re-scored rather than dropped.
        !beyond || short <= 0.0
    }

    /// A score that the row does not exceed, at most one: what `reaches` asks, without a floor to be near to.
    #[inline(always)]
    pub(super) fn upper(&self, estimate: f32, a: f32, b: f32) -> f32 {
        let residual = positive(self.residual_base - 2.0 * b);
        let a_square = a * a;
        let error = positive(a_square - residual) * self.square + a_square * self.error_square;
        let upper = estimate + ((self.spread * error).sqrt() + SLACK);
        // Factors that are not numbers bound nothing.
        if upper < 1.0 { upper } else { 1.0 }
    }

    /// The floor less what rounding may have taken.
    #[inline(always)]
    pub(super) fn slack_floor(floor: f32) -> f32 {
        floor - SLACK
    }
}

/// What a nibble of a code adds to `sum`, for each of its values: word by word, sixteen tables each, lowest bits first.
pub(super) fn tables(planes: &[u64]) -> Vec<[u8; 16]> {
    let (words, _) = planes.as_chunks::<PLANES>();
    let of_nibble = |planes: &[u64; PLANES], shift: usize| {
        // A bit that is not set differs from the planes that are, one that is set from the others.
        let unset = |bit: usize| {
            let plane = |(plane, bits): (usize, &u64)| (bits >> (shift + bit) & 1) << plane;
            planes.iter().enumerate().map(plane).sum::<u64>() as u8
        };
        let unset: [u8; 4] = std::array::from_fn(unset);
        std::array::from_fn(|value| {
            let bits = unset.iter().enumerate();
            bits.map(|(bit, &unset)| if value >> bit & 1 == 0 { unset } else { LARGEST_LEVEL as u8 - unset }).sum()
        })
    };
    words.iter().flat_map(|planes| (0..16).map(move |nibble| of_nibble(planes, 4 * nibble))).collect()
}

#[inline(always)]
fn positive(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
