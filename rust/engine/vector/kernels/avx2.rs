//! AVX2, FMA and F16C: eight f32 or four code words a register.
#![expect(unsafe_code, reason = "vector intrinsics; the scalar kernel is what tests compare with")]

use std::arch::x86_64::*;

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery, PLANES, block_byte_len};
use super::super::distance::LANES;
use super::super::graph::nibbles::{RUN_BYTES, RUN_COMPONENTS};
use super::{Kernels, pick};

/// The kernels, if the machine has what they need.
pub(super) fn kernels() -> Option<Kernels> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c"))
        .then_some(Kernels { name: "avx2", dot, scan, nibble_dot })
}

fn dot(query: &[f32], stored: &[u8]) -> f32 {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { dot_wide(query, stored) }
}

fn scan(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { scan_wide(query, blocks, floor, first, out) }
}

fn nibble_dot(levels: &[i8], code: &[u8]) -> i32 {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { nibble_dot_wide(levels, code) }
}

#[target_feature(enable = "avx2")]
fn nibble_dot_wide(levels: &[i8], code: &[u8]) -> i32 {
    let (nibble, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut sum = _mm256_setzero_si256();
    for (levels, bytes) in levels.chunks_exact(RUN_COMPONENTS).zip(code.chunks_exact(RUN_BYTES)) {
        for half in 0..2 {
            // SAFETY: `levels` has 128 bytes and `bytes` 64, of which 32 are read at 0 or 32 (and 64 further on); the
            // loads need no alignment.
            let (bytes, low, high) = unsafe {
                (
                    _mm256_loadu_si256(bytes.as_ptr().add(32 * half).cast()),
                    _mm256_loadu_si256(levels.as_ptr().add(32 * half).cast()),
                    _mm256_loadu_si256(levels.as_ptr().add(RUN_BYTES + 32 * half).cast()),
                )
            };
            // Pairs of products are at most 2 x 15 x 128, four of them fit i16.
            let low = _mm256_maddubs_epi16(_mm256_and_si256(bytes, nibble), low);
            let high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble), high);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(low, high), ones));
        }
    }
    let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

#[target_feature(enable = "avx2,fma,f16c")]
fn dot_wide(query: &[f32], stored: &[u8]) -> f32 {
    let mut lanes = [_mm256_setzero_ps(); 4];
    let mut runs = stored.chunks_exact(2 * LANES);
    let (queries, _) = query.as_chunks::<LANES>();
    let mut queries = queries.iter();
    for (x, q) in runs.by_ref().zip(queries.by_ref()) {
        lanes = step(lanes, q, x);
    }
    let rest = runs.remainder();
    if let (Some(q), false) =
        (query.get(stored.len() / (2 * LANES) * LANES..).and_then(|q| q.first_chunk()), rest.is_empty())
    {
        let mut x = [0_u8; 2 * LANES];
        for (to, &from) in x.iter_mut().zip(rest) {
            *to = from;
        }
        lanes = step(lanes, q, &x);
    }
    let [a, b, c, d] = lanes;
    let eight = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// One run of `LANES` components; `x` has twice as many bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn step(lanes: [__m256; 4], q: &[f32; LANES], x: &[u8]) -> [__m256; 4] {
    let Some(x) = x.first_chunk::<{ 2 * LANES }>() else { return lanes };
    let mut next = lanes;
    for (i, lane) in next.iter_mut().enumerate() {
        // SAFETY: `i` is below four, so the loads end at 32 f32 and 64 bytes; they need no alignment.
        unsafe {
            let x = _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(16 * i).cast()));
            *lane = _mm256_fmadd_ps(_mm256_loadu_ps(q.as_ptr().add(8 * i)), x, *lane);
        }
    }
    next
}

/// Counts bits by looking nibbles up (Muła, Kurz and Lemire, 2018): planes are weighted before bytes are summed.
#[target_feature(enable = "avx2,fma,f16c")]
fn scan_wide(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    const RUN_BYTES: usize = BLOCK_ROWS * 8;
    let words = query.planes.len() / PLANES;
    let (planes, _) = query.planes.as_chunks::<PLANES>();
    let nibble = _mm256_set1_epi8(15);
    // Entry n: bits set in n, once for each weight of two planes; 8 + 2 x 8 fits a byte many times over.
    let ones = table(1);
    let twos = table(2);
    for (index, block) in blocks.chunks_exact(block_byte_len(words)).enumerate() {
        let (codes, factors) = block.split_at(words * RUN_BYTES);
        let mut low = [_mm256_setzero_si256(); 8];
        let mut high = [_mm256_setzero_si256(); 8];
        for (run, planes) in codes.chunks_exact(RUN_BYTES).zip(planes) {
            let planes = planes.map(|plane| _mm256_set1_epi64x(plane.cast_signed()));
            for (i, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
                // SAFETY: a run has 256 bytes and `i` is below eight; the load needs no alignment.
                let row = unsafe { _mm256_loadu_si256(run.as_ptr().add(32 * i).cast()) };
                let count = |plane: __m256i, table: __m256i| {
                    let differing = _mm256_xor_si256(row, plane);
                    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(differing), nibble);
                    _mm256_add_epi8(
                        _mm256_shuffle_epi8(table, _mm256_and_si256(differing, nibble)),
                        _mm256_shuffle_epi8(table, upper),
                    )
                };
                let zero = _mm256_setzero_si256();
                let weighted = _mm256_add_epi8(count(planes[0], ones), count(planes[1], twos));
                *low = _mm256_add_epi64(*low, _mm256_sad_epu8(weighted, zero));
                let weighted = _mm256_add_epi8(count(planes[2], ones), count(planes[3], twos));
                *high = _mm256_add_epi64(*high, _mm256_sad_epu8(weighted, zero));
            }
        }
        let mut sums = [0.0_f32; BLOCK_ROWS];
        for ((sums, &low), &high) in sums.chunks_exact_mut(4).zip(&low).zip(&high) {
            let mut words = [0_u64; 4];
            let total = _mm256_add_epi64(low, _mm256_slli_epi64::<2>(high));
            // SAFETY: `words` has 32 bytes; the store needs no alignment.
            unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), total) };
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = word as f32;
            }
        }
        pick(query, &sums, factors, floor, first + (index * BLOCK_ROWS) as u32, out);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn table(weight: i8) -> __m256i {
    let counts: [i8; 16] = std::array::from_fn(|nibble| nibble.count_ones() as i8 * weight);
    // SAFETY: sixteen bytes are read from an array of sixteen.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(counts.as_ptr().cast()) })
}
