//! Builds and searches as many rows as wanted, part by part, for `python -m benches.scale`, which runs it and plots.
//!
//! ```text
//! scale build VECTORS.npy ROWS ROWS_A_PART DIRECTORY     parts with graphs, from the first rows of the file
//! scale ask DIRECTORY QUERIES.npy QUERIES [BYTES]        the first queries, on one thread; walks so many bytes of graphs
//! ```
//!
//! Each prints one JSON object. Rows are read part by part, so memory is that of one part: 2,200 bytes a row for 384
//! dimensions. `ask` expects that the directory's pages were dropped from memory, takes the first queries cold, then sweeps
//! effort; the truth is exact search over the same parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use half::f16;
use pixr::storage::disk::DiskStorage;
use pixr::storage::names::{FileName, create_directories};
use pixr::storage::part_file::{open_part, write_part};
use pixr::storage::seam::Storage;
use pixr::vector::{Asked, GraphMemory, Index, Near, QueryVector, VectorColumn, approximate_top_k};
use serde_json::{Value, json};

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const K: usize = 10;
/// Graphs that were not read by then don't fit in memory.
const LONGEST_READING: Duration = Duration::from_secs(20);
const COLD_QUERIES: usize = 50;
const COLD_EFFORT: usize = 24;
const EFFORTS: [usize; 12] = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["build", vectors, rows, rows_a_part, directory] => {
            println!("{}", build(Path::new(vectors), rows.parse()?, rows_a_part.parse()?, Path::new(directory))?);
        }
        ["ask", directory, queries, count, bytes @ ..] => {
            let memory = match bytes.first() {
                Some(bytes) => GraphMemory::new(bytes.parse()?),
                None => Arc::clone(GraphMemory::of_process()),
            };
            println!("{}", ask(Path::new(directory), Path::new(queries), count.parse()?, &memory)?);
        }
        _ => println!("run by python -m benches.scale"),
    }
    Ok(())
}

fn build(vectors: &Path, rows: usize, rows_a_part: usize, directory: &Path) -> Result<Value, Failure> {
    let mut file = Npy::open(vectors)?;
    let storage = DiskStorage::create(directory)?;
    create_directories(&storage)?;
    let (began, mut parts, mut bytes) = (Instant::now(), 0, 0);
    let mut graph_seconds = 0.0;
    for first in (0..rows).step_by(rows_a_part) {
        let values = file.rows(rows_a_part.min(rows - first))?;
        let count = values.len() / file.dimension;
        let numbers: Vec<u32> = (0..).skip(first).take(count).collect();
        let mut sections = Vec::new();
        let building = Instant::now();
        VectorColumn::build("rows", file.dimension, &numbers, &values, Index::Graph, &mut sections)?;
        graph_seconds += building.elapsed().as_secs_f64();
        drop(values);
        parts += 1;
        bytes += write_part(&storage, parts, &sections)?;
    }
    Ok(json!({
        "rows": rows, "dimension": file.dimension, "parts": parts, "bytes": bytes, "index_seconds": graph_seconds,
        "build_seconds": began.elapsed().as_secs_f64(), "build_peak_bytes": status("VmHWM:"),
        "threads": rayon::current_num_threads(),
    }))
}

fn ask(directory: &Path, queries: &Path, count: usize, memory: &Arc<GraphMemory>) -> Result<Value, Failure> {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut file = Npy::open(queries)?;
    let queries = file.rows(count)?;
    let query = |query: &[f16]| QueryVector::new("query", &query.iter().map(|c| c.to_f32()).collect::<Vec<_>>());
    let queries: Vec<QueryVector> = queries.chunks_exact(file.dimension).map(query).collect::<pixr::Result<_>>()?;
    let before = status("VmRSS:");
    let began = Instant::now();
    let storage = DiskStorage::open(directory)?;
    let mut columns = Vec::new();
    for number in 1.. {
        let name = FileName::Part(number).to_string();
        if !storage.exists(&name)? {
            break;
        }
        let sections = open_part(&storage, number, storage.len(&name)?)?;
        columns.push(VectorColumn::open("rows", &sections)?.ok_or("a part without rows")?);
    }
    let opened = began.elapsed().as_secs_f64() * 1e3;
    let asked: Vec<Asked<'_>> = columns.iter().map(|column| Asked { column, allowed: None }).collect();
    let near = |query: &QueryVector, effort: usize| approximate_top_k(&asked, query, K, effort, memory);
    let rows = |query: &QueryVector, effort: usize| -> pixr::Result<Vec<u32>> {
        Ok(near(query, effort)?.best.into_iter().map(|(_, row, _)| row).collect())
    };
    let cold = one.install(|| timed(queries.iter().take(COLD_QUERIES), |query| rows(query, COLD_EFFORT)))?;
    let first = cold.milliseconds.first().copied().unwrap_or_default();
    let ways = settled(|| near(queries.first().ok_or("no queries")?, COLD_EFFORT).map_err(Into::into))?;
    let mut points = Vec::new();
    let warm: Vec<(usize, Answers)> = EFFORTS
        .into_iter()
        .map(|effort| {
            one.install(|| timed(queries.iter(), |query| rows(query, effort)))?;
            Ok((effort, one.install(|| timed(queries.iter(), |query| rows(query, effort)))?))
        })
        .collect::<Result<_, Failure>>()?;
    let (resident, mapped) = (status("VmRSS:"), status("RssFile:"));
    let exact = |query: &QueryVector| merged(columns.iter().map(|column| column.top_k(query, K, None)));
    let exact = one.install(|| timed(queries.iter(), exact))?;
    for (effort, answers) in warm {
        let recall = answers.recall(&exact);
        points.push(json!({"effort": effort, "recall": recall, "p50_ms": answers.at(0.5), "p99_ms": answers.at(0.99)}));
    }
    Ok(json!({
        "ways": ways, "opened_ms": opened, "first_ms": first, "cold_p50_ms": cold.at(0.5), "cold_p99_ms": cold.at(0.99),
        "resident_bytes": resident.saturating_sub(before), "mapped_bytes": mapped,
        "exact_p50_ms": exact.at(0.5), "exact_p99_ms": exact.at(0.99), "points": points,
    }))
}

/// Asks until all graphs that fit in memory were read, and says how many parts are searched which way.
fn settled(ask: impl Fn() -> Result<Near, Failure>) -> Result<BTreeMap<String, usize>, Failure> {
    let began = Instant::now();
    loop {
        let mut ways = BTreeMap::new();
        for work in ask()?.work {
            *ways.entry(format!("{:?}", work.path).to_lowercase()).or_default() += 1;
        }
        if ways.keys().eq(["graph"]) || began.elapsed() > LONGEST_READING {
            return Ok(ways);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The best of several parts.
fn merged(found: impl Iterator<Item = pixr::Result<Vec<(u32, f32)>>>) -> pixr::Result<Vec<u32>> {
    let mut all = Vec::new();
    for found in found {
        all.extend(found?);
    }
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(all.into_iter().take(K).map(|(row, _)| row).collect())
}

struct Answers {
    found: Vec<Vec<u32>>,
    milliseconds: Vec<f64>,
}

impl Answers {
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(f64::NAN)
    }

    fn recall(&self, truth: &Self) -> f64 {
        let pairs = || self.found.iter().zip(&truth.found);
        let hits: usize = pairs()
            .map(|(found, truth)| {
                let truth: BTreeSet<&u32> = truth.iter().collect();
                found.iter().filter(|row| truth.contains(row)).count()
            })
            .sum();
        hits as f64 / pairs().map(|(_, truth)| truth.len()).sum::<usize>() as f64
    }
}

fn timed<'a>(
    queries: impl Iterator<Item = &'a QueryVector>,
    search: impl Fn(&QueryVector) -> pixr::Result<Vec<u32>>,
) -> Result<Answers, Failure> {
    let (mut found, mut milliseconds) = (Vec::new(), Vec::new());
    for query in queries {
        let began = Instant::now();
        found.push(search(query)?);
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Answers { found, milliseconds })
}

/// A line of this process's status in bytes; zero where the system does not tell.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}

/// A two-dimensional array of little-endian float16 in C order, read from its first row on.
struct Npy {
    file: BufReader<File>,
    dimension: usize,
}

impl Npy {
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut start = [0; 10];
        file.read_exact(&mut start)?;
        let [.., low, high] = start;
        let mut header = vec![0; usize::from(u16::from_le_bytes([low, high]))];
        file.read_exact(&mut header)?;
        let header = String::from_utf8_lossy(&header);
        if !header.contains("'<f2'") || header.contains("'fortran_order': True") {
            return Err(format!("{} is not float16 in C order", path.display()).into());
        }
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
        let dimension = shape.split(',').nth(1).ok_or("not two dimensions")?.trim().parse()?;
        Ok(Self { file, dimension })
    }

    /// The next `count` rows.
    fn rows(&mut self, count: usize) -> Result<Vec<f16>, Failure> {
        let mut values = vec![f16::ZERO; count * self.dimension];
        self.file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }
}
