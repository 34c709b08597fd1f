//! Inserting while searching, through the library as users hold it.
//!
//! A library of `PIXR_BENCH_ROWS` segments (100,000) is committed; then one thread asks, alone and while another puts
//! videos of twenty segments, ten a call, for `PIXR_BENCH_SECONDS` (20): first 3,000 segments a second, then as many as it
//! can. Each answer asks for the ten best videos of a
//! vector, exactly and with effort 100 in turns. After every tenth call the writer looks for a segment that it just put.
//! Printed: segments a second, both ways' p50 and p99 idle and under writing, the longest search, how long after `put`
//! returned its segments were found, and how many parts background work merged meanwhile.
//!
//! ```text
//! cargo bench --bench ingest
//! ```

#[path = "vector/data.rs"]
#[expect(dead_code, reason = "the vector bench uses the rest")]
mod data;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data::{Failure, Matrix};
use half::f16;
use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use pixr::library::{Access, Library};
use pixr::search::query::Query;

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEGMENTS_A_VIDEO: usize = 20;
const VIDEOS_A_PUT: usize = 10;
const SEGMENT_SECONDS: f64 = 4.0;
const LOOKED_FOR: usize = 10;
/// Segments a second that are written at first.
const PACE: usize = 3000;
const EFFORTS: [Option<u32>; 2] = [None, Some(100)];

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }
    let (vectors, asked) = data::load()?;
    let queries: Vec<Query> = rows(&asked).map(query).collect();
    let directory = tempfile::tempdir()?;
    let library = Library::open(directory.path().join("ingest.pixr"), Access::Create)?;
    let dimension = u32::try_from(vectors.dimension)?;
    library.set_space(Channel::Frame, Space { name: "bench".to_owned(), version: "1".to_owned(), dimension })?;
    let before = number("PIXR_BENCH_ROWS", 100_000)?.min(vectors.len() / 2);
    let mut videos = Videos { vectors: &vectors, next: 0 };
    while videos.next * SEGMENTS_A_VIDEO < before {
        library.put(videos.take(500)?)?;
    }
    library.commit()?;
    println!("{before} segments, {} parts", library.snapshot().parts.len());
    let span = Duration::from_secs(number("PIXR_BENCH_SECONDS", 20)? as u64);

    let idle = ask_until(&library, &queries, || false, span / 4)?;
    idle.print("idle");
    for (rate, name) in
        [(PACE, "while 3,000 segments a second are written"), (usize::MAX, "while as many are written as can be")]
    {
        let done = AtomicBool::new(false);
        let (busy, written) = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_until(&library, &queries, || done.load(Ordering::Relaxed), 10 * span));
            let written = write(&library, &mut videos, span, rate);
            done.store(true, Ordering::Relaxed);
            let asked = asking.join().unwrap_or_else(|_| Err("the asking thread panicked".into()));
            Ok::<_, Failure>((asked?, written?))
        })?;
        busy.print(name);
        let [idle, busy] = [&idle, &busy].map(|times| [0, 1].map(|way| times.by_effort[way].at(0.99)));
        println!("p99 while writing to idle: exact {:.1}, effort 100 {:.1}", busy[0] / idle[0], busy[1] / idle[1]);
        written.print();
    }
    println!("{} segments, {} parts", library.info()?.segments, library.snapshot().parts.len());
    Ok(())
}

/// Makes videos out of consecutive rows, again from the first after the last.
struct Videos<'a> {
    vectors: &'a Matrix,
    next: usize,
}

impl Videos<'_> {
    fn take(&mut self, count: usize) -> Result<Vec<(Video, Vec<Segment>)>, Failure> {
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            let mut video = Video::named(VideoId::new(format!("video-{:07}", self.next))?);
            video.duration = SEGMENTS_A_VIDEO as f64 * SEGMENT_SECONDS;
            let first = self.next * SEGMENTS_A_VIDEO % (self.vectors.len() - SEGMENTS_A_VIDEO);
            let segment = |(vector, place): (&[f16], u32)| {
                let start = f64::from(place) * SEGMENT_SECONDS;
                let vector = Some(vector.to_vec());
                let evidence = vec![Evidence { channel: Channel::Frame, vector, text: None, description: None }];
                Segment { span: Span { start, end: start + SEGMENT_SECONDS }, evidence }
            };
            let rows = rows(self.vectors).skip(first).take(SEGMENTS_A_VIDEO);
            taken.push((video, rows.zip(0..).map(segment).collect()));
            self.next += 1;
        }
        Ok(taken)
    }
}

fn rows(matrix: &Matrix) -> impl Iterator<Item = &[f16]> {
    matrix.values.chunks_exact(matrix.dimension)
}

fn query(vector: &[f16]) -> Query {
    let vector = vector.iter().map(|component| component.to_f32()).collect();
    Query { vectors: [(Channel::Frame, vector)].into(), limit: 10, ..Query::default() }
}

struct Written {
    segments: usize,
    seconds: f64,
    /// How long after `put` returned a search had found what it put, in ms.
    found: Times,
}

impl Written {
    fn print(&self) {
        let Self { segments, seconds, found } = self;
        println!("written: {:.0} segments a second", *segments as f64 / seconds);
        println!("found after: p50 {:.2} ms, longest {:.2} ms", found.at(0.5), found.at(1.0));
    }
}

/// Puts videos for a time, no more than `rate` segments a second.
fn write(library: &Library, videos: &mut Videos<'_>, span: Duration, rate: usize) -> Result<Written, Failure> {
    let begun = Instant::now();
    let (mut segments, mut puts, mut found) = (0, 0, Times::default());
    let mut looking = Duration::ZERO;
    while begun.elapsed() < span + looking {
        let batch = videos.take(VIDEOS_A_PUT)?;
        let wanted = batch.first().map(|(video, segments)| (video.id.clone(), segments.first().cloned()));
        library.put(batch)?;
        segments += VIDEOS_A_PUT * SEGMENTS_A_VIDEO;
        puts += 1;
        if puts % LOOKED_FOR == 0
            && let Some((id, Some(segment))) = wanted
            && let Some(vector) = segment.evidence.first().and_then(|evidence| evidence.vector.as_ref())
        {
            let returned = Instant::now();
            let ask = Query { filter: serde_json::json!({ "id": [id.as_str()] }), ..query(vector) };
            while !library.search(&ask)?.hits.iter().any(|hit| hit.video.id == id) {
                if returned.elapsed() > Duration::from_secs(5) {
                    return Err(format!("{id} was not found within five seconds").into());
                }
            }
            found.milliseconds.push(returned.elapsed().as_secs_f64() * 1e3);
            looking += returned.elapsed();
        }
        let due = Duration::from_secs_f64(segments as f64 / rate as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed() - looking));
    }
    Ok(Written { segments, seconds: (begun.elapsed() - looking).as_secs_f64(), found })
}

#[derive(Default)]
struct Times {
    milliseconds: Vec<f64>,
}

impl Times {
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        let place = ((share * sorted.len() as f64) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

struct Asked {
    by_effort: [Times; EFFORTS.len()],
}

impl Asked {
    fn print(&self, when: &str) {
        for (effort, times) in EFFORTS.iter().zip(&self.by_effort) {
            let way = effort.map_or("exact".to_owned(), |effort| format!("effort {effort}"));
            let (count, p50, p99, longest) = (times.milliseconds.len(), times.at(0.5), times.at(0.99), times.at(1.0));
            println!("{when}, {way}: {count} answers, p50 {p50:.2} ms, p99 {p99:.2} ms, longest {longest:.2} ms");
        }
    }
}

fn ask_until(
    library: &Library,
    queries: &[Query],
    is_done: impl Fn() -> bool,
    span: Duration,
) -> Result<Asked, Failure> {
    let begun = Instant::now();
    let mut by_effort = <[Times; EFFORTS.len()]>::default();
    for query in queries.iter().cycle() {
        for (effort, times) in EFFORTS.into_iter().zip(&mut by_effort) {
            let ask = Query { effort, ..query.clone() };
            let asked = Instant::now();
            library.search(&ask)?;
            times.milliseconds.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        if is_done() || begun.elapsed() > span {
            break;
        }
    }
    Ok(Asked { by_effort })
}

fn number(name: &str, default: usize) -> Result<usize, Failure> {
    std::env::var(name).map_or(Ok(default), |value| Ok(value.parse()?))
}
