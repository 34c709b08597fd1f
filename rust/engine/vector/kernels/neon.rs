//! NEON (part of every aarch64): four f32 or two code words a register.
#![expect(unsafe_code, reason = "vector intrinsics; the scalar kernel is what tests compare with")]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery, PLANES, block_byte_len};
use super::super::layout::{LANES, RUN_BYTES, RUN_COMPONENTS};
use super::prefetch::pieces_ahead;
use super::table::{self, Kernels, Squares, bound, pick};

/// The kernels, if the machine has what they need.
pub(super) fn kernels() -> Option<Kernels> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(Kernels {
        name: "neon",
        dot,
        scan,
        uppers,
        add_squares,
        nibble_dot,
        byte_dots,
    })
}

fn dot(query: &[f32], stored: &[u8]) -> f32 {
    // SAFETY: this function is reachable only through `kernels`, which found the feature.
    unsafe { dot_wide(query, stored) }
}

fn scan(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    // SAFETY: this function is reachable only through `kernels`, which found the feature.
    unsafe { scan_wide(query, blocks, floor, first, out) }
}

fn uppers(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    // SAFETY: this function is reachable only through `kernels`, which found the feature.
    unsafe { uppers_wide(query, blocks, out) }
}

fn add_squares(asked: &[Squares<'_>; 4], sums: &mut [f32]) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { add_squares_wide(asked, sums) }
}

#[target_feature(enable = "neon")]
fn add_squares_wide(asked: &[Squares<'_>; 4], sums: &mut [f32]) {
    table::add_squares(asked, sums);
}

fn nibble_dot(levels: &[i8], code: &[u8]) -> i32 {
    // SAFETY: this function is reachable only through `kernels`, which found the feature.
    unsafe { nibble_dot_wide(levels, code) }
}

fn byte_dots(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    // SAFETY: this function is reachable only through `kernels`, which found the feature.
    unsafe { byte_dots_wide(levels, rows, sums) }
}

#[target_feature(enable = "neon")]
fn nibble_dot_wide(levels: &[i8], code: &[u8]) -> i32 {
    let mut sum = vdupq_n_s32(0);
    for (levels, bytes) in levels.chunks_exact(RUN_COMPONENTS).zip(code.chunks_exact(RUN_BYTES)) {
        for quarter in 0..4 {
            // SAFETY: `levels` has 128 bytes and `bytes` 64, of which 16 are read at a multiple of 16 below 64 (and 64
            // further on); the loads need no alignment.
            let (bytes, low, high) = unsafe {
                (
                    vld1q_u8(bytes.as_ptr().add(16 * quarter)),
                    vld1q_s8(levels.as_ptr().add(16 * quarter)),
                    vld1q_s8(levels.as_ptr().add(RUN_BYTES + 16 * quarter)),
                )
            };
            let first = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            let second = vreinterpretq_s8_u8(vshrq_n_u8::<4>(bytes));
            // Four products are at most 4 x 15 x 128, which fits i16.
            let mut products = vmull_s8(vget_low_s8(first), vget_low_s8(low));
            products = vmlal_s8(products, vget_high_s8(first), vget_high_s8(low));
            products = vmlal_s8(products, vget_low_s8(second), vget_low_s8(high));
            products = vmlal_s8(products, vget_high_s8(second), vget_high_s8(high));
            sum = vpadalq_s16(sum, products);
        }
    }
    vaddvq_s32(sum)
}

#[target_feature(enable = "neon")]
fn byte_dots_wide(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    for (row, total) in pieces_ahead(rows, levels.len().max(1)).zip(sums) {
        let mut sum = vdupq_n_s32(0);
        for (levels, bytes) in levels.chunks_exact(8).zip(row.chunks_exact(8)) {
            // SAFETY: `levels` has 16 bytes and `bytes` 8; the loads need no alignment.
            let (levels, bytes) = unsafe { (vld1q_s16(levels.as_ptr()), vmovl_s8(vld1_s8(bytes.as_ptr()))) };
            sum = vmlal_s16(sum, vget_low_s16(levels), vget_low_s16(bytes));
            sum = vmlal_s16(sum, vget_high_s16(levels), vget_high_s16(bytes));
        }
        *total = vaddvq_s32(sum);
    }
}

#[target_feature(enable = "neon")]
fn dot_wide(query: &[f32], stored: &[u8]) -> f32 {
    let mut lanes = [vdupq_n_f32(0.0); 8];
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
    let [a, b, c, d, e, f, g, h] = lanes;
    let eight = (vaddq_f32(vaddq_f32(a, e), vaddq_f32(c, g)), vaddq_f32(vaddq_f32(b, f), vaddq_f32(d, h)));
    let four = vaddq_f32(eight.0, eight.1);
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
}

/// One run of `LANES` components; `x` has twice as many bytes.
#[inline]
#[target_feature(enable = "neon")]
fn step(lanes: [float32x4_t; 8], q: &[f32; LANES], x: &[u8]) -> [float32x4_t; 8] {
    let Some(x) = x.first_chunk::<{ 2 * LANES }>() else { return lanes };
    let mut next = lanes;
    for (i, pair) in next.chunks_exact_mut(2).enumerate() {
        // SAFETY: `i` is below four, so the loads end at 32 f32 and 64 bytes; they need no alignment. FCVTL belongs to
        // the base instruction set; its intrinsics would need the unstable type f16.
        unsafe {
            let halves = vld1q_u8(x.as_ptr().add(16 * i));
            let (x_low, x_high): (float32x4_t, float32x4_t);
            asm!(
                "fcvtl {low:v}.4s, {halves:v}.4h",
                "fcvtl2 {high:v}.4s, {halves:v}.8h",
                low = out(vreg) x_low, high = lateout(vreg) x_high, halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags)
            );
            if let [low, high] = pair {
                *low = vfmaq_f32(*low, vld1q_f32(q.as_ptr().add(8 * i)), x_low);
                *high = vfmaq_f32(*high, vld1q_f32(q.as_ptr().add(8 * i + 4)), x_high);
            }
        }
    }
    next
}

#[target_feature(enable = "neon")]
fn scan_wide(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    let words = query.planes.len() / PLANES;
    let (planes, _) = query.planes.as_chunks::<PLANES>();
    for (index, block) in pieces_ahead(blocks, block_byte_len(words)).enumerate() {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        pick(query, &block_sums(codes, planes), factors, floor, first + (index * BLOCK_ROWS) as u32, out);
    }
}

/// As `scan_wide`, with `CodeQuery::upper` of every row.
#[target_feature(enable = "neon")]
fn uppers_wide(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    let words = query.planes.len() / PLANES;
    let (planes, _) = query.planes.as_chunks::<PLANES>();
    for block in pieces_ahead(blocks, block_byte_len(words)) {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        bound(query, &block_sums(codes, planes), factors, out);
    }
}

/// Bytes of a word of all rows of a block.
const WORD_BYTES: usize = BLOCK_ROWS * 8;

/// The weighted counts of the rows of a block.
#[inline]
#[target_feature(enable = "neon")]
fn block_sums(codes: &[u8], planes: &[[u64; PLANES]]) -> [f32; BLOCK_ROWS] {
    let mut totals = [vdupq_n_u32(0); BLOCK_ROWS / 2];
    for (run, planes) in codes.chunks_exact(WORD_BYTES).zip(planes) {
        let planes = planes.map(|plane| vreinterpretq_u8_u64(vdupq_n_u64(plane)));
        for (i, total) in totals.iter_mut().enumerate() {
            // SAFETY: a run has 256 bytes and `i` is below sixteen; the load needs no alignment.
            let row = unsafe { vld1q_u8(run.as_ptr().add(16 * i)) };
            let [ones, twos, fours, eights] = planes.map(|plane| vcntq_u8(veorq_u8(row, plane)));
            // At most 8 × 15 a byte.
            let high = vaddq_u8(fours, vaddq_u8(eights, eights));
            let high = vaddq_u8(twos, vaddq_u8(high, high));
            let weighted = vaddq_u8(ones, vaddq_u8(high, high));
            *total = vpadalq_u16(*total, vpaddlq_u8(weighted));
        }
    }
    let mut sums = [0.0_f32; BLOCK_ROWS];
    for (sums, &total) in sums.chunks_exact_mut(2).zip(&totals) {
        let pair = vpaddlq_u32(total);
        if let [a, b] = sums {
            (*a, *b) = (vgetq_lane_u64::<0>(pair) as f32, vgetq_lane_u64::<1>(pair) as f32);
        }
    }
    sums
}
