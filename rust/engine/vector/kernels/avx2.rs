//! AVX2, FMA and F16C: eight f32 or 32 bytes of codes a register.
#![expect(unsafe_code, reason = "vector intrinsics; the scalar kernel is what tests compare with")]

use std::arch::x86_64::*;

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery, PLANES, SLACK, block_byte_len};
use super::super::layout::{LANES, RUN_BYTES, RUN_COMPONENTS};
use super::prefetch::pieces_ahead;
use super::scalar;
use super::table::{self, Kernels, Squares};

/// The kernels, if the machine has what they need.
pub(super) fn kernels() -> Option<Kernels> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c"))
        .then_some(Kernels { name: "avx2", dot, scan, uppers, add_squares, nibble_dot, byte_dots })
}

fn dot(query: &[f32], stored: &[u8]) -> f32 {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { dot_wide(query, stored) }
}

fn scan(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { scan_wide(query, blocks, floor, first, out) }
}

fn uppers(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { uppers_wide(query, blocks, out) }
}

fn add_squares(asked: &[Squares<'_>; 4], sums: &mut [f32]) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { add_squares_wide(asked, sums) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn add_squares_wide(asked: &[Squares<'_>; 4], sums: &mut [f32]) {
    table::add_squares(asked, sums);
}

fn nibble_dot(levels: &[i8], code: &[u8]) -> i32 {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { nibble_dot_wide(levels, code) }
}

fn byte_dots(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    // SAFETY: this function is reachable only through `kernels`, which found the features.
    unsafe { byte_dots_wide(levels, rows, sums) }
}

#[target_feature(enable = "avx2")]
fn nibble_dot_wide(levels: &[i8], code: &[u8]) -> i32 {
    let (nibble, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut sum = _mm256_setzero_si256();
    for (levels, bytes) in levels.chunks_exact(RUN_COMPONENTS).zip(code.chunks_exact(RUN_BYTES)) {
        let mut four = _mm256_setzero_si256();
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
            let low = _mm256_maddubs_epi16(_mm256_and_si256(bytes, nibble), low);
            let high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble), high);
            // A pair of products is at most 2 x 15 x 128; four pairs fit i16.
            four = _mm256_add_epi16(four, _mm256_add_epi16(low, high));
        }
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(four, ones));
    }
    fold(sum)
}

#[target_feature(enable = "avx2")]
fn byte_dots_wide(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    const HALF: usize = LANES / 2;
    for (row, total) in pieces_ahead(rows, levels.len().max(1)).zip(sums) {
        let mut sum = _mm256_setzero_si256();
        for (levels, bytes) in levels.chunks_exact(HALF).zip(row.chunks_exact(HALF)) {
            // SAFETY: `levels` has 32 bytes and `bytes` 16; the loads need no alignment.
            let (levels, bytes) =
                unsafe { (_mm256_loadu_si256(levels.as_ptr().cast()), _mm_loadu_si128(bytes.as_ptr().cast())) };
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(levels, _mm256_cvtepi8_epi16(bytes)));
        }
        *total = fold(sum);
    }
}

/// The sum of eight numbers.
#[target_feature(enable = "avx2")]
fn fold(sum: __m256i) -> i32 {
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

/// Words up to which the weighted counts of a row, at most 15 a bit, fit 16 bits.
const MOST_WORDS: usize = 68;
/// Bytes of a word of all rows of a block.
const WORD_BYTES: usize = BLOCK_ROWS * 8;

/// Looks nibbles of codes up in the query's tables, sixteen rows at a time (the fast scan of André, Kermarrec and Le
/// Scouarnec, VLDB 2015): the bytes of a block are transposed on the way, so that a register holds the same byte of all
/// rows, and a table serves it whole.
#[target_feature(enable = "avx2,fma,f16c")]
fn scan_wide(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    let words = query.planes.len() / PLANES;
    if words > MOST_WORDS {
        return (scalar::KERNELS.scan)(query, blocks, floor, first, out);
    }
    let (tables, _) = query.tables.as_chunks::<16>();
    let bounds = Bounds::new(query, floor);
    for (index, block) in pieces_ahead(blocks, block_byte_len(words)).enumerate() {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        let first = first + (index * BLOCK_ROWS) as u32;
        let sums = block_sums(codes, tables);
        for (eight, &sums) in sums.iter().enumerate() {
            let (a, b) = factors_of(factors, eight);
            let (estimate, hits) = bounds.test(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sums)), a, b);
            if hits != 0 {
                push(hits, first + 8 * eight as u32, estimate, a, b, out);
            }
        }
    }
}

/// As `scan_wide`, with `CodeQuery::upper` of every row.
#[target_feature(enable = "avx2,fma,f16c")]
fn uppers_wide(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    let words = query.planes.len() / PLANES;
    if words > MOST_WORDS {
        return (scalar::KERNELS.uppers)(query, blocks, out);
    }
    let (tables, _) = query.tables.as_chunks::<16>();
    let bounds = Bounds::new(query, 0.0);
    for block in pieces_ahead(blocks, block_byte_len(words)) {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        let sums = block_sums(codes, tables);
        let mut uppers = [0.0_f32; BLOCK_ROWS];
        for (eight, &sums) in sums.iter().enumerate() {
            let (a, b) = factors_of(factors, eight);
            let upper = bounds.upper(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sums)), a, b);
            // SAFETY: eight f32 are written at a multiple of eight below 32; the store needs no alignment.
            unsafe { _mm256_storeu_ps(uppers.as_mut_ptr().add(8 * eight), upper) };
        }
        out.extend_from_slice(&uppers);
    }
}

/// The weighted counts of the rows of a block, eight rows a register.
#[inline]
#[target_feature(enable = "avx2")]
fn block_sums(codes: &[u8], tables: &[[[u8; 16]; 16]]) -> [__m128i; 4] {
    let low_bytes = _mm256_set1_epi16(0xff);
    let (codes, _) = codes.as_chunks::<WORD_BYTES>();
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for (bytes, tables) in codes.iter().zip(tables) {
        let bytes = transposed(bytes);
        for pair in 0..4 {
            // Each nibble counts at most 60, four of them fit a byte.
            let counts = _mm256_add_epi8(
                counts(bytes[2 * pair], &tables[4 * pair], &tables[4 * pair + 1]),
                counts(bytes[2 * pair + 1], &tables[4 * pair + 2], &tables[4 * pair + 3]),
            );
            even = _mm256_add_epi16(even, _mm256_and_si256(counts, low_bytes));
            odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(counts));
        }
    }
    in_order(even, odd)
}

/// The factors a and b of eight rows of a block.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn factors_of(factors: &[u8], eight: usize) -> (__m256, __m256) {
    let factors = factors.as_ptr();
    // SAFETY: the factors are 128 bytes, of which 16 are read at a multiple of 16 below 64, and 64 further on.
    unsafe {
        (
            _mm256_cvtph_ps(_mm_loadu_si128(factors.add(16 * eight).cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(factors.add(64 + 16 * eight).cast())),
        )
    }
}

/// What the nibbles of each byte count.
#[inline]
#[target_feature(enable = "avx2")]
fn counts(bytes: __m256i, low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    let nibble = _mm256_set1_epi8(15);
    // SAFETY: sixteen bytes are read from arrays of sixteen.
    let (low, high) = unsafe { (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast())) };
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
    _mm256_add_epi8(
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(low), _mm256_and_si256(bytes, nibble)),
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(high), upper),
    )
}

/// Register `b` holds byte `b` of the word of each row: in its lower half of rows 0, 4, …, 28, 1, 5, …, 29, in the upper
/// half of those two further on.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(word: &[u8; WORD_BYTES]) -> [__m256i; 8] {
    let at = word.as_ptr();
    // SAFETY: eight times 32 bytes are read of 256; the loads need no alignment.
    let (r0, r1, r2, r3, r4, r5, r6, r7) = unsafe {
        (
            _mm256_loadu_si256(at.cast()),
            _mm256_loadu_si256(at.add(32).cast()),
            _mm256_loadu_si256(at.add(64).cast()),
            _mm256_loadu_si256(at.add(96).cast()),
            _mm256_loadu_si256(at.add(128).cast()),
            _mm256_loadu_si256(at.add(160).cast()),
            _mm256_loadu_si256(at.add(192).cast()),
            _mm256_loadu_si256(at.add(224).cast()),
        )
    };
    // Rows that differ in one more bit of their number come together with each step; then even and odd rows. No closures
    // and no iterators: those of arrays are compiled without the feature, and then called for each register.
    let (a0, b0) = (_mm256_unpacklo_epi8(r0, r1), _mm256_unpackhi_epi8(r0, r1));
    let (a2, b2) = (_mm256_unpacklo_epi8(r2, r3), _mm256_unpackhi_epi8(r2, r3));
    let (a4, b4) = (_mm256_unpacklo_epi8(r4, r5), _mm256_unpackhi_epi8(r4, r5));
    let (a6, b6) = (_mm256_unpacklo_epi8(r6, r7), _mm256_unpackhi_epi8(r6, r7));
    let (c0, c1) = (_mm256_unpacklo_epi16(a0, a2), _mm256_unpackhi_epi16(a0, a2));
    let (c2, c3) = (_mm256_unpacklo_epi16(a4, a6), _mm256_unpackhi_epi16(a4, a6));
    let (d0, d1) = (_mm256_unpacklo_epi16(b0, b2), _mm256_unpackhi_epi16(b0, b2));
    let (d2, d3) = (_mm256_unpacklo_epi16(b4, b6), _mm256_unpackhi_epi16(b4, b6));
    let (e0, e1) = (_mm256_unpacklo_epi32(c0, c2), _mm256_unpackhi_epi32(c0, c2));
    let (e2, e3) = (_mm256_unpacklo_epi32(c1, c3), _mm256_unpackhi_epi32(c1, c3));
    let (f0, f1) = (_mm256_unpacklo_epi32(d0, d2), _mm256_unpackhi_epi32(d0, d2));
    let (f2, f3) = (_mm256_unpacklo_epi32(d1, d3), _mm256_unpackhi_epi32(d1, d3));
    [
        _mm256_unpacklo_epi64(e0, f0),
        _mm256_unpackhi_epi64(e0, f0),
        _mm256_unpacklo_epi64(e1, f1),
        _mm256_unpackhi_epi64(e1, f1),
        _mm256_unpacklo_epi64(e2, f2),
        _mm256_unpackhi_epi64(e2, f2),
        _mm256_unpacklo_epi64(e3, f3),
        _mm256_unpackhi_epi64(e3, f3),
    ]
}

/// The counts of `transposed` rows, eight rows a register, in the order of rows.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order(even: __m256i, odd: __m256i) -> [__m128i; 4] {
    let (low, high) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
    let (first, last) = (_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high));
    let (first, first_upper) = (_mm256_castsi256_si128(first), _mm256_extracti128_si256::<1>(first));
    let (last, last_upper) = (_mm256_castsi256_si128(last), _mm256_extracti128_si256::<1>(last));
    [
        _mm_unpacklo_epi32(first, first_upper),
        _mm_unpackhi_epi32(first, first_upper),
        _mm_unpacklo_epi32(last, last_upper),
        _mm_unpackhi_epi32(last, last_upper),
    ]
}

#[cold]
#[inline(never)]
#[target_feature(enable = "avx2")]
fn push(mut hits: u32, first: u32, estimate: __m256, a: __m256, b: __m256, out: &mut Vec<Candidate>) {
    let mut lanes = [[0.0_f32; 8]; 3];
    for (lane, value) in lanes.iter_mut().zip([estimate, a, b]) {
        // SAFETY: each row has eight f32; the store needs no alignment.
        unsafe { _mm256_storeu_ps(lane.as_mut_ptr(), value) };
    }
    let [estimates, a, b] = lanes;
    while hits != 0 {
        let lane = hits.trailing_zeros() as usize & 7;
        out.push(Candidate { position: first + lane as u32, estimate: estimates[lane], a: a[lane], b: b[lane] });
        hits &= hits - 1;
    }
}

/// `CodeQuery::estimate`, `CodeQuery::reaches` and `CodeQuery::upper` for eight rows, in the same order.
struct Bounds {
    offset: __m256,
    slope: __m256,
    base: __m256,
    square: __m256,
    error_square: __m256,
    residual_base: __m256,
    spread: __m256,
    floor: __m256,
    slack_floor: __m256,
}

impl Bounds {
    #[target_feature(enable = "avx2")]
    fn new(query: &CodeQuery, floor: f32) -> Self {
        Self {
            offset: _mm256_set1_ps(query.offset),
            slope: _mm256_set1_ps(query.slope),
            base: _mm256_set1_ps(query.base),
            square: _mm256_set1_ps(query.square),
            error_square: _mm256_set1_ps(query.error_square),
            residual_base: _mm256_set1_ps(query.residual_base),
            spread: _mm256_set1_ps(query.spread),
            floor: _mm256_set1_ps(floor),
            slack_floor: _mm256_set1_ps(CodeQuery::slack_floor(floor)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn upper(&self, sum: __m256, a: __m256, b: __m256) -> __m256 {
        let zero = _mm256_setzero_ps();
        let centred = _mm256_add_ps(self.base, b);
        let inner = _mm256_sub_ps(self.offset, _mm256_mul_ps(self.slope, sum));
        let estimate = _mm256_add_ps(_mm256_mul_ps(a, inner), centred);
        let residual = _mm256_max_ps(_mm256_sub_ps(self.residual_base, _mm256_add_ps(b, b)), zero);
        let a_square = _mm256_mul_ps(a, a);
        let error = _mm256_mul_ps(_mm256_max_ps(_mm256_sub_ps(a_square, residual), zero), self.square);
        let error = _mm256_add_ps(error, _mm256_mul_ps(a_square, self.error_square));
        let aside = _mm256_add_ps(_mm256_sqrt_ps(_mm256_mul_ps(self.spread, error)), _mm256_set1_ps(SLACK));
        // The lesser is the second operand where the first is NaN.
        _mm256_min_ps(_mm256_add_ps(estimate, aside), _mm256_set1_ps(1.0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn test(&self, sum: __m256, a: __m256, b: __m256) -> (__m256, u32) {
        // max(value, 0) gives its second operand where the first is NaN, like `positive`.
        let zero = _mm256_setzero_ps();
        let centred = _mm256_add_ps(self.base, b);
        let inner = _mm256_sub_ps(self.offset, _mm256_mul_ps(self.slope, sum));
        let estimate = _mm256_add_ps(_mm256_mul_ps(a, inner), centred);
        let short = _mm256_max_ps(_mm256_sub_ps(self.slack_floor, estimate), zero);
        let needed = _mm256_max_ps(_mm256_sub_ps(self.floor, centred), zero);
        let residual = _mm256_max_ps(_mm256_sub_ps(self.residual_base, _mm256_add_ps(b, b)), zero);
        let aside = _mm256_sub_ps(_mm256_mul_ps(self.square, residual), _mm256_mul_ps(needed, needed));
        let aside = _mm256_max_ps(aside, zero);
        let a_square = _mm256_mul_ps(a, a);
        let error = _mm256_mul_ps(_mm256_max_ps(_mm256_sub_ps(a_square, residual), zero), aside);
        let rounding = _mm256_mul_ps(_mm256_mul_ps(a_square, residual), self.error_square);
        let error = _mm256_mul_ps(self.spread, _mm256_add_ps(error, rounding));
        let missing = _mm256_mul_ps(_mm256_mul_ps(short, short), residual);
        let within = _mm256_cmp_ps::<_CMP_NGT_UQ>(missing, error);
        let within = _mm256_or_ps(within, _mm256_cmp_ps::<_CMP_LE_OQ>(short, zero));
        (estimate, _mm256_movemask_ps(within) as u32)
    }
}
