//! Exact vector search beside the plain scan and beside what memory allows.
//!
//! Data: the vectors under `$PIXR_BENCH_DATA` or `../shared/data` (`vectors.f16.npy`, `queries.f16.npy`), else clustered
//! noise. `PIXR_BENCH_VECTORS` names another `.npy` of float16 rows, `PIXR_BENCH_RECALL` how many queries recall is taken
//! over (default 100). First a table of ratios, each side by side in one run on one thread and on two, best of several;
//! then criterion's own figures.
//!
//! ```text
//! cargo bench --bench vector
//! PIXR_BENCH_RECALL=2000 cargo bench --bench vector -- --list     # the table alone
//! ```

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use half::f16;
use pixr::storage::section::Section;
use pixr::vector::{Index, QueryVector, VectorColumn, kernel_name, normalise};
use rayon::prelude::*;

const K: usize = 10;
const TIMED_QUERIES: usize = 100;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rows of one length, one after the other.
struct Matrix {
    dimension: usize,
    values: Vec<f16>,
}

struct Setting {
    column: VectorColumn,
    codes: Vec<u64>,
    vectors: Matrix,
    queries: Vec<QueryVector>,
}

fn main() -> Result<(), Failure> {
    let setting = load()?;
    let pools =
        [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().map(|pool| (threads, pool)));
    let pools: Vec<(usize, rayon::ThreadPool)> = pools.into_iter().collect::<Result<_, _>>()?;
    for (threads, pool) in &pools {
        pool.install(|| table(*threads, &setting))?;
    }
    recall(&setting)?;

    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("vector");
    for (threads, pool) in &pools {
        let query = setting.queries.first().ok_or("no queries")?;
        let column = &setting.column;
        group.bench_function(BenchmarkId::new("top_10", threads), |b| {
            pool.install(|| b.iter(|| black_box(column.top_k(query, K, None))));
        });
        group.bench_function(BenchmarkId::new("flat_top_10", threads), |b| {
            pool.install(|| b.iter(|| black_box(column.flat_top_k(query, K, None))));
        });
        group.bench_function(BenchmarkId::new("code_scan", threads), |b| {
            pool.install(|| b.iter(|| black_box(column.reach_count(query, 2.0))));
        });
        group.bench_function(BenchmarkId::new("memory_sum_of_codes", threads), |b| {
            pool.install(|| b.iter(|| black_box(sum(&setting.codes))));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Prints times and ratios.
fn table(threads: usize, setting: &Setting) -> Result<(), Failure> {
    let Setting { column, codes, queries, .. } = setting;
    let rows = column.len();
    let query = queries.first().ok_or("no queries")?;
    let memory = best_ms(|| sum(codes));
    let scan = best_ms(|| column.reach_count(query, 2.0));
    let flat = best_ms(|| column.flat_top_k(query, K, None));
    let mut times = Vec::new();
    let mut scored = 0;
    for query in queries.iter().take(TIMED_QUERIES) {
        times.push(best_ms(|| column.top_k(query, K, None)));
        scored += column.top_k_with_work(query, K, None)?.1.scored_rows;
    }
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let at = |share: f64| times.get((share * times.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    let code_megabytes = 8.0 * codes.len() as f64 / 1e6;
    let flat_megabytes = 2.0 * (rows * column.dimension()) as f64 / 1e6;
    println!("{rows} rows of {} dimensions, {} kernels, {threads} thread(s)", column.dimension(), kernel_name());
    println!("  sum of the codes' memory  {memory:8.3} ms  {:6.1} GB/s", code_megabytes / memory);
    println!(
        "  code scan                 {scan:8.3} ms  {:6.1} GB/s  {:.0} % of the sum",
        code_megabytes / scan,
        100.0 * memory / scan
    );
    println!("  top {K}: mean {mean:.3} ms, median {:.3} ms, 95 % {:.3} ms", at(0.5), at(0.95));
    println!("  rows re-scored            {:8.3} %", 100.0 * scored as f64 / (times.len() * rows) as f64);
    println!(
        "  flat                      {flat:8.3} ms  {:6.1} GB/s  {:.1} times the mean",
        flat_megabytes / flat,
        flat / mean
    );
    let mut scores: Vec<f32> = column.flat_at_least(query, -2.0, None)?.into_iter().map(|(_, score)| score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    for share in [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5] {
        let floor = scores.get((share * rows as f64) as usize).copied().unwrap_or(-1.0);
        // In turns, so that a noisy machine is noisy to both.
        let mut fastest = [f64::INFINITY; 2];
        for _ in 0..6 {
            let [codes, flat] = &mut fastest;
            *codes = codes.min(once_ms(|| column.at_least(query, floor, None)));
            *flat = flat.min(once_ms(|| column.flat_at_least(query, floor, None)));
        }
        let [codes, flat] = fastest;
        println!("  at_least, {:6.2} % of rows {codes:8.3} ms  {:.2} of flat", 100.0 * share, codes / flat);
    }
    Ok(())
}

/// Prints recall against a plain f32 brute force that shares no code with the engine.
fn recall(setting: &Setting) -> Result<(), Failure> {
    let count = std::env::var("PIXR_BENCH_RECALL").map_or(Ok(100), |count| count.parse::<usize>())?;
    let dimension = setting.vectors.dimension;
    let found: Vec<(usize, usize)> = setting
        .queries
        .par_iter()
        .take(count)
        .map(|query| {
            let mut truth: Vec<(f32, u32)> = setting
                .vectors
                .values
                .chunks_exact(dimension)
                .zip(0..)
                .map(|(vector, row)| (plain_dot(query.components(), vector), row))
                .collect();
            truth.select_nth_unstable_by(K, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            truth.truncate(K);
            let best = setting.column.top_k(query, K, None)?;
            let hits = truth.iter().filter(|(_, row)| best.iter().any(|(found, _)| found == row)).count();
            Ok((hits, truth.len()))
        })
        .collect::<pixr::Result<_>>()?;
    let (hits, all) = found.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("recall@{K} against f32 brute force: {hits} of {all} = {:.5}", hits as f64 / all as f64);
    Ok(())
}

fn plain_dot(query: &[f32], vector: &[f16]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for (q, v) in query.chunks(8).zip(vector.chunks(8)) {
        for ((lane, q), v) in lanes.iter_mut().zip(q).zip(v) {
            *lane += q * v.to_f32();
        }
    }
    lanes.iter().sum()
}

fn sum(words: &[u64]) -> u64 {
    words.par_chunks(1 << 17).map(|part| part.iter().fold(0_u64, |sum, &word| sum.wrapping_add(word))).sum()
}

fn once_ms<T>(mut run: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    black_box(run());
    start.elapsed().as_secs_f64() * 1e3
}

fn best_ms<T>(mut run: impl FnMut() -> T) -> f64 {
    (0..5).map(|_| once_ms(&mut run)).fold(f64::INFINITY, f64::min)
}

fn load() -> Result<Setting, Failure> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("PIXR_BENCH_DATA").map_or(beside, PathBuf::from);
    let vectors = std::env::var_os("PIXR_BENCH_VECTORS").map_or(folder.join("vectors.f16.npy"), PathBuf::from);
    let (vectors, queries) = if vectors.is_file() {
        (read_npy(&vectors)?, read_npy(&folder.join("queries.f16.npy"))?)
    } else {
        println!("no {}: clustered noise instead", vectors.display());
        (clustered(200_000, 384, 1)?, clustered(500, 384, 2)?)
    };
    let dimension = vectors.dimension;
    let rows: Vec<u32> = (0..).take(vectors.values.len() / dimension).collect();
    let mut bytes = Vec::new();
    VectorColumn::build("bench", dimension, &rows, &vectors.values, Index::Codes, &mut bytes)?;
    let codes = bytes.iter().find(|(name, _)| name == "bench.codes").ok_or("too few rows for codes")?;
    let codes = codes.1.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
    let sections: BTreeMap<String, Section> =
        bytes.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect();
    let column = VectorColumn::open("bench", &sections)?.ok_or("no column")?;
    let queries = queries
        .values
        .chunks_exact(dimension)
        .map(|query| QueryVector::new("query", &query.iter().map(|component| component.to_f32()).collect::<Vec<_>>()))
        .collect::<pixr::Result<_>>()?;
    Ok(Setting { column, codes, vectors, queries })
}

/// Reads a two-dimensional array of little-endian float16 in C order.
fn read_npy(path: &Path) -> Result<Matrix, Failure> {
    let bytes = std::fs::read(path)?;
    let header_len =
        bytes.get(8..10).and_then(|len| Some(u16::from_le_bytes(len.try_into().ok()?))).ok_or("no header")?;
    let (header, body) = bytes.split_at(10 + usize::from(header_len));
    let header = String::from_utf8_lossy(header);
    if !header.contains("'<f2'") || header.contains("'fortran_order': True") {
        return Err(format!("{} is not float16 in C order", path.display()).into());
    }
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
    let dimension = shape.split(',').nth(1).ok_or("not two dimensions")?.trim().parse()?;
    let (values, _) = body.as_chunks::<2>();
    Ok(Matrix { dimension, values: values.iter().map(|&value| f16::from_le_bytes(value)).collect() })
}

fn clustered(count: usize, dimension: usize, seed: u64) -> Result<Matrix, Failure> {
    let noise = |seed: u64| {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    };
    let centres: Vec<f32> = std::iter::repeat_with(noise(0)).take(200 * dimension).collect();
    let mut next = noise(seed);
    let mut values = Vec::with_capacity(count * dimension);
    for _ in 0..count {
        let cluster = ((next() + 1.0) * 99.99) as usize;
        let centre = centres.iter().skip(cluster * dimension).take(dimension);
        let vector: Vec<f32> = centre.map(|component| component + 1.2 * next()).collect();
        values.extend(normalise("clustered noise", &vector)?);
    }
    Ok(Matrix { dimension, values })
}
