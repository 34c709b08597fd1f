//! A whole query as users ask it: three channels, fused on the timeline, filtered, grouped by video, with counts.
//!
//! The library: segments in videos of 5 to 49 segments, each with a picture's vector (`frame`) and a sentence with its
//! vector (`speech`); each video with a title and its vector (`metadata`). The three are different permutations of the
//! same rows, so that no channel tells what another says. It is built once and kept.
//!
//! Data: `vectors.f16.npy`, `texts.txt`, `queries.f16.npy`, `query_texts.txt` (texts also as `.gz`, by `gzip`) under
//! `$PIXR_BENCH_DATA` or `../shared/data`, else small clustered noise with made-up words. `PIXR_BENCH_VECTORS` names another
//! `.npy` of float16 rows (texts are then used in turn), `PIXR_BENCH_LIBRARY` where to keep the library, `PIXR_BENCH_QUERIES`
//! how many queries (300), `PIXR_BENCH_EFFORTS` which efforts to take (`50,100,200,400`).
//!
//! The truth is the same query without `effort`. nDCG@10 is binary: a video of the exhaustive ten counts one, discounted
//! by place; times are of one thread, without encoding, and by clients.
//!
//! ```text
//! cargo bench --bench fused
//! ```

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use half::f16;
use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use pixr::library::{Access, Library};
use pixr::search::hit::SearchResult;
use pixr::search::query::{Facets, Query};
use pixr::vector::normalise;
use serde_json::{Value, json};

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LIMIT: u32 = 10;
const SHORTEST: usize = 5;
const LONGEST: usize = 49;
const SEGMENT_SECONDS: f64 = 4.0;
const VIDEOS_A_PUT: usize = 4000;
const TAGS: usize = 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rows with their texts.
struct Rows {
    dimension: usize,
    vectors: Vec<f16>,
    texts: Vec<String>,
}

impl Rows {
    fn len(&self) -> usize {
        self.vectors.len() / self.dimension
    }

    fn vector(&self, row: usize) -> &[f16] {
        self.vectors.get(row * self.dimension..(row + 1) * self.dimension).unwrap_or_default()
    }

    fn text(&self, row: usize) -> &str {
        self.texts.get(row % self.texts.len().max(1)).map_or("", String::as_str)
    }
}

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }
    let (rows, queries) = load()?;
    let path = std::env::var_os("PIXR_BENCH_LIBRARY").map_or_else(
        || PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fused-{}.pixr", rows.len())),
        PathBuf::from,
    );
    if !path.join("MANIFEST").exists() {
        build(&rows, &path)?;
    }
    let library = Library::open(&path, Access::Read)?;
    let info = library.info()?;
    println!("{} segments in {} videos, {} parts", info.segments, info.videos, library.snapshot().parts.len());
    let count = number("PIXR_BENCH_QUERIES", 300)?.min(queries.len());
    let efforts = std::env::var("PIXR_BENCH_EFFORTS").unwrap_or_else(|_| "50,100,200,400".to_owned());
    let efforts: Vec<u32> = efforts.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;

    for (name, filter) in
        [("100 %", Value::Null), ("10 %", json!({"tags": ["tenth"]})), ("1 %", json!({"tags": ["hundredth"]}))]
    {
        let ask = |index: usize| Query { filter: filter.clone(), ..question(&queries, index) };
        let exact = one.install(|| timed(&library, count, ask))?;
        println!("\nfilter {name}: exhaustive, {}", exact.times());
        for &effort in &efforts {
            let near = one.install(|| timed(&library, count, |index| Query { effort: Some(effort), ..ask(index) }))?;
            let gain: f64 = exact.results.iter().zip(&near.results).map(|(truth, got)| ndcg(truth, got)).sum();
            println!("  effort {effort:4}: nDCG@{LIMIT} {:.4}, {}", gain / count as f64, near.times());
            let counted = one.install(|| {
                timed(&library, count, |index| Query { effort: Some(effort), facets: Facets::All, ..ask(index) })
            })?;
            let right = exact.results.iter().zip(&counted.results).filter(|(truth, got)| truth.total == got.total);
            println!("     with facets: {}; {} of {count} totals are the exact ones", counted.times(), right.count());
        }
    }
    println!("\nclients, effort {}, unfiltered, queries a second:", efforts[0]);
    for clients in [1, 2, 4, 8] {
        let ask = |index: usize| Query { effort: Some(efforts[0]), ..question(&queries, index % count) };
        println!("  {clients}: {:.0}", clients_throughput(&library, clients, 4 * count, ask)?);
    }
    Ok(())
}

fn question(queries: &Rows, index: usize) -> Query {
    let vector: Vec<f32> = queries.vector(index).iter().map(|component| component.to_f32()).collect();
    let text = queries.text(index).to_owned();
    Query {
        text: [(Channel::Speech, text.clone()), (Channel::Metadata, text)].into(),
        vectors: [Channel::Frame, Channel::Speech, Channel::Metadata].map(|channel| (channel, vector.clone())).into(),
        limit: LIMIT,
        ..Query::default()
    }
}

struct Timed {
    results: Vec<SearchResult>,
    milliseconds: Vec<f64>,
}

impl Timed {
    fn times(&self) -> String {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(f64::NAN);
        format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99))
    }
}

/// Asks everything twice and times the second round.
fn timed(library: &Library, count: usize, ask: impl Fn(usize) -> Query) -> Result<Timed, Failure> {
    let (mut results, mut milliseconds) = (Vec::new(), Vec::new());
    for index in 0..count.min(20) {
        library.search(&ask(index))?;
    }
    for index in 0..count {
        let query = ask(index);
        let begun = Instant::now();
        let result = library.search(&query)?;
        milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
        results.push(result);
    }
    Ok(Timed { results, milliseconds })
}

fn ndcg(truth: &SearchResult, got: &SearchResult) -> f64 {
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let ideal: f64 = (0..truth.hits.len()).map(discount).sum();
    let is_true = |id: &VideoId| truth.hits.iter().any(|hit| hit.video.id == *id);
    let gained: f64 =
        got.hits.iter().enumerate().filter(|(_, hit)| is_true(&hit.video.id)).map(|(place, _)| discount(place)).sum();
    if ideal > 0.0 { gained / ideal } else { 1.0 }
}

/// Each client has a thread of its own for all of its queries.
fn clients_throughput(
    library: &Library,
    clients: usize,
    count: usize,
    ask: impl Fn(usize) -> Query + Sync,
) -> Result<f64, Failure> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let client = || -> Result<(), Failure> {
            let own = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()?;
            own.install(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok(());
                    }
                    library.search(&ask(index))?;
                }
            })
        };
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".into())))
    })?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn build(rows: &Rows, path: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    let library = Library::open(path, Access::Create)?;
    let dimension = u32::try_from(rows.dimension)?;
    for channel in [Channel::Frame, Channel::Speech, Channel::Metadata] {
        library.set_space(channel, Space { name: "bench".to_owned(), version: "1".to_owned(), dimension })?;
    }
    let (mut next, mut shuffled) = (noise(11), Vec::new());
    for _ in 0..3 {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, (next() * (at + 1) as f64) as usize);
        }
        shuffled.push(order);
    }
    let [frames, sentences, titles] = shuffled.as_slice() else { return Err("three orders".into()) };
    let (mut row, mut number) = (0, 0);
    let mut batch = Vec::new();
    while row < rows.len() {
        let length = SHORTEST + (next() * (LONGEST + 1 - SHORTEST) as f64) as usize;
        let end = (row + length).min(rows.len());
        let duration = (end - row) as f64 * SEGMENT_SECONDS;
        let title = titles.get(number).copied().unwrap_or_default();
        let mut video = Video::named(VideoId::new(format!("video-{number:06}"))?);
        video.title = rows.text(title).to_owned();
        video.duration = duration;
        video.quality = Some(if next() < 0.3 { "4k" } else { "hd" }.to_owned());
        video.created = Some(format!("{}-03-01", 2015 + (next() * 10.0) as u32));
        video.tags = vec![format!("tag-{}", (next() * TAGS as f64) as usize)];
        video.tags.extend((next() < 0.1).then(|| "tenth".to_owned()));
        video.tags.extend((next() < 0.01).then(|| "hundredth".to_owned()));
        let evidence = |channel, vector: usize, text: Option<&str>| Evidence {
            channel,
            vector: Some(rows.vector(vector).to_vec()),
            text: text.map(str::to_owned),
            description: None,
        };
        let mut segments = Vec::new();
        for (at, place) in (row..end).zip(0_u32..) {
            let (Some(&frame), Some(&sentence)) = (frames.get(at), sentences.get(at)) else { break };
            let start = f64::from(place) * SEGMENT_SECONDS;
            segments.push(Segment {
                span: Span { start, end: start + SEGMENT_SECONDS },
                evidence: vec![
                    evidence(Channel::Frame, frame, None),
                    evidence(Channel::Speech, sentence, Some(rows.text(sentence))),
                ],
            });
        }
        segments.push(Segment {
            span: Span { start: 0.0, end: duration },
            evidence: vec![evidence(Channel::Metadata, title, None)],
        });
        batch.push((video, segments));
        (row, number) = (end, number + 1);
        if batch.len() == VIDEOS_A_PUT || row == rows.len() {
            library.put(std::mem::take(&mut batch))?;
        }
    }
    library.commit()?;
    library.compact()?;
    println!("built {} in {:.0} s", path.display(), begun.elapsed().as_secs_f64());
    Ok(())
}

fn number(name: &str, default: usize) -> Result<usize, Failure> {
    std::env::var(name).map_or(Ok(default), |value| Ok(value.parse()?))
}

fn load() -> Result<(Rows, Rows), Failure> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("PIXR_BENCH_DATA").map_or(beside, PathBuf::from);
    let vectors = std::env::var_os("PIXR_BENCH_VECTORS").map_or(folder.join("vectors.f16.npy"), PathBuf::from);
    if !vectors.is_file() {
        println!("no {}: clustered noise instead", vectors.display());
        return Ok((clustered(60_000, 1)?, clustered(300, 2)?));
    }
    let read = |vectors: &Path, texts: &str| -> Result<Rows, Failure> {
        let (dimension, vectors) = read_npy(vectors)?;
        Ok(Rows { dimension, vectors, texts: read_lines(&folder.join(texts))? })
    };
    Ok((read(&vectors, "texts.txt")?, read(&folder.join("queries.f16.npy"), "query_texts.txt")?))
}

/// The lines of a file, or of its compressed form.
fn read_lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = if path.is_file() {
        std::fs::read_to_string(path)?
    } else {
        let mut packed = path.as_os_str().to_owned();
        packed.push(".gz");
        let mut unpacking = Command::new("gzip").arg("-dc").arg(packed).stdout(Stdio::piped()).spawn()?;
        let mut text = String::new();
        unpacking.stdout.take().ok_or("no output of gzip")?.read_to_string(&mut text)?;
        unpacking.wait()?;
        text
    };
    Ok(text.lines().map(str::to_owned).collect())
}

/// Dimension and values of a two-dimensional array of little-endian float16 in C order.
fn read_npy(path: &Path) -> Result<(usize, Vec<f16>), Failure> {
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
    Ok((dimension, values.iter().map(|&value| f16::from_le_bytes(value)).collect()))
}

/// Numbers in [0, 1), the same for the same seed.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn clustered(count: usize, seed: u64) -> Result<Rows, Failure> {
    const DIMENSION: usize = 384;
    const CLUSTERS: usize = 200;
    let mut centre = noise(0);
    let centres: Vec<f64> = std::iter::repeat_with(|| centre() - 0.5).take(CLUSTERS * DIMENSION).collect();
    let (mut next, mut vectors, mut texts) = (noise(seed), Vec::with_capacity(count * DIMENSION), Vec::new());
    for _ in 0..count {
        let cluster = (next() * CLUSTERS as f64) as usize;
        let centre = centres.iter().skip(cluster * DIMENSION).take(DIMENSION);
        let vector: Vec<f32> = centre.map(|component| (component + 1.2 * (next() - 0.5)) as f32).collect();
        vectors.extend(normalise("clustered noise", &vector)?);
        // Words of uneven frequency, as in any language.
        let words: Vec<String> = (0..9).map(|_| format!("word{}", (5000.0 * next().powi(3)) as u32)).collect();
        texts.push(format!("{} topic{cluster}", words.join(" ")));
    }
    Ok(Rows { dimension: DIMENSION, vectors, texts })
}
