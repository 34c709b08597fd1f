//! Backups and restored libraries that are cut short, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
