//! Parts that can't be written in the background, for a while.

use std::fs;
use std::time::{Duration, Instant};

use pixr::Error;
use pixr::library::{Access, Library, Limits, Options};

use crate::films::{Film, prepare, put};
use crate::operations::{damage, files, film};

/// A write that was stored failed with the error of a checkpoint that had nothing to do with it. It is told by `info`;
/// writes go on until memory or log are at twice their limits, and what is refused then is not stored.
#[test]
fn a_failing_checkpoint_is_told_by_info_and_refuses_no_write_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { log_bytes: 8_000, ..Limits::default() };
    let library = Library::open(dir.path(), Options { limits, ..Access::Create.into() }).unwrap();
    prepare(&library, true);
    put(&library, &[film("first", "solar")]);
    library.commit().unwrap();
    // Nothing can be written there any more.
    let (parts, away) = (dir.path().join("parts"), dir.path().join("away"));
    fs::rename(&parts, &away).unwrap();
    let mut stored = 1;
    let refused = loop {
        assert!(stored < 1000, "writes are never refused");
        let one = film(&format!("v{stored}"), "solar");
        match library.put(vec![(one.video(), one.segments())]) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    let info = library.info().unwrap();
    assert!(info.log_byte_len > limits.log_bytes, "refused before the limit: {info:?}");
    assert_eq!(info.videos, stored);
    let told = Instant::now();
    while library.info().unwrap().background_failure.is_none() {
        assert!(told.elapsed() < Duration::from_secs(30), "nothing is told");
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::rename(&away, &parts).unwrap();
    put(&library, &[film("last", "solar")]);
    library.commit().unwrap();
    let info = library.info().unwrap();
    assert_eq!((info.videos, info.background_failure), (stored + 1, None));
    drop(library);
    let library = Library::open(dir.path(), Access::Read).unwrap();
    assert_eq!(library.info().unwrap().videos, stored + 1);
    assert!(library.check().unwrap().damaged.is_empty());
}

/// A merge that can't be done, for a part that is damaged, is tried again every two seconds. Each try began a new log: an
/// idle process left tens of thousands of files a day, all of which the next opening had to read.
#[test]
fn a_merge_that_fails_again_and_again_leaves_no_logs_behind() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&library, true);
    let wide = |name: String| Film { title: "solar ".repeat(100_000), ..film(&name, "") };
    for number in 0..3 {
        put(&library, &[wide(format!("v{number}"))]);
        library.commit().unwrap();
    }
    drop(library);
    damage(&files(&dir.path().join("parts"))[0], 0.2);
    let limits = Limits { parts: 3, ..Limits::default() };
    let library = Library::open(dir.path(), Options { limits, ..Access::Write.into() }).unwrap();
    put(&library, &[film("last", "solar")]);
    let _ = library.commit();
    let logs = || files(&dir.path().join("wal")).len();
    let begun = Instant::now();
    while library.info().unwrap().background_failure.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is told");
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = logs();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(logs(), before);
}
