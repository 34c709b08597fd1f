//! What a machine's kernels are, and what they do alike.

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery};

/// Reads whole blocks of codes and appends the rows that can reach `floor`; `first` is the position of the first row.
pub(in super::super) type Scan = fn(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>);

/// Reads whole blocks of codes and appends for each row a score that it does not exceed.
pub(in super::super) type Uppers = fn(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>);

/// One machine's inner loops.
#[derive(Debug)]
pub(in super::super) struct Kernels {
    /// For reports.
    pub(in super::super) name: &'static str,
    /// Inner product of a padded query with a stored vector of little-endian f16, in the order of `distance`.
    pub(in super::super) dot: fn(query: &[f32], stored: &[u8]) -> f32,
    /// The code scan.
    pub(in super::super) scan: Scan,
    /// The code scan that bounds every row.
    pub(in super::super) uppers: Uppers,
    /// Adds what the codes of four components count to each row's sum.
    pub(in super::super) add_squares: fn(asked: &[Squares<'_>; 4], sums: &mut [f32]),
    /// Inner product of signed levels with a 4-bit code of half as many bytes, in the layout of `graph::nibbles`.
    pub(in super::super) nibble_dot: fn(levels: &[i8], code: &[u8]) -> i32,
    /// Inner products of levels, of at most `LARGEST_LEVEL`, with rows of as many bytes, a sum a row: whole runs of `LANES`,
    /// 4,096 at most.
    pub(in super::super) byte_dots: fn(levels: &[i16], rows: &[i8], sums: &mut [i32]),
}

/// The largest magnitude of a level in `Kernels::byte_dots`: 4,096 products with -127 to 127 still fit an i32.
pub(in super::super) const LARGEST_LEVEL: i16 = 4095;

/// Appends the rows of one block that can reach `floor`, from their weighted bit counts.
#[inline(always)]
pub(super) fn pick(
    query: &CodeQuery,
    sums: &[f32; BLOCK_ROWS],
    factors: &[u8],
    floor: f32,
    first: u32,
    out: &mut Vec<Candidate>,
) {
    let (a_bytes, b_bytes) = factors.split_at(factors.len() / 2);
    let mut lanes = [Candidate { position: 0, estimate: 0.0, a: 0.0, b: 0.0 }; BLOCK_ROWS];
    let mut hits = 0_u32;
    for (lane, slot) in lanes.iter_mut().enumerate() {
        let (Some(&sum), Some(a), Some(b)) = (sums.get(lane), half_at(a_bytes, lane), half_at(b_bytes, lane)) else {
            return;
        };
        let estimate = query.estimate(sum, a, b);
        *slot = Candidate { position: first + lane as u32, estimate, a, b };
        hits |= u32::from(query.reaches(estimate, a, b, floor)) << lane;
    }
    while hits != 0 {
        out.extend(lanes.get(hits.trailing_zeros() as usize));
        hits &= hits - 1;
    }
}

/// Appends a score that it does not exceed for each row of one block, from their weighted bit counts.
#[inline(always)]
pub(super) fn bound(query: &CodeQuery, sums: &[f32; BLOCK_ROWS], factors: &[u8], out: &mut Vec<f32>) {
    let (a_bytes, b_bytes) = factors.split_at(factors.len() / 2);
    for (lane, &sum) in sums.iter().enumerate() {
        let (Some(a), Some(b)) = (half_at(a_bytes, lane), half_at(b_bytes, lane)) else { return };
        out.push(query.upper(query.estimate(sum, a, b), a, b));
    }
}

/// A component's codes, row by row, and what they count: `weight` times the square of the code, first made `less`.
#[derive(Clone, Copy)]
pub(in super::super) struct Squares<'a> {
    pub(in super::super) weight: f32,
    pub(in super::super) less: u8,
    pub(in super::super) codes: &'a [u8],
}

/// `Kernels::add_squares`, as the compiler makes it for each machine.
#[inline(always)]
pub(super) fn add_squares(&[a, b, c, d]: &[Squares<'_>; 4], sums: &mut [f32]) {
    let counted = |one: Squares<'_>, code: u8| {
        let code = f32::from(code.saturating_sub(one.less));
        one.weight * (code * code)
    };
    let rows = a.codes.iter().zip(b.codes).zip(c.codes).zip(d.codes);
    for (sum, (((&of_a, &of_b), &of_c), &of_d)) in sums.iter_mut().zip(rows) {
        *sum = *sum + counted(a, of_a) + counted(b, of_b) + counted(c, of_c) + counted(d, of_d);
    }
}

#[inline(always)]
fn half_at(bytes: &[u8], index: usize) -> Option<f32> {
    let bytes = bytes.get(2 * index..)?.first_chunk()?;
    Some(half::f16::from_le_bytes(*bytes).to_f32())
}
