//! What every kernel computes, in plain code.

use half::f16;

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery, PLANES, block_byte_len};
use super::super::layout::{LANES, RUN_BYTES, RUN_COMPONENTS};
use super::table::{Kernels, add_squares, bound, pick};

pub(super) const KERNELS: Kernels = Kernels { name: "scalar", dot, scan, uppers, add_squares, nibble_dot, byte_dots };

fn dot(query: &[f32], stored: &[u8]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (pairs, _) = stored.as_chunks::<2>();
    let mut queries = query.chunks_exact(LANES);
    for run in pairs.chunks(LANES) {
        let Some(query) = queries.next() else { break };
        // Past the end both sides count as zero: the same fused step, so that signs of zero agree as well.
        for (index, (lane, &q)) in lanes.iter_mut().zip(query).enumerate() {
            let x = run.get(index).map_or(0.0, |&bytes| f16::from_le_bytes(bytes).to_f32());
            *lane = q.mul_add(x, *lane);
        }
    }
    fold(lanes)
}

/// Adds the upper half of the lanes to the lower half until one is left.
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        for (a, b) in low.iter_mut().zip(high) {
            *a += *b;
        }
        width /= 2;
    }
    let [sum, ..] = lanes;
    sum
}

fn scan(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    let words = query.planes.len() / PLANES;
    for (index, block) in blocks.chunks_exact(block_byte_len(words)).enumerate() {
        let (codes, factors) = block.split_at(words * BLOCK_ROWS * 8);
        pick(query, &sums(query, codes), factors, floor, first + (index * BLOCK_ROWS) as u32, out);
    }
}

fn uppers(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    let words = query.planes.len() / PLANES;
    for block in blocks.chunks_exact(block_byte_len(words)) {
        let (codes, factors) = block.split_at(words * BLOCK_ROWS * 8);
        bound(query, &sums(query, codes), factors, out);
    }
}

/// The weighted count of the bits in which each row of a block differs from the query.
fn sums(query: &CodeQuery, codes: &[u8]) -> [f32; BLOCK_ROWS] {
    let mut sums = [0_u32; BLOCK_ROWS];
    for (run, planes) in codes.chunks_exact(BLOCK_ROWS * 8).zip(query.planes.chunks_exact(PLANES)) {
        let (run, _) = run.as_chunks::<8>();
        for (sum, &code) in sums.iter_mut().zip(run) {
            let code = u64::from_le_bytes(code);
            for (plane, bits) in planes.iter().enumerate() {
                *sum += (code ^ bits).count_ones() << plane;
            }
        }
    }
    sums.map(|sum| sum as f32)
}

fn nibble_dot(levels: &[i8], code: &[u8]) -> i32 {
    let mut sum = 0;
    for (levels, bytes) in levels.chunks_exact(RUN_COMPONENTS).zip(code.chunks_exact(RUN_BYTES)) {
        let (low, high) = levels.split_at(RUN_BYTES);
        for ((&low, &high), &byte) in low.iter().zip(high).zip(bytes) {
            sum += i32::from(low) * i32::from(byte & 15) + i32::from(high) * i32::from(byte >> 4);
        }
    }
    sum
}

fn byte_dots(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    for (row, sum) in rows.chunks_exact(levels.len().max(1)).zip(sums) {
        *sum = levels.iter().zip(row).map(|(&level, &byte)| i32::from(level) * i32::from(byte)).sum();
    }
}
