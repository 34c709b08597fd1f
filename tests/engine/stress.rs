//! Writers, readers, merges, compaction, deletes, snapshots, backups and held cursors at once, for a bounded time
//! (`PIXR_STRESS_SECONDS`, 3 by default). Every answer is compared with a sequential model.
//!
//! The model, for each pair of videos: versions count up; version 3, 6, 9, … is "deleted", others are "both videos there,
//! with this version in the title and in every segment". One thread writes a pair, so what a reader sees must be a
//! version between the last one that was acknowledged before it asked and the last one that was begun before it had the
//! answer: linearisable for each pair. A reader of another handle or process may lag by its refresh interval.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use pixr::catalog::channel::Channel;
use pixr::library::{Access, Durability, Library, Limits, Options};
use pixr::search::query::Query;

use crate::films::{Film, id, prepare, put};

const WRITERS: usize = 3;
const PAIRS: usize = 12;
const CHILD: &str = "PIXR_TEST_STRESS_READER";
/// A reader looks for what was written at most every 50 ms.
const LAG: Duration = Duration::from_millis(50);
const LIMITS: Limits = Limits {
    writer_memory: 400_000,
    log_bytes: 60_000,
    parts: 5,
    cursor_snapshots: 8,
    cursor_age: Duration::from_secs(600),
    cursor_bytes: 32 << 20,
};

#[derive(Default)]
struct Versions {
    begun: [AtomicU64; PAIRS],
    acknowledged: [AtomicU64; PAIRS],
}

impl Versions {
    fn acknowledged(&self) -> Vec<u64> {
        self.acknowledged.iter().map(|version| version.load(SeqCst)).collect()
    }
    fn begun(&self) -> Vec<u64> {
        self.begun.iter().map(|version| version.load(SeqCst)).collect()
    }
}

fn seconds() -> f64 {
    std::env::var("PIXR_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3.0)
}

fn name(pair: usize, second: bool) -> String {
    format!("{}{pair:02}", if second { "z" } else { "a" })
}

fn is_deleted(version: u64) -> bool {
    version.is_multiple_of(3)
}

fn film(name: String, version: u64) -> Film {
    let segment = |at: u64| {
        let vector = vec![1.0, version as f32, at as f32, 1.0, 0.5, -1.0];
        (at as f64, at as f64 + 1.0, Some(vector), Some(format!("segment of take{version}")))
    };
    Film {
        id: name,
        title: format!("solar take{version}"),
        tags: vec![format!("take{version}")],
        duration: 30.0,
        segments: (0..version % 5 + 1).map(segment).collect(),
    }
}

fn version_in(text: &str) -> u64 {
    text.rsplit_once("take").unwrap().1.parse().unwrap()
}

/// Whether some version from `low` to `high` is the one that was seen; `None` was seen where no video was.
fn is_possible(seen: Option<u64>, low: u64, high: u64) -> bool {
    (low..=high).any(|version| if is_deleted(version) { seen.is_none() } else { seen == Some(version) })
}

fn everything() -> Query {
    Query { text: [(Channel::Metadata, "solar".to_owned())].into(), limit: 1000, ..Query::default() }
}

/// The version of each pair in one answer; both videos of a pair are there with the same version, or none is.
fn versions_of(library: &Library) -> Vec<Option<u64>> {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for hit in library.search(&everything()).unwrap().hits {
        let version = version_in(&hit.video.title);
        assert_eq!(hit.video.tags, [format!("take{version}")]);
        found.insert(hit.video.id.to_string(), version);
    }
    let pairs = (0..PAIRS).map(|pair| {
        let both = [false, true].map(|second| found.remove(&name(pair, second)));
        assert_eq!(both[0], both[1], "half of pair {pair} was seen");
        both[0]
    });
    let pairs = pairs.collect();
    assert!(found.is_empty(), "{found:?}");
    pairs
}

fn write(library: &Library, versions: &Versions, writer: usize, until: Instant) {
    let mut random = writer as u64 + 1;
    while Instant::now() < until {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pair = (random >> 33) as usize % (PAIRS / WRITERS) * WRITERS + writer;
        let version = versions.acknowledged[pair].load(SeqCst) + 1;
        versions.begun[pair].store(version, SeqCst);
        let names = [name(pair, false), name(pair, true)];
        if is_deleted(version) {
            library.delete(names.iter().map(|name| id(name)).collect()).unwrap();
        } else {
            put(library, &names.map(|name| film(name, version)));
        }
        versions.acknowledged[pair].store(version, SeqCst);
    }
}

/// Reads through the writer's handle: what was acknowledged is there.
fn read(library: &Library, versions: &Versions, until: Instant) {
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        let low = versions.acknowledged();
        if round % 2 == 0 {
            let seen = versions_of(library);
            let high = versions.begun();
            for pair in 0..PAIRS {
                assert!(
                    is_possible(seen[pair], low[pair], high[pair]),
                    "pair {pair}: saw {:?}, expected {} to {}",
                    seen[pair],
                    low[pair],
                    high[pair]
                );
            }
        } else {
            let pair = round / 2 % PAIRS;
            let content = library.content(&id(&name(pair, round % 4 == 1))).ok();
            let high = versions.begun();
            let seen = content.as_ref().map(|content| version_in(&content.video.title));
            assert!(is_possible(seen, low[pair], high[pair]), "pair {pair}: saw {seen:?}");
            if let Some(content) = content {
                let expected = film(content.video.id.to_string(), version_in(&content.video.title));
                assert_eq!((content.video, content.segments), (expected.video(), expected.segments()));
            }
        }
    }
}

/// Reads through a handle of its own: never backwards, never half, and no older than the refresh interval.
fn follow(path: &Path, versions: Option<&Versions>, until: Instant) {
    let reader = Library::open(path, Access::Read).unwrap();
    let mut newest = [0; PAIRS];
    while Instant::now() < until {
        let low = versions.map(Versions::acknowledged);
        std::thread::sleep(LAG);
        let seen = versions_of(&reader);
        for pair in 0..PAIRS {
            if let Some(version) = seen[pair] {
                assert!(version >= newest[pair], "pair {pair} went back from {} to {version}", newest[pair]);
                newest[pair] = version;
            }
            if let (Some(versions), Some(low)) = (versions, &low) {
                let high = versions.begun[pair].load(SeqCst);
                assert!(is_possible(seen[pair], low[pair], high), "pair {pair}: saw {:?} of {low:?}", seen[pair]);
            }
        }
    }
}

/// Asks for everything, then for pages of the same snapshot while it is written and compacted.
fn page(library: &Library, until: Instant) -> usize {
    let mut walks = 0;
    while Instant::now() < until {
        let full = library.search(&everything()).unwrap();
        let mut page = library.search(&Query { limit: 3, ..everything() }).unwrap();
        if page.snapshot != full.snapshot {
            continue;
        }
        let mut seen = page.hits;
        while let Some(cursor) = page.next_cursor {
            std::thread::sleep(Duration::from_millis(5));
            page = library.search(&Query { limit: 3, cursor: Some(cursor), ..everything() }).unwrap();
            seen.extend(page.hits);
        }
        assert_eq!(seen, full.hits);
        walks += 1;
    }
    walks
}

fn maintain(library: &Library, dir: &Path, until: Instant) {
    let backup = dir.join("backup");
    for round in 0.. {
        if Instant::now() >= until {
            break;
        }
        match round % 6 {
            0 => drop(library.commit().unwrap()),
            1 => drop(library.compact().unwrap()),
            2 => {
                let taken = library.take_snapshot("kept").unwrap();
                let options = Options { snapshot: Some("kept".to_owned()), ..Access::Read.into() };
                let kept = Library::open(dir.join("films"), options).unwrap();
                assert_eq!(versions_of(&kept).iter().flatten().count() as u64 * 2, taken.videos);
                library.delete_snapshot("kept").unwrap();
            }
            3 => assert_eq!(library.check().unwrap().damaged, Vec::<String>::new()),
            4 => {
                library.backup(&backup).unwrap();
                versions_of(&Library::open(&backup, Access::Read).unwrap());
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// What the limits promise, looked at again and again.
fn measure(library: &Library, path: &Path, until: Instant) {
    while Instant::now() < until {
        let info = library.info().unwrap();
        let slack = WRITERS as u64 * 20_000;
        assert!(info.memory_byte_len <= 2 * LIMITS.writer_memory + slack, "{info:?}");
        assert!(info.log_byte_len <= 4 * LIMITS.log_bytes + slack, "{info:?}");
        assert!(info.parts - info.parts_in_memory <= 2 * LIMITS.parts, "{info:?}");
        assert!(info.cursor_snapshots <= LIMITS.cursor_snapshots, "{info:?}");
        // Counted when the snapshot was kept; since then nothing but it may hold what the writer had in memory.
        assert!(info.cursor_byte_len <= LIMITS.cursor_bytes + 3 * LIMITS.writer_memory + slack, "{info:?}");
        let open = open_files(path);
        // The parts of this handle, of the snapshots that cursors hold, and of three readers; log, lock and what is written.
        let most = (LIMITS.cursor_snapshots + 4) * 2 * LIMITS.parts + 8;
        assert!(open.len() <= most, "{open:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The library's files that this process has open.
fn open_files(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.starts_with(path)).map(|link| link.display().to_string()).collect()
}

/// Not a test of its own: a reader in another process.
#[test]
fn reader_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    follow(Path::new(&path), None, Instant::now() + Duration::from_secs_f64(seconds()));
}

#[test]
fn every_answer_under_load_is_one_that_a_sequential_library_could_give() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films");
    let options = Options { limits: LIMITS, durability: Durability::Group, ..Access::Create.into() };
    let mut library = Library::open(&path, options).unwrap();
    prepare(&library, true);
    let versions = Versions::default();
    let until = Instant::now() + Duration::from_secs_f64(seconds());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stress::reader_child", "--nocapture"])
        .env(CHILD, &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let walks = std::thread::scope(|scope| {
        let (library, versions, path, dir) = (&library, &versions, path.as_path(), dir.path());
        for writer in 0..WRITERS {
            scope.spawn(move || write(library, versions, writer, until));
        }
        for _ in 0..2 {
            scope.spawn(move || read(library, versions, until));
            scope.spawn(move || follow(path, Some(versions), until));
        }
        scope.spawn(move || maintain(library, dir, until));
        scope.spawn(move || measure(library, path, until));
        scope.spawn(move || page(library, until)).join().unwrap()
    });
    assert!(child.wait().unwrap().success(), "the reader in another process failed");
    assert!(walks > 0, "no cursor was walked to its end");
    let last = versions.acknowledged();
    assert!(last.iter().sum::<u64>() > 20, "hardly anything was written: {last:?}");
    library.close().unwrap();
    let again = Library::open(&path, Access::Write).unwrap();
    assert!(again.check().unwrap().damaged.is_empty());
    for (pair, seen) in versions_of(&again).into_iter().enumerate() {
        assert!(is_possible(seen, last[pair], last[pair]), "pair {pair}: {seen:?}, expected {}", last[pair]);
    }
}

#[test]
fn the_model_refuses_what_no_order_of_writes_explains() {
    // Version 3 is "deleted"; before the first there is none.
    for (seen, low, high, expected) in [
        (None, 0, 0, true),
        (None, 1, 2, false),
        (None, 2, 3, true),
        (Some(2), 1, 2, true),
        (Some(1), 2, 2, false),
        (Some(3), 3, 3, false),
        (Some(5), 4, 4, false),
    ] {
        assert_eq!(is_possible(seen, low, high), expected, "{seen:?} within {low} to {high}");
    }
}
