//! What each fuzz target does with its bytes. None may panic, overflow, read out of bounds or allocate without bound;
//! what the engine answers to hostile bytes is an error or an answer.
//!
//! Checksums would keep a fuzzer out, so most targets also compute them anew over what the fuzzer made: then the bytes
//! pass for the engine's own, and the decoders behind the checksums are reached.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use half::f16;
use pixr::catalog::channel::Channel;
use pixr::catalog::filter::Filter;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use pixr::library::{Access, Library};
use pixr::operation::{Content, Operation};
use pixr::part::Part;
use pixr::search::cursor::Cursor;
use pixr::search::query::{Facets, Query};
use pixr::storage::deletes::read_deletes;
use pixr::storage::log::Log;
use pixr::storage::manifest::{Manifest, PartEntry};
use pixr::storage::memory::MemoryStorage;
use pixr::storage::names::create_directories;
use pixr::storage::part_file::write_part;
use pixr::storage::replay::replay;
use pixr::storage::seam::Storage;
use pixr::storage::section::{Section, SectionBytes};
use pixr::text::query::TextQuery;
use pixr::vector::{Index, QueryVector, VectorColumn};

/// Of the libraries that are asked; below what gets codes.
const DIMENSION: usize = 6;
/// Of the columns that have codes and a graph.
const CODED_DIMENSION: usize = 64;
const CODED_ROWS: u32 = 2100;
const WORDS: [&str; 8] = ["roof", "solar", "panel", "ladder", "dog", "the", "waltz", "garden"];

/// A panic inside tantivy is caught and becomes `damaged` (`text::index`); any other ends the process.
fn let_guarded_panics_pass() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        if !trace.contains("guarded") {
            eprintln!("{panic}\n{trace}");
            std::process::abort();
        }
    }));
}

fn space(dimension: usize) -> Space {
    Space { name: "fuzz".to_owned(), version: "1".to_owned(), dimension: dimension as u32 }
}

fn vector(seed: usize, dimension: usize) -> Vec<f16> {
    let value = |at: usize| ((seed * dimension + at).wrapping_mul(2_654_435_761) >> 7) % 1009;
    let values: Vec<f32> = (0..dimension).map(|at| value(at) as f32 - 504.5).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| f16::from_f32(value / length)).collect()
}

fn content(number: usize, segments: usize, dimension: usize) -> Content {
    let word = |at: usize| WORDS[(number * 7 + at * 3) % WORDS.len()];
    let segment = |at: usize| Segment {
        span: Span { start: at as f64, end: at as f64 + 1.5 },
        evidence: vec![
            Evidence {
                channel: Channel::Frame,
                vector: Some(vector(number * 1000 + at, dimension)),
                text: None,
                description: Some(format!("closest concepts: {}", word(at))),
            },
            Evidence {
                channel: Channel::Speech,
                vector: None,
                text: (at < 40).then(|| format!("{} {} {}", word(at), word(at + 1), word(at + 5))),
                description: None,
            },
        ],
    };
    let video = Video {
        title: format!("{} {}", word(2), word(4)),
        tags: vec![word(1).to_owned()],
        duration: 30.0 + number as f64,
        quality: Some("hd".to_owned()),
        metadata: serde_json::json!({"rating": number, "place": {"name": word(3)}})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Video::named(VideoId::new(format!("video-{number}")).expect("an id"))
    };
    Content::checked(video, (0..segments).map(segment).collect()).expect("content")
}

fn queries(dimension: usize) -> Vec<Query> {
    let whole = Query {
        text: [
            (Channel::Metadata, "solar \"roof panel\"".to_owned()),
            (Channel::Speech, "dog ladd* -waltz".to_owned()),
        ]
        .into(),
        vectors: [(Channel::Frame, vec![1.0; dimension])].into(),
        filter: serde_json::json!({"duration": {"min": 5}, "metadata": {"rating": {"max": 3}}}),
        facets: Facets::All,
        ..Query::default()
    };
    let near = Query {
        vectors: [(Channel::Frame, vec![0.3; dimension])].into(),
        effort: Some(50),
        limit: 5,
        ..Query::default()
    };
    vec![whole, near]
}

/// Asks everything of a library; errors are answers too.
fn ask(library: &Library, dimension: usize) {
    let _ = library.check();
    let _ = library.info();
    for id in library.video_ids().unwrap_or_default().iter().take(8) {
        let _ = library.content(id);
    }
    for query in queries(dimension) {
        let _ = library.search(&query);
    }
}

fn storage() -> MemoryStorage {
    let storage = MemoryStorage::new();
    create_directories(&storage).expect("directories in memory");
    storage
}

fn put(storage: &MemoryStorage, name: &str, bytes: &[u8]) {
    storage.create(name).and_then(|file| file.write_all(bytes)).expect("a file in memory");
}

/// The bytes as they are, or as payloads of records of a sound log: a length of two bytes before each.
pub fn log(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let _ = Operation::decode(rest);
    let storage = storage();
    if kind % 2 == 0 {
        put(&storage, "wal/0000000000000001.log", rest);
        let _ = replay(&storage, 1, &mut |_, _| Ok(()));
        return;
    }
    let log = Log::create(&storage, 1, 1).expect("a log in memory");
    let set_space = Operation::SetSpace(Channel::Frame, space(DIMENSION)).encode().expect("an operation");
    log.append(&set_space).expect("a record");
    let mut rest = rest;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)).min(after.len());
        log.append(&after[..len]).expect("a record");
        rest = &after[len..];
    }
    log.sync().expect("a sync in memory");
    Manifest::new().and_then(|manifest| manifest.store(&storage)).expect("a manifest in memory");
    if let Ok(library) = Library::open_in(Arc::new(storage), Access::Read) {
        ask(&library, DIMENSION);
    }
}

/// The bytes as they are, or as the body of a manifest with a right checksum.
pub fn manifest(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let storage = storage();
    Log::create(&storage, 1, 1).expect("a log in memory");
    if kind % 2 == 0 {
        put(&storage, "MANIFEST", rest);
    } else {
        let mut checked = pixr::storage::FORMAT.to_le_bytes().to_vec();
        checked.extend((rest.len() as u64).to_le_bytes());
        checked.extend(rest);
        let mut whole = b"PIXRMANI".to_vec();
        whole.extend(crc32c::crc32c(&checked).to_le_bytes());
        whole.extend(checked);
        put(&storage, "MANIFEST", &whole);
    }
    if let Ok(library) = Library::open_in(Arc::new(storage), Access::Read) {
        ask(&library, DIMENSION);
    }
}

/// A bitmap of deleted videos, as it is or with right checksums.
pub fn deletes(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let storage = storage();
    let mut whole = rest.to_vec();
    if kind % 2 == 1 {
        let mut header = b"PIXRDELS".to_vec();
        header.extend(pixr::storage::FORMAT.to_le_bytes());
        header.extend(crc32c::crc32c(rest).to_le_bytes());
        for field in [1, 2, rest.len() as u64] {
            header.extend(field.to_le_bytes());
        }
        header.extend(u32::from(kind / 2).to_le_bytes());
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        header.extend(rest);
        whole = header;
    }
    put(&storage, "deletes/0000000000000001-0000000000000002.bitmap", &whole);
    let _ = read_deletes(&storage, 1, 2, 100, u32::from(kind / 2));
}

/// Changes sections as `bytes` say, seven for each change.
fn change(sections: &mut SectionBytes, bytes: &[u8]) {
    for change in bytes.chunks_exact(7).take(32) {
        let place = usize::from(change[0]) % sections.len();
        let section = &mut sections[place].1;
        let at = u32::from_le_bytes([change[2], change[3], change[4], 0]) as usize;
        let value = [change[5], change[6]];
        let len = section.len();
        match change[1] % 5 {
            0 => section.truncate(at % (len + 1)),
            1 => section.extend(std::iter::repeat_n(value[0], usize::from(value[1]))),
            2 if len > 0 => section[at % len] = value[0],
            3 if len > 0 => section[at % len] ^= value[0],
            4 if len >= 4 => {
                // Numbers that are hard on arithmetic.
                let number =
                    [0, 1, u32::MAX, u32::MAX / 2 + 1, u32::from(value[1]), len as u32][usize::from(value[0]) % 6];
                let at = at % (len - 3);
                section[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            _ => {}
        }
    }
}

/// A part as the engine wrote it.
struct Sample {
    sections: SectionBytes,
    rows: u32,
    videos: u32,
    dimension: usize,
}

impl Sample {
    fn new(videos: usize, segments: usize, dimension: usize) -> Self {
        let contents: Vec<Content> = (0..videos).map(|number| content(number, segments, dimension)).collect();
        let spaces = BTreeMap::from([(Channel::Frame, space(dimension))]);
        let sections = Part::build(&contents, &spaces, Index::Graph).expect("a part");
        let rows = contents.iter().map(|content| content.segments.len() + 1).sum::<usize>();
        Self { sections, rows: rows as u32, videos: videos as u32, dimension }
    }

    /// Changes sections as `bytes` say and asks everything of a library of that part.
    fn ask_changed(&self, bytes: &[u8]) {
        let mut sections = self.sections.clone();
        change(&mut sections, bytes);
        let storage = storage();
        Log::create(&storage, 1, 1).expect("a log in memory");
        let byte_len = write_part(&storage, 1, &sections).expect("a part in memory");
        let part = PartEntry {
            number: 1,
            byte_len,
            row_count: self.rows,
            video_count: self.videos,
            deletes: None,
            deleted_count: 0,
        };
        let spaces = BTreeMap::from([(Channel::Frame, space(self.dimension))]);
        Manifest::new()
            .and_then(|manifest| Manifest { next_file: 2, parts: vec![part], spaces, ..manifest }.store(&storage))
            .expect("a manifest in memory");
        if let Ok(library) = Library::open_in(Arc::new(storage), Access::Read) {
            ask(&library, self.dimension);
        }
    }
}

/// A small part.
static SMALL: LazyLock<Sample> = LazyLock::new(|| Sample::new(5, 3, DIMENSION));
/// Columns with codes and a graph: one of vectors of all signs, one of shares, which is kept by component as well.
static COLUMNS: LazyLock<[SectionBytes; 2]> = LazyLock::new(|| {
    [false, true].map(|shares| {
        let rows: Vec<u32> = (0..CODED_ROWS).map(|row| 2 * row).collect();
        let vectors = rows.iter().flat_map(|&row| vector(row as usize, CODED_DIMENSION));
        let vectors: Vec<f16> = if shares {
            vectors.map(|one| f16::from_bits(one.to_bits() & 0x7fff)).collect()
        } else {
            vectors.collect()
        };
        let mut sections = SectionBytes::new();
        VectorColumn::build("frame", CODED_DIMENSION, &rows, &vectors, Index::Graph, &mut sections).expect("a column");
        for name in ["codes", "graph"].into_iter().chain(shares.then_some("vertical")) {
            assert!(sections.iter().any(|(section, _)| section.ends_with(name)), "the column has no {name}");
        }
        sections
    })
});

/// Builds what `part` changes; before the first input, which would be timed otherwise.
pub fn prepare_part() {
    let_guarded_panics_pass();
    LazyLock::force(&SMALL);
}

/// Changes any section of a small part.
pub fn part(bytes: &[u8]) {
    SMALL.ask_changed(bytes);
}

/// Builds what `column` changes.
pub fn prepare_column() {
    let_guarded_panics_pass();
    LazyLock::force(&COLUMNS);
}

/// Changes the sections of a column of vectors: its head, rows, vectors, codes, graph, components.
pub fn column(bytes: &[u8]) {
    let Some((&kind, changes)) = bytes.split_first() else { return };
    let mut sections = COLUMNS[usize::from(kind) % COLUMNS.len()].clone();
    change(&mut sections, changes);
    let sections: BTreeMap<String, Section> =
        sections.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect();
    let Ok(Some(column)) = VectorColumn::open("frame", &sections) else { return };
    let asked: Vec<f32> = vector(usize::from(kind), column.dimension()).into_iter().map(f32::from).collect();
    let Ok(query) = QueryVector::new("query", &asked) else { return };
    let _ = column.vector(2);
    let _ = column.score_rows(&query, 0..50, &mut Vec::new());
    let _ = column.top_k(&query, 5, None);
    let _ = column.at_least(&query, 0.2, None);
    // So little effort that the graph is walked.
    let _ = column.approximate_top_k(&query, 2, 6, None);
}

/// A library to ask, one for each thread.
fn with_library(ask: impl FnOnce(&Library)) {
    thread_local!(static LIBRARY: RefCell<Option<Library>> = const { RefCell::new(None) });
    LIBRARY.with_borrow_mut(|library| {
        ask(library.get_or_insert_with(|| {
            let library = Library::in_memory().expect("a library in memory");
            library.set_space(Channel::Frame, space(DIMENSION)).expect("a space");
            let contents = (0..12).map(|number| content(number, 4, DIMENSION));
            library.put(contents.map(|content| (content.video, content.segments)).collect()).expect("videos");
            library
        }));
    });
}

/// The text of a cursor, alone and in a query.
pub fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let secret = [7; 32];
    if let Ok(cursor) = Cursor::decode(text, &secret, &[9; 32]) {
        assert_eq!(Cursor::decode(&cursor.encode(&secret), &secret, &[9; 32]).ok(), Some(cursor));
    }
    with_library(|library| {
        let query = Query { cursor: Some(text.to_owned()), ..queries(DIMENSION).remove(1) };
        assert!(library.search(&query).is_err(), "a cursor that the library did not sign");
    });
}

/// A filter's JSON.
pub fn filter(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let _ = Filter::parse(&value);
    with_library(|library| {
        let _ = library.search(&Query { filter: value, ..queries(DIMENSION).remove(1) });
    });
}

/// A query's JSON.
pub fn query(bytes: &[u8]) {
    let Ok(query) = serde_json::from_slice::<Query>(bytes) else { return };
    with_library(|library| {
        let _ = library.search(&query);
    });
}

/// The words of a query.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = TextQuery::parse(text);
    with_library(|library| {
        let asked = [Channel::Metadata, Channel::Speech].map(|channel| (channel, text.to_owned()));
        let _ = library.search(&Query { text: asked.into(), min_score: Some(0.0), ..Query::default() });
    });
}
