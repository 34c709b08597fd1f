//! Opening, writing, reading back.

use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Space, Span, Video};
use pixr::library::{Access, Library};
use pixr::operation::Respaced;
use pixr::search::calibrate::Calibration;
use pixr::search::query::Query;
use pixr::{Error, batch};

use crate::films::{Film, id, prepare, put, space};

fn film(name: &str, title: &str) -> Film {
    Film {
        id: name.to_owned(),
        title: title.to_owned(),
        tags: vec!["diy".to_owned()],
        duration: 60.0,
        segments: vec![
            (0.0, 4.0, Some(vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.5]), Some("mounting the rail".to_owned())),
            (4.0, 8.0, None, Some("über den Dächern".to_owned())),
        ],
    }
}

fn words(text: &str) -> Query {
    Query {
        text: [(Channel::Metadata, text.to_owned()), (Channel::Speech, text.to_owned())].into(),
        ..Query::default()
    }
}

fn found(library: &Library, text: &str) -> Vec<String> {
    library.search(&words(text)).unwrap().hits.into_iter().map(|hit| hit.video.id.to_string()).collect()
}

#[test]
fn a_reopened_library_holds_what_was_put_with_and_without_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    {
        let library = Library::open(&path, Access::Create).unwrap();
        prepare(&library, true);
        put(&library, &[film("a", "solar install")]);
        library.commit().unwrap();
        put(&library, &[film("b", "solar repair")]);
        library.delete(vec![id("a")]).unwrap();
        std::mem::forget(library); // no commit at the end, as after a crash
    }
    let reader = Library::open(&path, Access::Read).unwrap();
    assert_eq!(found(&reader, "solar"), ["b"]);
    assert_eq!(reader.content(&id("b")).unwrap().segments, film("b", "").segments());
    assert!(reader.check().unwrap().damaged.is_empty());
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let first = Library::open(dir.path(), Access::Create).unwrap();
    match Library::open(dir.path(), Access::Write) {
        Err(Error::LibraryLocked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        other => panic!("expected library_locked, got {other:?}"),
    }
    drop(first);
    drop(Library::open(dir.path(), Access::Write).unwrap());
}

#[test]
fn a_reader_sees_what_the_writer_writes_without_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&writer, true);
    let reader = Library::open(dir.path(), Access::Read).unwrap();
    assert!(found(&reader, "solar").is_empty());
    for step in 0..4 {
        put(&writer, &[film(&format!("v{step}"), "solar")]);
        if step % 2 == 1 {
            writer.compact().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert_eq!(found(&reader, "solar").len(), step + 1);
    }
    match reader.delete(vec![id("v0")]) {
        Err(Error::ReadOnly { .. }) => {}
        other => panic!("expected read_only, got {other:?}"),
    }
}

#[test]
fn what_is_not_a_library_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    for access in [Access::Create, Access::Write, Access::Read] {
        match Library::open(dir.path(), access) {
            Err(Error::NotALibrary { .. }) => {}
            other => panic!("expected not_a_library, got {other:?}"),
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    match Library::open(dir.path().join("absent"), Access::Read) {
        Err(Error::LibraryNotFound { .. }) => {}
        other => panic!("expected library_not_found, got {other:?}"),
    }
}

#[test]
fn compact_removes_the_bytes_of_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&library, false);
    put(&library, &[film("keep", "garden"), film("secret", "xylophonist")]);
    library.commit().unwrap();
    library.delete(vec![id("secret")]).unwrap();
    let receipt = library.compact().unwrap();
    assert_eq!(receipt.removed_videos, 1);
    assert!(!receipt.removed_files.is_empty());
    for entry in walk(dir.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        let holds = bytes.windows(11).any(|window| window == b"xylophonist");
        assert!(!holds, "{} still holds the title", entry.display());
    }
    assert_eq!(found(&library, "garden"), ["keep"]);
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn vectors_of_another_space_are_refused_by_name() {
    let library = crate::films::empty(false);
    put(&library, &[film("a", "")]);
    let other = Space { name: "clip".to_owned(), version: "2".to_owned(), dimension: 512 };
    match library.set_space(Channel::Frame, other) {
        Err(Error::SpaceMismatch { expected, got, .. }) => {
            assert_eq!((expected, got), (space().to_string(), "clip@2/512".to_owned()));
        }
        other => panic!("expected space_mismatch, got {other:?}"),
    }
    let mut query = Query::default();
    query.vectors.insert(Channel::Frame, vec![1.0; 512]);
    let wide = Film { segments: vec![(0.0, 4.0, Some(vec![1.0; 512]), None)], ..film("b", "") };
    let written = library.put(vec![(wide.video(), wide.segments())]).map(|_| ());
    for refused in [library.search(&query).map(|_| ()), written] {
        match refused {
            Err(Error::DimensionMismatch { what, expected, got }) => {
                assert_eq!((expected, got), (6, 512));
                assert!(what.contains(&space().to_string()) && what.contains("pixr reindex"), "{what}");
            }
            other => panic!("expected dimension_mismatch, got {other:?}"),
        }
    }
}

#[test]
fn an_exported_batch_makes_an_equal_library() {
    let library = crate::films::empty(false);
    let empty = Film { segments: Vec::new(), ..film("empty", "nothing yet") };
    put(&library, &[film("a", "solar install"), empty, film("b", "garden")]);
    let ids = library.video_ids().unwrap();
    let rows = library.export(&ids).unwrap();
    let copy = crate::films::empty(false);
    assert_eq!(copy.add_segments(&rows, Vec::new()).unwrap().len(), 3);
    for id in &ids {
        assert_eq!(library.content(id).unwrap(), copy.content(id).unwrap());
    }
    assert_eq!(batch::decode(&rows).unwrap().len(), 3);
}

#[test]
fn update_keeps_the_segments() {
    let library = crate::films::empty(false);
    put(&library, &[film("a", "old title")]);
    library.update(film("a", "zeppelin").video()).unwrap();
    assert_eq!(found(&library, "zeppelin"), ["a"]);
    assert!(found(&library, "old").is_empty());
    assert_eq!(library.content(&id("a")).unwrap().segments.len(), 2);
    match library.update(film("nobody", "x").video()) {
        Err(Error::VideoNotFound { video }) => assert_eq!(video, "nobody"),
        other => panic!("expected video_not_found, got {other:?}"),
    }
}

#[test]
fn a_forged_cursor_and_one_of_another_query_are_refused() {
    let library = crate::films::empty(false);
    put(&library, &[film("a", "solar"), film("b", "solar"), film("c", "solar")]);
    let first = library.search(&Query { limit: 1, ..words("solar") }).unwrap();
    let cursor = first.next_cursor.expect("three hits, one a page");
    let mut forged = cursor.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    for (text, asked) in
        [(String::from_utf8(forged).unwrap(), "solar"), (cursor.clone(), "garden"), ("x".to_owned(), "solar")]
    {
        match library.search(&Query { limit: 1, cursor: Some(text), ..words(asked) }) {
            Err(Error::InvalidCursor { .. }) => {}
            other => panic!("expected invalid_cursor, got {other:?}"),
        }
    }
    // Another handle that has written since no longer has the snapshot.
    let elsewhere = crate::films::empty(false);
    match elsewhere.search(&Query { limit: 1, cursor: Some(cursor), ..words("solar") }) {
        Err(Error::InvalidCursor { .. }) => {}
        other => panic!("expected invalid_cursor from another library, got {other:?}"),
    }
}

#[test]
fn many_small_writes_end_in_few_parts() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&library, false);
    for number in 0..120 {
        put(&library, &[film(&format!("v{number}"), "solar")]);
    }
    assert!(library.snapshot().parts.len() < 24, "{} parts", library.snapshot().parts.len());
    library.commit().unwrap();
    assert_eq!(library.snapshot().parts.len(), 1);
    assert_eq!(library.info().unwrap().videos, 120);
    let page = library.search(&Query { limit: 1000, ..words("solar") }).unwrap();
    assert_eq!(page.total, 120);
}

#[test]
fn a_respaced_channel_has_the_new_vectors_after_a_crash_and_keeps_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let crashed = dir.path().join("crashed.pixr");
    let other = Space { name: "other".to_owned(), version: "1".to_owned(), dimension: 2 };
    let respaced = || Respaced { channel: Channel::Frame, space: other.clone(), calibration: Calibration::default() };
    {
        let library = Library::open(&path, Access::Create).unwrap();
        prepare(&library, true);
        put(&library, &[film("a", "solar install"), film("b", "solar repair")]);
        library.commit().unwrap();

        let staged = Library::in_memory().unwrap();
        staged.set_space(Channel::Frame, other.clone()).unwrap();
        let vector = vec![half::f16::from_f32(0.6), half::f16::from_f32(0.8)];
        let evidence = Evidence { channel: Channel::Frame, vector: Some(vector), text: None, description: None };
        let segment = Segment { span: Span { start: 0.0, end: 4.0 }, evidence: vec![evidence] };
        staged.put(vec![(Video::named(id("a")), vec![segment])]).unwrap();
        let rows = staged.export(&[id("a")]).unwrap();

        let number = library.current().unwrap().number;
        match library.respace(vec![respaced()], vec![id("a")], &rows, number) {
            Err(Error::InvalidBatch { detail }) => assert!(detail.contains("leave out the video b"), "{detail}"),
            other => panic!("expected invalid_batch, got {other:?}"),
        }
        put(&library, &[film("b", "solar repair, again")]);
        match library.respace(vec![respaced()], vec![id("a"), id("b")], &rows, number) {
            Err(Error::InvalidBatch { detail }) => assert!(detail.contains("is at"), "{detail}"),
            other => panic!("expected invalid_batch, got {other:?}"),
        }
        library.respace(vec![respaced()], vec![id("a"), id("b")], &rows, library.current().unwrap().number).unwrap();
        library.backup(&crashed).unwrap(); // as it is on disk now, with the change in its log alone
    }
    let library = Library::open(&crashed, Access::Write).unwrap();
    for committed in [false, true] {
        if committed {
            library.commit().unwrap();
        }
        let snapshot = library.current().unwrap();
        assert_eq!(snapshot.spaces.get(&Channel::Frame), Some(&other));
        let frames = |name: &str| -> Vec<usize> {
            let segments = library.content(&id(name)).unwrap().segments;
            let evidence = segments.into_iter().flat_map(|segment| segment.evidence);
            evidence
                .filter(|evidence| evidence.channel == Channel::Frame)
                .map(|evidence| evidence.vector.map_or(0, |vector| vector.len()))
                .collect()
        };
        assert_eq!(frames("a"), [2]);
        assert_eq!(frames("b"), [0; 0]);
        assert_eq!(found(&library, "rail"), ["a", "b"]);
        assert!(library.check().unwrap().damaged.is_empty());
    }
}

/// A library that was never committed has nothing but its log. Without its manifest it passed for one that was never made:
/// opening it made an empty one, over the log.
#[test]
fn writes_without_a_manifest_are_damage_and_can_be_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (path, saved) = (dir.path().join("films.pixr"), dir.path().join("saved"));
    let library = Library::open(&path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("a", "solar install")]);
    let killed = dir.path().join("killed");
    std::fs::create_dir_all(killed.join("wal")).unwrap();
    for name in ["SYNCED", "wal/0000000000000001.log"] {
        std::fs::copy(path.join(name), killed.join(name)).unwrap();
    }
    for access in [Access::Create, Access::Write, Access::Read] {
        assert_eq!(Library::open(&killed, access).map_err(|error| error.code()).err(), Some("damaged"));
    }
    assert_eq!(Library::repair(&killed, &saved).unwrap().videos, 1);
    assert_eq!(found(&Library::open(&saved, Access::Read).unwrap(), "solar"), ["a"]);
}
