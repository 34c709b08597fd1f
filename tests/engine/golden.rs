//! Libraries as released versions wrote them: each must open, answer, and go on under this version.
//!
//! `PIXR_WRITE_GOLDEN=tests/golden/format-N cargo test --release golden` writes one. That is done once for each format, by
//! the version that releases it. There is no graph in it: graphs begin at 32,768 rows, too many to keep here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pixr::Error;
use pixr::catalog::channel::Channel;
use pixr::library::{Access, Library};
use pixr::search::query::Query;

use crate::films::{Film, id, prepare, put, space};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn film(number: usize) -> Film {
    let segment = |at: usize| {
        let vector = vec![1.0, number as f32 - 6.0, at as f32, 0.5, -1.0, 2.0];
        (at as f64 * 2.0, at as f64 * 2.0 + 2.0, Some(vector), Some(format!("speech {number} of the harbour at {at}")))
    };
    Film {
        id: format!("film-{number:02}"),
        title: format!("Film {number}: Über den Dächern"),
        tags: vec!["golden".to_owned(), format!("n{}", number % 3)],
        duration: 30.0,
        segments: (0..5).map(segment).collect(),
    }
}

/// What every golden library holds: parts with and without deleted videos, and a log with each kind of operation.
fn write(path: &Path) {
    let library = Library::open(path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &(0..6).map(film).collect::<Vec<_>>());
    library.commit().unwrap();
    put(&library, &(6..9).map(film).collect::<Vec<_>>());
    library.delete(vec![id("film-01")]).unwrap();
    library.commit().unwrap();
    put(&library, &[film(9)]);
    library.delete(vec![id("film-07")]).unwrap();
    library.update(Film { title: "Renamed".to_owned(), ..film(2) }.video()).unwrap();
    library.overlay(vec![(id("film-03"), None, Film { segments: vec![overlaid()], ..film(3) }.segments())]).unwrap();
    library.set_calibration(Channel::Sound, pixr::search::calibrate::Calibration::default()).unwrap();
    // The log is not committed, as after a crash.
    std::mem::forget(library);
}

fn overlaid() -> crate::films::Plain {
    (20.0, 25.0, None, Some("laid over".to_owned()))
}

fn expected() -> BTreeMap<String, Film> {
    let mut films: BTreeMap<String, Film> =
        (0..10).filter(|number| ![1, 7].contains(number)).map(film).map(|film| (film.id.clone(), film)).collect();
    films.get_mut("film-02").unwrap().title = "Renamed".to_owned();
    films.get_mut("film-03").unwrap().segments.push(overlaid());
    films
}

fn is_as_expected(library: &Library) {
    let films = expected();
    let ids: Vec<String> = library.video_ids().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(ids, films.keys().cloned().collect::<Vec<_>>());
    for film in films.values() {
        let content = library.content(&id(&film.id)).unwrap();
        assert_eq!((content.video, content.segments), (film.video(), film.segments()));
    }
    assert_eq!(library.snapshot().spaces.get(&Channel::Frame), Some(&space()));
    assert!(library.snapshot().calibrations.contains_key(&Channel::Speech));
    assert!(library.check().unwrap().damaged.is_empty());
    let mut query = Query { limit: 100, ..Query::default() };
    query.text.insert(Channel::Speech, "harbour".to_owned());
    query.vectors.insert(Channel::Frame, vec![1.0, 3.0, 0.0, 0.5, -1.0, 2.0]);
    let hits = library.search(&query).unwrap().hits;
    assert_eq!(hits.len(), films.len());
    assert_eq!(hits[0].video.id.as_str(), "film-09", "the one whose vector was asked for");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copied(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn libraries_of_every_released_format_open_answer_and_go_on() {
    if let Some(path) = std::env::var_os("PIXR_WRITE_GOLDEN") {
        write(Path::new(&path));
    }
    let mut formats = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let golden = entry.unwrap().path();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("library");
        copied(&golden, &path);
        is_as_expected(&Library::open(&path, Access::Read).unwrap());
        let mut library = Library::open(&path, Access::Write).unwrap();
        is_as_expected(&library);
        put(&library, &[film(20)]);
        library.delete(vec![id("film-20")]).unwrap();
        library.compact().unwrap();
        is_as_expected(&library);
        assert_eq!(library.info().unwrap().format, pixr::storage::FORMAT);
        library.close().unwrap();
        is_as_expected(&Library::open(&path, Access::Read).unwrap());
        formats += 1;
    }
    assert_eq!(formats, pixr::storage::FORMAT, "one for each format so far");
}

#[test]
fn a_newer_format_is_refused_with_all_three_numbers_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    copied(&folder().join("format-1"), dir.path());
    let manifest = dir.path().join("MANIFEST");
    let mut bytes = fs::read(&manifest).unwrap();
    // Format at offset 12, the checksum before it over all that follows (FORMAT.md).
    bytes[12..16].copy_from_slice(&(pixr::storage::FORMAT + 1).to_le_bytes());
    let check = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&check.to_le_bytes());
    fs::write(&manifest, &bytes).unwrap();
    let names = || fs::read_dir(dir.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let before = names();
    for access in [Access::Read, Access::Write, Access::Create] {
        match Library::open(dir.path(), access) {
            Err(Error::FormatUnsupported { got, oldest, newest, .. }) => {
                assert_eq!((got, oldest, newest), (pixr::storage::FORMAT + 1, 1, pixr::storage::FORMAT));
            }
            other => panic!("expected format_unsupported, got {other:?}"),
        }
    }
    assert_eq!(fs::read(&manifest).unwrap(), bytes);
    assert_eq!(names(), before);
}
