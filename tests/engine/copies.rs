//! Backups and restored libraries that are cut short, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pixr::catalog::channel::Channel;
use pixr::catalog::video::{Evidence, Segment, Span};
use pixr::library::{Access, Library};

use crate::films::{id, put};
use crate::operations::{code, created, damage, files, film, opened, titles};

/// Lets a copy into `target` fail at its last step, as on a full disk.
fn cut_short<T>(target: &Path, copy: impl FnOnce() -> pixr::Result<T>) {
    let in_the_way = target.join("MANIFEST.tmp");
    fs::create_dir_all(&in_the_way).unwrap();
    assert_eq!(code(copy()), "io");
    fs::remove_dir(in_the_way).unwrap();
}

fn names(films: &BTreeMap<String, String>) -> Vec<&str> {
    films.keys().map(String::as_str).collect()
}

/// The log of the new state was written before its manifest and did not go on where the old state's log ended. A backup that
/// could not be brought up to date, for instance on a full disk, could no longer be opened or restored at all.
#[test]
fn a_backup_whose_update_was_cut_short_is_what_it_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("films.pixr"), dir.path().join("backup"));
    for commits in 1..4 {
        let library = created(&path, &[film("a", "solar")]);
        library.backup(&copy).unwrap();
        for commit in 0..commits {
            put(&library, &[film(&format!("new-{commit}"), "garden")]);
            library.commit().unwrap();
        }
        put(&library, &[film("last", "garden")]);
        cut_short(&copy, || library.backup(&copy));
        assert_eq!(names(&opened(&copy)), ["a"], "after {commits} commits");
        let restored = dir.path().join(format!("restored-{commits}"));
        Library::restore(&copy, &restored).unwrap();
        assert_eq!(names(&opened(&restored)), ["a"]);
        library.backup(&copy).unwrap();
        assert_eq!(opened(&copy), titles(&library));
        assert!(!copy.join("UNFINISHED").exists());
        drop(library);
        fs::remove_dir_all(&path).unwrap();
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn a_backup_whose_update_was_cut_short_can_be_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("films.pixr"), dir.path().join("backup"));
    let library = created(&path, &[film("a", "solar")]);
    library.backup(&copy).unwrap();
    for commit in ["b", "c"] {
        put(&library, &[film(commit, "garden")]);
        library.commit().unwrap();
    }
    cut_short(&copy, || library.backup(&copy));
    for name in ["d", "e", "f"] {
        let written = Library::open(&copy, Access::Write).unwrap();
        assert!(!copy.join("UNFINISHED").exists());
        put(&written, &[film(name, "harbour")]);
        written.commit().unwrap();
    }
    assert_eq!(names(&opened(&copy)), ["a", "d", "e", "f"]);
    assert!(Library::open(&copy, Access::Read).unwrap().check().unwrap().damaged.is_empty());
}

/// Logs of the first copy that have later numbers than those of the second stayed: the library was restored without an
/// error, and damaged.
#[test]
fn another_backup_is_restored_where_one_was_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let [path, early, late, target] = ["films.pixr", "early", "late", "target"].map(|name| dir.path().join(name));
    let library = created(&path, &[film("a", "solar")]);
    library.backup(&early).unwrap();
    put(&library, &[film("b", "garden")]);
    library.commit().unwrap();
    put(&library, &[film("c", "garden")]);
    library.backup(&late).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(target.join("UNFINISHED"), "").unwrap();
    cut_short(&target, || Library::restore(&late, &target));
    Library::restore(&early, &target).unwrap();
    assert_eq!(names(&opened(&target)), ["a"]);
}

/// Bitmaps of deleted videos were copied unread: restoring reported success, and the library that it made did not open.
#[test]
fn a_damaged_bitmap_is_neither_backed_up_nor_restored() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy, target] = ["films.pixr", "backup", "target"].map(|name| dir.path().join(name));
    // So many that the part is not rewritten without the one that is deleted.
    let library = created(&path, &["a", "b", "c", "d", "e", "f"].map(|name| film(name, "solar")));
    library.commit().unwrap();
    library.delete(vec![id("a")]).unwrap();
    library.commit().unwrap();
    library.backup(&copy).unwrap();
    for of in [&copy, &path] {
        damage(&files(&of.join("deletes")).pop().unwrap(), 0.9);
    }
    assert_eq!(code(Library::restore(&copy, &target)), "damaged");
    assert_eq!(code(library.backup(dir.path().join("new"))), "damaged");
    assert!(!target.exists());
}

#[test]
fn repair_leaves_a_directory_of_something_else_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (strange, saved) = (dir.path().join("notes"), dir.path().join("saved"));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("notes.txt"), "x").unwrap();
    assert_eq!(code(Library::repair(&strange, &saved)), "not_a_library");
    assert_eq!(files(&strange), [strange.join("notes.txt")]);
}

/// The record was copied after the copy was whole, by another program: a restore that failed or was killed in between was a
/// library without one, which the same call refused to touch again.
#[test]
fn the_record_of_the_models_is_in_a_copy_before_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy, restored, saved] = ["films.pixr", "copy", "restored", "saved"].map(|name| dir.path().join(name));
    let mut library = created(&path, &[film("a", "solar")]);
    let record = |path: &Path| fs::read_to_string(path.join("encoders.json")).unwrap_or_default();
    let model = |name: &str| format!("{{\"encoders\": [\"{name}\"], \"precision\": \"auto\"}}");
    fs::write(path.join("encoders.json"), model("clip")).unwrap();
    cut_short(&copy, || library.backup(&copy));
    assert_eq!(record(&copy), model("clip"));
    library.backup(&copy).unwrap();
    library.take_snapshot("monday").unwrap();
    fs::write(path.join("encoders.json"), model("siglip")).unwrap();
    assert_eq!(record(&path.join("snapshots/monday")), model("clip"));
    cut_short(&restored, || Library::restore(&copy, &restored));
    Library::restore(&copy, &restored).unwrap();
    assert_eq!(record(&restored), model("clip"));
    library.backup(&copy).unwrap();
    assert_eq!(record(&copy), model("siglip"));
    library.close().unwrap();
    Library::repair(&path, &saved).unwrap();
    assert_eq!(record(&saved), model("siglip"));
    fs::write(path.join("encoders.json"), "{\"enc").unwrap();
    fs::remove_dir_all(&saved).unwrap();
    Library::repair(&path, &saved).unwrap();
    assert!(!saved.join("encoders.json").exists(), "a damaged one is left out");
    assert_eq!(names(&opened(&saved)), ["a"]);
}

/// Two hundred films, or one that had grown in several writes, were put into one record, which was longer than a record
/// may be: the whole library could not be repaired.
#[test]
fn a_library_of_more_than_a_record_takes_is_repaired() {
    const WRITES: u32 = 3;
    const DESCRIPTION_BYTES: usize = 90 << 20;
    let dir = tempfile::tempdir().unwrap();
    let (path, saved) = (dir.path().join("films.pixr"), dir.path().join("saved"));
    let mut library = created(&path, &[film("a", "solar"), film("long", "harbour")]);
    for write in 1..=WRITES {
        let start = f64::from(100 * write);
        let description = Some("x".repeat(DESCRIPTION_BYTES));
        let evidence = vec![Evidence { channel: Channel::Frame, vector: None, text: None, description }];
        let segment = Segment { span: Span { start, end: start + 1.0 }, evidence };
        library.overlay(vec![(id("long"), None, vec![segment])]).unwrap();
    }
    library.commit().unwrap();
    let expected = library.export(&[id("a"), id("long")]).unwrap();
    library.close().unwrap();
    let report = Library::repair(&path, &saved).unwrap();
    assert_eq!((report.videos, report.damaged), (2, Vec::new()));
    let repaired = Library::open(&saved, Access::Read).unwrap();
    assert_eq!(repaired.export(&[id("a"), id("long")]).unwrap(), expected);
}
