//! Vector search by the engine alone.
//!
//! Data: the vectors under `$PIXR_BENCH_DATA` or `../shared/data` (`vectors.f16.npy`, `queries.f16.npy`), else clustered
//! noise. `PIXR_BENCH_VECTORS` names another `.npy` of float16 rows, `PIXR_BENCH_RECALL` how many queries exact recall is
//! taken over (default 100), `PIXR_BENCH_TABLES` which tables are printed (default `exact,approximate`; also
//! `dimensions`: 128, 512, 768 and 1,024, rows cut or followed by others). First the tables, ratios each side by side in
//! one run; then criterion's own figures.
//!
//! ```text
//! cargo bench --bench vector
//! PIXR_BENCH_RECALL=2000 cargo bench --bench vector -- --list     # the tables alone
//! ```

mod approximate;
mod data;
mod exact;

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use data::Failure;
use exact::Setting;
use rayon::prelude::*;

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many rows are asked for.
const K: usize = 10;
/// Of a few the first milliseconds are too many: the processor's clock and the page tables are not yet as they will be.
const TURNS: usize = 20;
const OTHER_DIMENSIONS: [usize; 4] = [128, 512, 768, 1024];
const OTHER_ROWS: usize = 100_000;

fn main() -> Result<(), Failure> {
    let (vectors, asked) = data::load()?;
    let pools =
        [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().map(|pool| (threads, pool)));
    let pools: Vec<(usize, rayon::ThreadPool)> = pools.into_iter().collect::<Result<_, _>>()?;
    let tables = std::env::var("PIXR_BENCH_TABLES").unwrap_or_else(|_| "exact,approximate".to_owned());
    let wanted = |name: &str| tables.split(',').any(|table| table == name);
    let (_, all) = pools.last().ok_or("no pool")?;
    if wanted("approximate") {
        all.install(|| approximate::table(&vectors, &asked.queries()?))?;
    }
    if wanted("dimensions") {
        for dimension in OTHER_DIMENSIONS {
            let rows = vectors.reshaped(dimension, OTHER_ROWS)?;
            let queries = asked.reshaped(dimension, 1000)?.queries()?;
            let setting = Setting::new(&rows, queries)?;
            pools.iter().take(1).try_for_each(|(threads, pool)| pool.install(|| exact::table(*threads, &setting)))?;
            all.install(|| approximate::table(&rows, &setting.queries))?;
        }
    }
    let setting = Setting::new(&vectors, asked.queries()?)?;
    if wanted("exact") {
        for (threads, pool) in &pools {
            pool.install(|| exact::table(*threads, &setting))?;
        }
        exact::recall(&setting, &vectors)?;
    }
    drop(vectors);

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

/// Reads all words.
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

/// The least time of each, by turns, so that a noisy machine is noisy to all.
fn in_turns_ms<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..TURNS {
        for (least, run) in least.iter_mut().zip(&mut runs) {
            *least = least.min(once_ms(run));
        }
    }
    least
}
