//! Approximate search through a part's file: what recall costs, what filters cost, what is resident.

use std::collections::BTreeSet;
use std::time::Instant;

use pixr::catalog::row_set::RowSet;
use pixr::storage::disk::DiskStorage;
use pixr::storage::names::create_directories;
use pixr::storage::part_file::{open_part, write_part};
use pixr::vector::{Index, Path, QueryVector, VectorColumn};

use crate::K;
use crate::data::{Failure, Matrix};

const EFFORTS: [usize; 12] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448];
const QUERIES: usize = 1000;
const FILTERED_QUERIES: usize = 200;

/// What one setting of effort gives.
pub(crate) struct Point {
    pub(crate) recall: f64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Builds in the pool that this is called in, writes a part, opens it, and prints a line for each effort.
pub(crate) fn table(vectors: &Matrix, queries: &[QueryVector]) -> Result<(), Failure> {
    let (count, dimension) = (vectors.len(), vectors.dimension);
    let rows: Vec<u32> = (0..).take(count).collect();
    let began = Instant::now();
    let mut sections = Vec::new();
    VectorColumn::build("bench", dimension, &rows, &vectors.values, Index::Graph, &mut sections)?;
    let build = began.elapsed().as_secs_f64();
    let directory = tempfile::tempdir()?;
    let storage = DiskStorage::create(directory.path())?;
    create_directories(&storage)?;
    let byte_len = write_part(&storage, 1, &sections)?;
    drop(sections);
    let before = resident_bytes();
    let began = Instant::now();
    let column = VectorColumn::open("bench", &open_part(&storage, 1, byte_len)?)?.ok_or("no column")?;
    let first = queries.first().ok_or("no queries")?;
    column.approximate_top_k(first, K, 40, None)?;
    let opened = began.elapsed().as_secs_f64() * 1e3;
    println!(
        "{count} rows of {dimension} dimensions through the graph, {} threads build",
        rayon::current_num_threads()
    );
    println!(
        "  build {build:.1} s, {:.2} times the f16 vectors on disk",
        byte_len as f64 / (2 * count * dimension) as f64
    );
    println!("  open and first query {opened:.1} ms, the file's pages in memory");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let truth = truth(&column, queries, QUERIES, None)?;
    let mut points = Vec::new();
    for effort in EFFORTS {
        let point = one.install(|| ask(&column, queries, &truth, effort, None))?;
        println!(
            "  effort {effort:3}: recall@{K} {:.4}, {:6.0} q/s, p50 {:.3} ms, p99 {:.3} ms",
            point.recall,
            1e3 / point.mean_ms,
            point.p50_ms,
            point.p99_ms
        );
        points.push(point);
    }
    for recall in [0.90, 0.95, 0.99] {
        match at_recall(&points, recall) {
            Some(rate) => println!("  at recall {recall:.2}: {rate:.0} q/s"),
            None => println!("  recall {recall:.2} was not reached"),
        }
    }
    println!(
        "  resident since opening: {:.0} bytes a row",
        resident_bytes().saturating_sub(before) as f64 / count as f64
    );
    one.install(|| filters(&column, queries))
}

/// Recall and time under filters that allow rows here and there, beside exact search under the same filter.
fn filters(column: &VectorColumn, queries: &[QueryVector]) -> Result<(), Failure> {
    let universe = column.len() as u32;
    for share in [0.5, 0.1, 0.01, 0.001] {
        let mut allowed = RowSet::empty(universe);
        let mut state = 7_u64;
        for row in 0..universe {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (state >> 40) as f64 / f64::from(1 << 24) < share {
                allowed.insert(row);
            }
        }
        let truth = truth(column, queries, FILTERED_QUERIES, Some(&allowed))?;
        let exact = ask_exactly(column, queries, &allowed)?;
        let point = ask(column, queries, &truth, 100, Some(&allowed))?;
        let first = queries.first().ok_or("no queries")?;
        let path = column.approximate_top_k_with_work(first, K, 100, Some(&allowed))?.1.path;
        let way = match path {
            Path::Graph => "graph",
            Path::Exact => "exact, codes of all",
            Path::Allowed => "exact, allowed rows alone",
            Path::Codes => "codes",
        };
        println!(
            "  {:5.1} % allowed: recall {:.4}, mean {:.3} ms, p99 {:.3} ms, {:.2} of exact ({exact:.3} ms), {way}",
            100.0 * share,
            point.recall,
            point.mean_ms,
            point.p99_ms,
            point.mean_ms / exact
        );
    }
    Ok(())
}

fn ask_exactly(column: &VectorColumn, queries: &[QueryVector], allowed: &RowSet) -> Result<f64, Failure> {
    let began = Instant::now();
    for query in queries.iter().take(FILTERED_QUERIES) {
        column.top_k(query, K, Some(allowed))?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3 / FILTERED_QUERIES.min(queries.len()) as f64)
}

/// The best rows of each of the first queries.
pub(crate) fn truth(
    column: &VectorColumn,
    queries: &[QueryVector],
    count: usize,
    allowed: Option<&RowSet>,
) -> Result<Vec<BTreeSet<u32>>, Failure> {
    let best = |query: &QueryVector| Ok(column.top_k(query, K, allowed)?.into_iter().map(|(row, _)| row).collect());
    queries.iter().take(count).map(best).collect()
}

/// Asks every query that there is a truth for, one after the other.
pub(crate) fn ask(
    column: &VectorColumn,
    queries: &[QueryVector],
    truth: &[BTreeSet<u32>],
    effort: usize,
    allowed: Option<&RowSet>,
) -> Result<Point, Failure> {
    let (mut hits, mut all, mut times) = (0, 0, Vec::with_capacity(truth.len()));
    for (query, truth) in queries.iter().zip(truth) {
        let began = Instant::now();
        let found = column.approximate_top_k(query, K, effort, allowed)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        hits += found.iter().filter(|(row, _)| truth.contains(row)).count();
        all += truth.len();
    }
    let mean_ms = times.iter().sum::<f64>() / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((share * times.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    Ok(Point { recall: hits as f64 / all as f64, mean_ms, p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// Queries a second at a recall, between the points beside it.
fn at_recall(points: &[Point], recall: f64) -> Option<f64> {
    let upper = points.iter().position(|point| point.recall >= recall)?;
    let above = points.get(upper)?;
    let Some(below) = upper.checked_sub(1).and_then(|lower| points.get(lower)) else {
        return Some(1e3 / above.mean_ms);
    };
    let share = (recall - below.recall) / (above.recall - below.recall);
    Some(1e3 / (below.mean_ms + share * (above.mean_ms - below.mean_ms)))
}

/// What of this process is in memory; zero where the system does not tell.
pub(crate) fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}
