//! Exact search beside the plain scan and beside what memory allows.

use std::collections::BTreeMap;
use std::hint::black_box;

use half::f16;
use pixr::storage::section::Section;
use pixr::vector::{Index, QueryVector, VectorColumn, kernel_name};
use rayon::prelude::*;

use crate::data::{Failure, Matrix};
use crate::{K, best_ms, in_turns_ms, sum};

const TIMED_QUERIES: usize = 100;

/// A column in memory, without a graph.
pub(crate) struct Setting {
    pub(crate) column: VectorColumn,
    pub(crate) codes: Vec<u64>,
    pub(crate) queries: Vec<QueryVector>,
}

impl Setting {
    pub(crate) fn new(vectors: &Matrix, queries: Vec<QueryVector>) -> Result<Self, Failure> {
        let rows: Vec<u32> = (0..).take(vectors.len()).collect();
        let mut bytes = Vec::new();
        VectorColumn::build("bench", vectors.dimension, &rows, &vectors.values, Index::Codes, &mut bytes)?;
        let codes = bytes.iter().find(|(name, _)| name == "bench.codes").ok_or("too few rows for codes")?;
        let codes = codes.1.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
        let sections: BTreeMap<String, Section> =
            bytes.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect();
        let column = VectorColumn::open("bench", &sections)?.ok_or("no column")?;
        Ok(Self { column, codes, queries })
    }
}

/// Prints times and ratios.
pub(crate) fn table(threads: usize, setting: &Setting) -> Result<(), Failure> {
    let Setting { column, codes, queries } = setting;
    let rows = column.len();
    let query = queries.first().ok_or("no queries")?;
    let [memory, scan] = in_turns_ms([
        &mut || {
            black_box(sum(codes));
        },
        &mut || {
            black_box(column.reach_count(query, 2.0)).ok();
        },
    ]);
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
        let [codes, flat] = in_turns_ms([
            &mut || {
                black_box(column.at_least(query, floor, None)).ok();
            },
            &mut || {
                black_box(column.flat_at_least(query, floor, None)).ok();
            },
        ]);
        println!("  at_least, {:6.2} % of rows {codes:8.3} ms  {:.2} of flat", 100.0 * share, codes / flat);
    }
    Ok(())
}

/// Prints recall against a plain f32 brute force that shares no code with the engine.
pub(crate) fn recall(setting: &Setting, vectors: &Matrix) -> Result<(), Failure> {
    let count = std::env::var("PIXR_BENCH_RECALL").map_or(Ok(100), |count| count.parse::<usize>())?;
    let dimension = vectors.dimension;
    let found: Vec<(usize, usize)> = setting
        .queries
        .par_iter()
        .take(count)
        .map(|query| {
            let mut truth: Vec<(f32, u32)> = vectors
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
