//! Every byte of every file of a small library is changed, and every file is cut at every length.
//!
//! Whatever is then asked gives an error that names the file, or what it gave before; nothing panics, and no thread asks
//! for more memory than [`ALLOWED_BYTES`] beyond what it gives back. `check` finds every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use pixr::catalog::channel::Channel;
use pixr::library::{Access, Library};
use pixr::operation::Content;
use pixr::search::hit::SearchResult;
use pixr::search::query::Query;
use pixr::storage::memory::MemoryStorage;
use pixr::storage::seam::Storage;
use pixr::{Error, Result};

use super::allocations;
use super::power::Image;
use super::tally::{Profile, Tally, caught, profile};
use super::workload::{Deed, Lot, Model, held, perform};
use crate::films::DIMENSION;

/// A damaged library of some ten kilobytes may make the calling thread hold no more than this.
const ALLOWED_BYTES: usize = 2 << 20;

struct Small {
    image: Image,
    contents: BTreeMap<String, Content>,
    queries: Vec<Query>,
    answers: Vec<SearchResult>,
}

/// Two parts, one with a bitmap of deleted videos, and a log with five records if it is not closed.
fn small(closed: bool) -> Small {
    let mut lot = Lot::new(77);
    let disk = MemoryStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (mut library, mut model) = (None, Model::default());
    let film =
        |lot: &mut Lot, name: &str| crate::films::Film { id: name.to_owned(), ..lot.draw(&crate::films::film()) };
    let mut deeds = vec![Deed::SetSpace, Deed::Calibrate(Channel::Frame), Deed::Calibrate(Channel::Metadata)];
    deeds.push(Deed::Put(["a", "b", "c"].map(|name| film(&mut lot, name)).into()));
    deeds.push(Deed::Commit);
    deeds.push(Deed::Put(["d", "e"].map(|name| film(&mut lot, name)).into()));
    deeds.push(Deed::Delete(vec!["b".to_owned()]));
    deeds.push(Deed::Commit);
    for deed in &deeds {
        perform(&mut library, &storage, deed).unwrap();
        model = model.after(deed);
    }
    let late = [
        Deed::Put(vec![film(&mut lot, "f")]),
        Deed::Update(film(&mut lot, "a")),
        Deed::Delete(vec!["d".to_owned()]),
        Deed::Put(vec![film(&mut lot, "g")]),
        Deed::Put(vec![film(&mut lot, "c")]),
    ];
    for deed in late.iter().take(if closed { 0 } else { late.len() }) {
        perform(&mut library, &storage, deed).unwrap();
        model = model.after(deed);
    }
    if closed {
        drop(library.take());
    }
    let image = Image::of(&disk);
    let mut queries = lot.queries(2);
    queries.push(Query {
        text: [(Channel::Metadata, "\"solar panel\" roof".to_owned()), (Channel::Speech, "dog".to_owned())].into(),
        vectors: [(Channel::Frame, vec![0.5; DIMENSION])].into(),
        filter: serde_json::json!({"duration": {"min": 5}}),
        facets: pixr::search::query::Facets::All,
        limit: 1000,
        ..Query::default()
    });
    let library = Library::open_in(Arc::new(image.to_storage()), Access::Read).unwrap();
    let answers = queries.iter().map(|query| library.search(query).unwrap()).collect();
    Small { image, contents: model.films, queries, answers }
}

/// What is wrong: `(kind, story)`.
type Wrong = (&'static str, String);

#[derive(Debug, PartialEq)]
enum Outcome {
    /// An error named the file.
    Told,
    /// Everything was answered as before.
    Unchanged,
}

/// Whether an error may come of a change in `file`: it is of damage, and names the file.
fn names(error: &Error, file: &str) -> Result<(), Wrong> {
    let text = error.to_string();
    let named = match error {
        Error::Damaged { .. } | Error::FormatUnsupported { .. } => text.contains(file),
        Error::NotALibrary { .. } => file == "MANIFEST",
        // A record or a log that is not there.
        Error::Io { .. } => text.contains(file),
        _ => false,
    };
    if named { Ok(()) } else { Err(("wrong_answers", format!("the error does not name the file: {text}"))) }
}

fn examine(small: &Small, image: &Image, file: &str) -> Result<Outcome, Wrong> {
    let library = match Library::open_in(Arc::new(image.to_storage()), Access::Read) {
        Ok(library) => library,
        Err(error) => return names(&error, file).map(|()| Outcome::Told),
    };
    let report = library.check().map_err(|error| ("wrong_answers", format!("check fails: {error}")))?;
    let found =
        report.damaged.iter().any(|line| line.contains(file)) || report.unfinished.iter().any(|name| name == file);
    let mut told = false;
    match held(&library) {
        Ok(contents) if contents == small.contents => {}
        Ok(contents) => return Err(("wrong_answers", format!("it holds {:?}", contents.keys()))),
        Err(error) => {
            names(&error, file)?;
            told = true;
        }
    }
    for (query, expected) in small.queries.iter().zip(&small.answers) {
        match library.search(query) {
            Ok(got) if got.hits == expected.hits && got.total == expected.total && got.facets == expected.facets => {}
            Ok(got) => return Err(("wrong_answers", format!("{query:?} gives {:?}", got.hits))),
            Err(error) => {
                names(&error, file)?;
                told = true;
            }
        }
    }
    if !found {
        return Err(("wrong_answers", format!("check does not find it: {report:?}")));
    }
    Ok(if told { Outcome::Told } else { Outcome::Unchanged })
}

fn damage_everything(closed: bool, tally: &mut Tally) {
    let small = small(closed);
    let (stride, masks): (usize, &[u8]) = match profile() {
        Profile::Test => (23, &[0x10]),
        Profile::Fast => (1, &[0x01]),
        Profile::Slow => (1, &[0x01, 0x80, 0xff]),
    };
    let mut peak = 0;
    for (name, whole) in small.image.files.iter().filter(|(name, _)| *name != "LOCK") {
        let mut damaged: Vec<(String, Option<u8>, usize)> = Vec::new();
        for at in (0..whole.len()).filter(|at| at % stride == 0 || *at < 64) {
            damaged.extend(masks.iter().map(|mask| (format!("byte {at} xor {mask:#x}"), Some(*mask), at)));
            damaged.push((format!("cut to {at}"), None, at));
        }
        for (story, mask, at) in damaged {
            let mut bytes = whole.clone();
            match mask {
                Some(mask) => bytes[at] ^= mask,
                None => bytes.truncate(at),
            }
            tally.add(if mask.is_some() { "flips" } else { "cuts" }, 1);
            let mut image = small.image.clone();
            image.files.insert(name.clone(), bytes);
            allocations::begin();
            let outcome = caught(|| examine(&small, &image, name));
            let used = allocations::peak();
            peak = peak.max(used);
            let told = |text: String| format!("{name}, {story}: {text}");
            match outcome {
                Ok(Ok(Outcome::Told)) => tally.add("told", 1),
                Ok(Ok(Outcome::Unchanged)) => tally.add("unchanged", 1),
                Ok(Err((kind, text))) => tally.fail(kind, told(text)),
                Err(panic) => tally.fail("panics", told(panic)),
            }
            if used > ALLOWED_BYTES {
                tally.fail("wrong_answers", told(format!("{used} bytes were allocated")));
            }
        }
    }
    println!("most bytes that one look held: {peak}");
}

#[test]
fn no_damaged_byte_of_a_library_changes_an_answer() {
    let mut tally = Tally::default();
    for closed in [true, false] {
        damage_everything(closed, &mut tally);
    }
    tally.report("damage");
}
