//! What words cost: building an index, opening it, and counting and scoring a query.
//!
//! ```text
//! cargo bench --bench text
//! ```

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;

use criterion::{BenchmarkId, Criterion};
use pixr::catalog::channel::Channel;
use pixr::catalog::row_set::RowSet;
use pixr::storage::section::{Section, SectionBytes};
use pixr::text::index::TextIndex;
use pixr::text::query::TextQuery;
use pixr::text::stats::TextStats;

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u32 = 100_000;
const LIKELY: (usize, usize) = (100, 10_000);
/// So many videos of so many rows, spread over the part.
const VIDEOS: u32 = 30;
const VIDEO_ROWS: u32 = 30;
const COMMON: [&str; 6] = ["solar", "panel", "roof", "installing", "music", "people"];
const QUERIES: [&str; 9] = [
    "w17",
    "solar",
    "installing solar panels on roof",
    "music people",
    "solar w17 w900 roof",
    "\"solar panels\"",
    "sol*",
    "w*",
    "walrus quartz",
];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let small = sentences(30, 10);
    let mut group = criterion.benchmark_group("text");
    group.bench_function("build/30", |b| b.iter(|| black_box(build(&small))));
    let built = build(&small)?;
    group.bench_function("open/30", |b| b.iter(|| black_box(TextIndex::open(&built))));

    let large = sentences(ROWS, 12);
    let index = TextIndex::open(&build(&large)?)?.ok_or("no text")?;
    let all = RowSet::full(ROWS);
    let mut most = RowSet::full(ROWS);
    most.remove(7);
    let few: Vec<Range<u32>> =
        (0..VIDEOS).map(|video| video * (ROWS / VIDEOS)).map(|start| start..start + VIDEO_ROWS).collect();
    for text in QUERIES {
        group.bench_function(BenchmarkId::new("parse", text), |b| b.iter(|| black_box(TextQuery::parse(text))));
        let query = TextQuery::parse(text)?;
        for (name, live) in [("all live", &all), ("one deleted", &most)] {
            let count = || -> Result<TextStats, Failure> {
                let mut stats = TextStats::default();
                index.collect(&query, Channel::Screen, live, &mut stats)?;
                stats.merge(&index.collect_variants(&query, Channel::Screen, live, &stats)?)?;
                Ok(stats)
            };
            let stats = count()?;
            group.bench_function(BenchmarkId::new(format!("count, {name}"), text), |b| b.iter(|| black_box(count())));
            group.bench_function(BenchmarkId::new(format!("score, {name}"), text), |b| {
                b.iter(|| black_box(index.search(&query, Channel::Screen, &stats, live)));
            });
            group.bench_function(BenchmarkId::new(format!("{} likely, {name}", LIKELY.0), text), |b| {
                b.iter(|| black_box(index.likely(&query, Channel::Screen, &stats, live, LIKELY)));
            });
            group.bench_function(BenchmarkId::new(format!("{VIDEOS} x {VIDEO_ROWS} rows, {name}"), text), |b| {
                b.iter(|| black_box(index.score_rows(&query, Channel::Screen, &stats, live, &few)));
            });
        }
    }
    group.finish();
    Ok(())
}

fn build(texts: &[String]) -> Result<BTreeMap<String, Section>, Failure> {
    let rows: Vec<(u32, Channel, &str)> =
        texts.iter().zip(0..).map(|(text, row)| (row, Channel::Screen, text.as_str())).collect();
    let mut sections = SectionBytes::new();
    TextIndex::build(u32::try_from(texts.len())?, &rows, &mut sections)?;
    Ok(sections.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect())
}

/// Sentences of a third common words, the rest from 20,000 of which few are frequent.
fn sentences(count: u32, length: usize) -> Vec<String> {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    let mut word = move || {
        let (draw, pick) = (random(), random());
        match COMMON.get((pick * COMMON.len() as f64) as usize) {
            Some(word) if draw < 0.3 => (*word).to_owned(),
            _ => format!("w{}", (pick * pick * pick * 20_000.0) as u32),
        }
    };
    (0..count).map(|_| (0..length).map(|_| word()).collect::<Vec<_>>().join(" ")).collect()
}
