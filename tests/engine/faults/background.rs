//! Parts that can't be written in the background, for a while.

use std::fs;
use std::time::{Duration, Instant};

use pixr::Error;
use pixr::library::{Access, Library, Limits, Options};

use crate::films::{prepare, put};
use crate::operations::film;

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
