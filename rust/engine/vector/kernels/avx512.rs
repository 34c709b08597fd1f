//! AVX-512 (F, BW, DQ, VPOPCNTDQ, VNNI): sixteen f32 or eight code words a register.
#![expect(unsafe_code, reason = "vector intrinsics; the scalar kernel is what tests compare with")]

use std::arch::x86_64::*;

use super::super::codes::{BLOCK_ROWS, Candidate, CodeQuery, PLANES, SLACK, block_byte_len};
use super::super::layout::{LANES, RUN_BYTES, RUN_COMPONENTS};
use super::prefetch::pieces_ahead;
use super::table::{self, Kernels, Squares};

/// The kernels, if the machine has what they need.
pub(super) fn kernels() -> Option<Kernels> {
    (is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vpopcntdq"))
    .then_some(Kernels { name: "avx512", dot, scan, uppers, add_squares, nibble_dot, byte_dots })
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

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
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

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn nibble_dot_wide(levels: &[i8], code: &[u8]) -> i32 {
    let nibble = _mm512_set1_epi8(15);
    let (mut low, mut high) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for (levels, bytes) in levels.chunks_exact(RUN_COMPONENTS).zip(code.chunks_exact(RUN_BYTES)) {
        // SAFETY: `levels` has 128 bytes and `bytes` 64; the loads need no alignment.
        let (bytes, level_low, level_high) = unsafe {
            (
                _mm512_loadu_si512(bytes.as_ptr().cast()),
                _mm512_loadu_si512(levels.as_ptr().cast()),
                _mm512_loadu_si512(levels.as_ptr().add(RUN_BYTES).cast()),
            )
        };
        low = _mm512_dpbusd_epi32(low, _mm512_and_si512(bytes, nibble), level_low);
        high = _mm512_dpbusd_epi32(high, _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), nibble), level_high);
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(low, high))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn byte_dots_wide(levels: &[i16], rows: &[i8], sums: &mut [i32]) {
    for (row, total) in pieces_ahead(rows, levels.len().max(1)).zip(sums) {
        let mut sum = _mm512_setzero_si512();
        for (levels, bytes) in levels.chunks_exact(LANES).zip(row.chunks_exact(LANES)) {
            // SAFETY: `levels` has 64 bytes and `bytes` 32; the loads need no alignment.
            let (levels, bytes) =
                unsafe { (_mm512_loadu_si512(levels.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().cast())) };
            sum = _mm512_dpwssd_epi32(sum, levels, _mm512_cvtepi8_epi16(bytes));
        }
        *total = _mm512_reduce_add_epi32(sum);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn dot_wide(query: &[f32], stored: &[u8]) -> f32 {
    let (mut low, mut high) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    let mut queries = query.chunks_exact(LANES);
    let mut runs = stored.chunks_exact(2 * LANES);
    for (q, x) in queries.by_ref().zip(runs.by_ref()) {
        // SAFETY: `q` has 32 f32 and `x` 64 bytes; the loads need no alignment.
        unsafe {
            let x_low = _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast()));
            let x_high = _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().add(32).cast()));
            low = _mm512_fmadd_ps(_mm512_loadu_ps(q.as_ptr()), x_low, low);
            high = _mm512_fmadd_ps(_mm512_loadu_ps(q.as_ptr().add(16)), x_high, high);
        }
    }
    let rest = runs.remainder();
    if let (Some(q), false) =
        (query.get(stored.len() / (2 * LANES) * LANES..).and_then(|q| q.first_chunk::<LANES>()), rest.is_empty())
    {
        let present = (1_u32 << (rest.len() / 2)) - 1;
        // SAFETY: the mask leaves out what lies past `rest`; `q` has 32 f32.
        unsafe {
            let x = _mm512_maskz_loadu_epi16(present, rest.as_ptr().cast());
            let x_low = _mm512_cvtph_ps(_mm512_castsi512_si256(x));
            let x_high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(x));
            low = _mm512_fmadd_ps(_mm512_loadu_ps(q.as_ptr()), x_low, low);
            high = _mm512_fmadd_ps(_mm512_loadu_ps(q.as_ptr().add(16)), x_high, high);
        }
    }
    let sixteen = _mm512_add_ps(low, high);
    let eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), _mm512_extractf32x8_ps::<1>(sixteen));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn scan_wide(query: &CodeQuery, blocks: &[u8], floor: f32, first: u32, out: &mut Vec<Candidate>) {
    let words = query.planes.len() / PLANES;
    let (planes, _) = query.planes.as_chunks::<PLANES>();
    let bounds = Bounds::new(query, floor);
    for (index, block) in pieces_ahead(blocks, block_byte_len(words)).enumerate() {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        let sums = block_sums(codes, planes);
        let first = first + (index * BLOCK_ROWS) as u32;
        for (half, &sum) in sums.iter().enumerate() {
            let (a, b) = factors_of(factors, half);
            let (estimate, hits) = bounds.test(sum, a, b);
            if hits != 0 {
                push(hits, first + 16 * half as u32, estimate, a, b, out);
            }
        }
    }
}

/// As `scan_wide`, with `CodeQuery::upper` of every row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn uppers_wide(query: &CodeQuery, blocks: &[u8], out: &mut Vec<f32>) {
    let words = query.planes.len() / PLANES;
    let (planes, _) = query.planes.as_chunks::<PLANES>();
    let bounds = Bounds::new(query, 0.0);
    for block in pieces_ahead(blocks, block_byte_len(words)) {
        let (codes, factors) = block.split_at(words * WORD_BYTES);
        let sums = block_sums(codes, planes);
        let mut uppers = [0.0_f32; BLOCK_ROWS];
        for (half, &sum) in sums.iter().enumerate() {
            let (a, b) = factors_of(factors, half);
            // SAFETY: sixteen f32 are written at 0 or 16 of 32; the store needs no alignment.
            unsafe { _mm512_storeu_ps(uppers.as_mut_ptr().add(16 * half), bounds.upper(sum, a, b)) };
        }
        out.extend_from_slice(&uppers);
    }
}

/// Bytes of a word of all rows of a block.
const WORD_BYTES: usize = BLOCK_ROWS * 8;

/// The weighted counts of the rows of a block, sixteen rows a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn block_sums(codes: &[u8], planes: &[[u64; PLANES]]) -> [__m512; 2] {
    let mut counts = [[_mm512_setzero_si512(); 4]; PLANES];
    for (run, planes) in codes.chunks_exact(WORD_BYTES).zip(planes) {
        let run = run.as_ptr();
        // SAFETY: a run has 256 bytes; the loads need no alignment.
        let rows: [__m512i; 4] = std::array::from_fn(|i| unsafe { _mm512_loadu_si512(run.add(64 * i).cast()) });
        for (counts, &plane) in counts.iter_mut().zip(planes) {
            let plane = _mm512_set1_epi64(plane.cast_signed());
            for (count, &row) in counts.iter_mut().zip(&rows) {
                *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(_mm512_xor_si512(row, plane)));
            }
        }
    }
    let [ones, twos, fours, eights] = counts;
    let sums: [__m256i; 4] = std::array::from_fn(|i| {
        let high = _mm512_add_epi64(fours[i], _mm512_add_epi64(eights[i], eights[i]));
        let high = _mm512_add_epi64(twos[i], _mm512_add_epi64(high, high));
        _mm512_cvtepi64_epi32(_mm512_add_epi64(ones[i], _mm512_add_epi64(high, high)))
    });
    let [a, b, c, d] = sums;
    [
        _mm512_cvtepi32_ps(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)),
        _mm512_cvtepi32_ps(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(c), d)),
    ]
}

/// The factors a and b of sixteen rows of a block.
#[inline]
#[target_feature(enable = "avx512f")]
fn factors_of(factors: &[u8], half: usize) -> (__m512, __m512) {
    let factors = factors.as_ptr();
    // SAFETY: the factors are 128 bytes, of which 32 are read at 0 or 32 and at 64 or 96.
    unsafe {
        (
            _mm512_cvtph_ps(_mm256_loadu_si256(factors.add(32 * half).cast())),
            _mm512_cvtph_ps(_mm256_loadu_si256(factors.add(64 + 32 * half).cast())),
        )
    }
}

#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn push(mut hits: u16, first: u32, estimate: __m512, a: __m512, b: __m512, out: &mut Vec<Candidate>) {
    let mut lanes = [[0.0_f32; 16]; 3];
    for (lane, value) in lanes.iter_mut().zip([estimate, a, b]) {
        // SAFETY: each row has sixteen f32; the store needs no alignment.
        unsafe { _mm512_storeu_ps(lane.as_mut_ptr(), value) };
    }
    let [estimates, a, b] = lanes;
    while hits != 0 {
        let lane = hits.trailing_zeros() as usize & 15;
        out.push(Candidate { position: first + lane as u32, estimate: estimates[lane], a: a[lane], b: b[lane] });
        hits &= hits - 1;
    }
}

/// `CodeQuery::estimate`, `CodeQuery::reaches` and `CodeQuery::upper` for sixteen rows, in the same order.
struct Bounds {
    offset: __m512,
    slope: __m512,
    base: __m512,
    square: __m512,
    error_square: __m512,
    residual_base: __m512,
    spread: __m512,
    floor: __m512,
    slack_floor: __m512,
}

impl Bounds {
    #[target_feature(enable = "avx512f")]
    fn new(query: &CodeQuery, floor: f32) -> Self {
        Self {
            offset: _mm512_set1_ps(query.offset),
            slope: _mm512_set1_ps(query.slope),
            base: _mm512_set1_ps(query.base),
            square: _mm512_set1_ps(query.square),
            error_square: _mm512_set1_ps(query.error_square),
            residual_base: _mm512_set1_ps(query.residual_base),
            spread: _mm512_set1_ps(query.spread),
            floor: _mm512_set1_ps(floor),
            slack_floor: _mm512_set1_ps(CodeQuery::slack_floor(floor)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn upper(&self, sum: __m512, a: __m512, b: __m512) -> __m512 {
        let zero = _mm512_setzero_ps();
        let centred = _mm512_add_ps(self.base, b);
        let inner = _mm512_sub_ps(self.offset, _mm512_mul_ps(self.slope, sum));
        let estimate = _mm512_add_ps(_mm512_mul_ps(a, inner), centred);
        let residual = _mm512_max_ps(_mm512_sub_ps(self.residual_base, _mm512_add_ps(b, b)), zero);
        let a_square = _mm512_mul_ps(a, a);
        let error = _mm512_mul_ps(_mm512_max_ps(_mm512_sub_ps(a_square, residual), zero), self.square);
        let error = _mm512_add_ps(error, _mm512_mul_ps(a_square, self.error_square));
        let aside = _mm512_add_ps(_mm512_sqrt_ps(_mm512_mul_ps(self.spread, error)), _mm512_set1_ps(SLACK));
        // The lesser is the second operand where the first is NaN.
        _mm512_min_ps(_mm512_add_ps(estimate, aside), _mm512_set1_ps(1.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn test(&self, sum: __m512, a: __m512, b: __m512) -> (__m512, u16) {
        // max(value, 0) gives its second operand where the first is NaN, like `positive`.
        let zero = _mm512_setzero_ps();
        let centred = _mm512_add_ps(self.base, b);
        let inner = _mm512_sub_ps(self.offset, _mm512_mul_ps(self.slope, sum));
        let estimate = _mm512_add_ps(_mm512_mul_ps(a, inner), centred);
        let short = _mm512_max_ps(_mm512_sub_ps(self.slack_floor, estimate), zero);
        let needed = _mm512_max_ps(_mm512_sub_ps(self.floor, centred), zero);
        let residual = _mm512_max_ps(_mm512_sub_ps(self.residual_base, _mm512_add_ps(b, b)), zero);
        let aside = _mm512_sub_ps(_mm512_mul_ps(self.square, residual), _mm512_mul_ps(needed, needed));
        let aside = _mm512_max_ps(aside, zero);
        let a_square = _mm512_mul_ps(a, a);
        let error = _mm512_mul_ps(_mm512_max_ps(_mm512_sub_ps(a_square, residual), zero), aside);
        let rounding = _mm512_mul_ps(_mm512_mul_ps(a_square, residual), self.error_square);
        let error = _mm512_mul_ps(self.spread, _mm512_add_ps(error, rounding));
        let missing = _mm512_mul_ps(_mm512_mul_ps(short, short), residual);
        let within = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(missing, error);
        (estimate, within | _mm512_cmp_ps_mask::<_CMP_LE_OQ>(short, zero))
    }
}
