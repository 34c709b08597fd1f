//! What each level of durability costs, and how long a library takes to open after a crash with a full log.
//!
//! `cargo bench --bench durability` prints a table: writes a second of one small video (one segment) and of one video of
//! 60 segments with 384-dimensional vectors and a sentence each, by 1 and by 4 threads, three seconds each, the levels
//! one after another in each of three rounds, the median of the rounds. Then the time to open a library with a log of 64
//! and of 128 MiB. `PIXR_BENCH_DIR` says on which disk; by default the system's temporary directory.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use half::f16;
use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use pixr::library::{Access, Durability, Library, Limits, Options};

/// As in the package.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LEVELS: [Durability; 3] = [Durability::Always, Durability::Group, Durability::None];
const ROUNDS: usize = 3;
const DIMENSION: usize = 384;

fn video(number: u64, segments: usize) -> (Video, Vec<Segment>) {
    let segment = |at: usize| {
        let value = |component: usize| {
            let mixed = (number as usize * 31 + at * 7 + component).wrapping_mul(2_654_435_761) % 1009;
            f16::from_f32(mixed as f32 / 504.5 - 1.0)
        };
        let values: Vec<f32> = (0..DIMENSION).map(|component| value(component).to_f32()).collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        let evidence = vec![
            Evidence {
                channel: Channel::Frame,
                vector: Some(values.iter().map(|value| f16::from_f32(value / length)).collect()),
                text: None,
                description: None,
            },
            Evidence {
                channel: Channel::Speech,
                vector: None,
                text: Some(format!("sentence {at} of video {number} about roofs and ladders")),
                description: None,
            },
        ];
        Segment { span: Span { start: at as f64, end: at as f64 + 1.0 }, evidence }
    };
    let id = VideoId::new(format!("video-{number}")).unwrap();
    (Video { title: format!("Video {number}"), ..Video::named(id) }, (0..segments).map(segment).collect())
}

fn folder() -> tempfile::TempDir {
    let base = std::env::var_os("PIXR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(base).unwrap()
}

fn created(dir: &std::path::Path, durability: Durability, limits: Limits) -> Library {
    let library = Library::open(dir, Options { durability, limits, ..Access::Create.into() }).unwrap();
    let space = Space { name: "bench".to_owned(), version: "1".to_owned(), dimension: DIMENSION as u32 };
    library.set_space(Channel::Frame, space).unwrap();
    library
}

/// Writes a second. The checkpoint at the end counts too.
fn rate(durability: Durability, threads: usize, segments: usize, time: Duration) -> f64 {
    let dir = folder();
    let mut library = created(dir.path(), durability, Limits::default());
    let written = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.elapsed() < time {
                    let number = written.fetch_add(1, Ordering::Relaxed);
                    library.put(vec![video(number, segments)]).unwrap();
                }
            });
        }
    });
    library.close().unwrap();
    written.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        rate(Durability::Group, 2, 3, Duration::from_millis(50));
        return;
    }
    println!("{:<34}{:>10}{:>10}{:>10}{:>16}", "writes a second", "always", "group", "none", "group / none");
    for (what, segments) in [("one segment", 1), ("60 segments", 60)] {
        for threads in [1, 4] {
            let mut rates = [const { Vec::new() }; LEVELS.len()];
            for _ in 0..ROUNDS {
                for (rates, level) in rates.iter_mut().zip(LEVELS) {
                    rates.push(rate(level, threads, segments, Duration::from_secs(3)));
                }
            }
            let [always, group, none] = rates.map(|mut rates| {
                rates.sort_by(f64::total_cmp);
                rates[ROUNDS / 2]
            });
            let name = format!("{what}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            println!("{name:<34}{always:>10.0}{group:>10.0}{none:>10.0}{:>15.0}%", group / none * 100.0);
        }
    }
    for mebibytes in [64_u64, 128] {
        let dir = folder();
        let unbounded = Limits { writer_memory: u64::MAX, log_bytes: u64::MAX, ..Limits::default() };
        let library = created(dir.path(), Durability::None, unbounded);
        for number in 0.. {
            library.put((0..20).map(|at| video(number * 20 + at, 60)).collect()).unwrap();
            if library.info().unwrap().log_byte_len >= mebibytes << 20 {
                break;
            }
        }
        let segments = library.info().unwrap().segments;
        std::mem::forget(library);
        let begun = Instant::now();
        let opened = Library::open(dir.path(), Access::Read).unwrap();
        println!("opening with a log of {mebibytes} MiB ({segments} segments): {:.2} s", begun.elapsed().as_secs_f64());
        drop(opened);
    }
}
