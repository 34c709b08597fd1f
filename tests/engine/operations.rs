//! What people expect of a database: backup, restore, snapshots with a name, repair, compaction that is final.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pixr::Error;
use pixr::catalog::channel::Channel;
use pixr::library::{Access, Library, Options};
use pixr::search::query::Query;

use crate::films::{Film, id, prepare, put};

pub fn film(name: &str, title: &str) -> Film {
    Film {
        id: name.to_owned(),
        title: title.to_owned(),
        tags: vec!["diy".to_owned()],
        duration: 60.0,
        segments: vec![
            (0.0, 4.0, Some(vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.5]), Some("mounting the rail".to_owned())),
            (4.0, 8.0, None, Some(format!("{title} is said"))),
        ],
    }
}

pub fn created(path: &Path, films: &[Film]) -> Library {
    let library = Library::open(path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, films);
    library
}

/// Titles by id: what a library holds.
pub fn titles(library: &Library) -> BTreeMap<String, String> {
    let ids = library.video_ids().unwrap();
    ids.iter().map(|id| (id.to_string(), library.video(id).unwrap().title)).collect()
}

pub fn opened(path: &Path) -> BTreeMap<String, String> {
    titles(&Library::open(path, Access::Read).unwrap())
}

fn at(path: &Path, name: &str) -> pixr::Result<Library> {
    Library::open(path, Options { snapshot: Some(name.to_owned()), ..Access::Read.into() })
}

pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub fn code<T>(result: pixr::Result<T>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[test]
fn a_backup_is_a_library_and_the_next_one_copies_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("films.pixr"), dir.path().join("backup"));
    let library = created(&path, &(0..10).map(|number| film(&format!("b{number}"), "garden")).collect::<Vec<_>>());
    put(&library, &[film("a", "solar")]);
    library.commit().unwrap();
    put(&library, &[film("c", "harbour")]); // only in the log
    let first = library.backup(&copy).unwrap();
    assert_eq!((first.kept_files, first.removed_files), (0, 0));
    assert_eq!(opened(&copy), titles(&library));
    assert_eq!(first.snapshot, library.snapshot().number);

    put(&library, &[film("d", "desert")]);
    library.delete(vec![id("a")]).unwrap();
    library.commit().unwrap();
    let second = library.backup(&copy).unwrap();
    assert_eq!(second.kept_files, 1, "the first part: {second:?}");
    assert!(second.removed_files > 0, "the old log: {second:?}");
    assert_eq!(opened(&copy), titles(&library));
    // A reader can take one too.
    let reader = Library::open(&path, Access::Read).unwrap();
    let third = reader.backup(&copy).unwrap();
    assert_eq!(third.copied_files, 1, "nothing but the manifest: {third:?}");
}

#[test]
fn a_backup_of_another_library_or_of_another_history_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy, other) = (dir.path().join("films.pixr"), dir.path().join("backup"), dir.path().join("other"));
    let mut library = created(&path, &[film("a", "solar")]);
    library.commit().unwrap();
    let stranger = created(&other, &[film("x", "strange")]);
    library.backup(&copy).unwrap();
    assert_eq!(code(stranger.backup(&copy)), "backup_mismatch");
    // The library goes one way after the backup, what was restored of it another.
    let restored = dir.path().join("restored");
    Library::restore(&copy, &restored).unwrap();
    put(&library, &[film("b", "garden")]);
    library.commit().unwrap();
    library.backup(&copy).unwrap();
    library.close().unwrap();
    let again = Library::open(&restored, Access::Write).unwrap();
    put(&again, &[film("c", "harbour")]);
    again.commit().unwrap();
    put(&again, &[film("d", "desert")]);
    again.commit().unwrap();
    assert_eq!(code(again.backup(&copy)), "backup_mismatch");
    assert_eq!(opened(&copy), titles(&Library::open(&path, Access::Read).unwrap()));
    assert_eq!(code(again.backup(&restored)), "backup_mismatch", "onto itself");
    // A folder of someone's is left alone.
    let taken = dir.path().join("photos");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("a.jpg"), "x").unwrap();
    assert_eq!(code(again.backup(&taken)), "not_a_library");
}

#[test]
fn a_backup_that_was_cut_short_is_completed_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("films.pixr"), dir.path().join("backup"));
    let library = created(&path, &[film("a", "solar")]);
    library.commit().unwrap();
    library.backup(&copy).unwrap();
    // As after a crash before the manifest was there.
    fs::remove_file(copy.join("MANIFEST")).unwrap();
    fs::write(copy.join("UNFINISHED"), "").unwrap();
    assert_eq!(code(Library::open(&copy, Access::Read)), "not_a_library");
    let receipt = library.backup(&copy).unwrap();
    assert!(receipt.kept_files > 0);
    assert_eq!(opened(&copy), titles(&library));
}

#[test]
fn restoring_makes_an_equal_library_and_replaces_none() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy, new) = (dir.path().join("films.pixr"), dir.path().join("backup"), dir.path().join("new"));
    let library = created(&path, &[film("a", "solar"), film("b", "garden")]);
    library.backup(&copy).unwrap();
    Library::restore(&copy, &new).unwrap();
    assert_eq!(opened(&new), titles(&library));
    assert_eq!(code(Library::restore(&copy, &new)), "library_exists");
    let again = Library::open(&new, Access::Write).unwrap();
    put(&again, &[film("c", "harbour")]);
    assert_eq!(titles(&again).len(), 3);
    assert_eq!(code(Library::restore(dir.path().join("none"), dir.path().join("x"))), "library_not_found");
}

#[test]
fn a_damaged_library_does_not_overwrite_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("films.pixr"), dir.path().join("backup"));
    drop(created(&path, &[film("a", "solar")]));
    let reader = Library::open(&path, Access::Read).unwrap();
    reader.backup(&copy).unwrap();
    let library = Library::open(&path, Access::Write).unwrap();
    put(&library, &[film("b", "garden")]);
    library.compact().unwrap();
    let part = files(&path.join("parts")).pop().unwrap();
    damage(&part, 0.5);
    assert_eq!(code(library.backup(&copy)), "damaged");
    assert_eq!(opened(&copy).len(), 1, "the backup is as it was");
    assert_eq!(code(Library::restore(&path, dir.path().join("new"))), "damaged");
}

pub fn damage(file: &Path, place: f64) {
    let mut bytes = fs::read(file).unwrap();
    let at = (bytes.len() as f64 * place) as usize;
    bytes[at] ^= 0x55;
    // A new file: the old one may be mapped, and what is mapped must not change.
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_named_snapshot_stays_as_it_was_until_it_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("a", "solar"), film("b", "garden")]);
    let taken = library.take_snapshot("monday").unwrap();
    assert_eq!((taken.videos, taken.snapshot), (2, library.snapshot().number));
    let before = titles(&library);
    library.delete(vec![id("a")]).unwrap();
    put(&library, &[film("c", "harbour")]);
    let receipt = library.compact().unwrap();
    assert_eq!(receipt.named_snapshots, ["monday"]);
    let monday = at(&path, "monday").unwrap();
    assert_eq!(titles(&monday), before);
    let query = Query { text: [(Channel::Metadata, "solar".to_owned())].into(), ..Query::default() };
    assert_eq!(monday.search(&query).unwrap().total, 1);
    assert_eq!(library.search(&query).unwrap().total, 0);
    assert_eq!(library.named_snapshots().unwrap(), [taken]);
    assert!(library.check().unwrap().damaged.is_empty());
    // It is a library: what it holds can be restored.
    Library::restore(path.join("snapshots/monday"), dir.path().join("new")).unwrap();
    assert_eq!(opened(&dir.path().join("new")), before);

    library.delete_snapshot("monday").unwrap();
    assert_eq!(titles(&monday), before, "who has it open keeps it");
    assert_eq!(code(at(&path, "monday")), "snapshot_not_found");
    assert_eq!(library.named_snapshots().unwrap(), []);
    assert!(!path.join("snapshots/monday").exists());
    library.take_snapshot("monday").unwrap();
    assert_eq!(titles(&at(&path, "monday").unwrap()), titles(&library));
}

/// File servers make a folder of their own in every folder. With one in a snapshot, deleting it failed after its manifest was
/// gone, and from then on the library could not be opened to write.
#[test]
fn a_folder_of_someone_elses_in_a_deleted_snapshot_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let mut library = created(&path, &[film("a", "solar")]);
    for place in ["snapshots/monday", "snapshots/monday/parts"] {
        library.take_snapshot("monday").unwrap();
        let strange = path.join(place).join("@eaDir");
        fs::create_dir(&strange).unwrap();
        fs::write(strange.join("index"), "x").unwrap();
        library.delete_snapshot("monday").unwrap();
        assert_eq!(library.named_snapshots().unwrap(), []);
        assert_eq!(files(&path.join("snapshots")), [strange.join("index")], "only what is not ours stays");
        library.close().unwrap();
        library = Library::open(&path, Access::Write).unwrap();
        library.take_snapshot("monday").unwrap();
        assert_eq!(titles(&at(&path, "monday").unwrap()), titles(&library));
        library.delete_snapshot("monday").unwrap();
        fs::remove_dir_all(path.join("snapshots/monday")).unwrap();
    }
}

#[test]
fn names_of_snapshots_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("a", "solar")]);
    for name in ["", ".hidden", "a/b", "..", "naïve", &"x".repeat(65)] {
        assert_eq!(code(library.take_snapshot(name)), "invalid_name", "{name:?}");
    }
    library.take_snapshot("v1.0_final-2").unwrap();
    assert_eq!(code(library.take_snapshot("v1.0_final-2")), "snapshot_exists");
    assert_eq!(code(library.delete_snapshot("other")), "snapshot_not_found");
    let reader = Library::open(&path, Access::Read).unwrap();
    assert_eq!(code(reader.take_snapshot("x")), "read_only");
    assert_eq!(code(reader.delete_snapshot("v1.0_final-2")), "read_only");
    let writing = Options { snapshot: Some("v1.0_final-2".to_owned()), ..Access::Write.into() };
    drop(library);
    assert_eq!(code(Library::open(&path, writing)), "read_only");
}

#[test]
fn what_a_crash_left_of_a_snapshot_is_removed_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("a", "solar")]);
    library.take_snapshot("half").unwrap();
    library.take_snapshot("whole").unwrap();
    drop(library);
    fs::remove_file(path.join("snapshots/half/MANIFEST")).unwrap();
    let reader = Library::open(&path, Access::Read).unwrap();
    assert_eq!(reader.named_snapshots().unwrap().len(), 1);
    assert!(path.join("snapshots/half").exists(), "a reader removes nothing");
    let library = Library::open(&path, Access::Write).unwrap();
    assert!(!path.join("snapshots/half").exists());
    assert_eq!(titles(&at(&path, "whole").unwrap()), titles(&library));
}

#[test]
fn a_snapshot_takes_no_space_for_what_the_library_has_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("a", "solar")]);
    library.take_snapshot("one").unwrap();
    let part = files(&path.join("parts")).pop().unwrap();
    let link = files(&path.join("snapshots/one/parts")).pop().unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(part).unwrap().ino(), fs::metadata(link).unwrap().ino());
}

#[test]
fn after_compacting_no_raw_file_has_a_byte_of_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("keep", "garden")]);
    let marks = ["qzxtitlevj", "qzxspokenvj", "qzxtagvj", "qzxshownvj", "qzxmetadatavj", "qzxidvj"];
    let mut doomed = Film { tags: vec![marks[2].to_owned()], ..film(marks[5], marks[0]) };
    doomed.segments[0].3 = Some(format!("{} {}", marks[1], marks[3]));
    let mut video = doomed.video();
    video.metadata.insert("note".to_owned(), serde_json::json!(marks[4]));
    library.put(vec![(video, doomed.segments())]).unwrap();
    // A vector that no other segment has: its bytes as stored, little-endian f16.
    let odd = crate::films::unit(&[0.11, 0.23, 0.37, 0.53, 0.71, 0.97]);
    let vector: Vec<u8> = odd.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut second = film("second", "plain");
    second.segments[0].2 = Some(vec![0.11, 0.23, 0.37, 0.53, 0.71, 0.97]);
    put(&library, &[second]);
    let holds = |needle: &[u8]| {
        files(&path).iter().any(|file| fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle))
    };
    for mark in marks {
        assert!(holds(mark.as_bytes()), "the log has {mark}");
    }
    library.commit().unwrap();
    assert!(holds(&vector) && marks.iter().any(|mark| holds(mark.as_bytes())), "and then the part");
    library.delete(vec![id(marks[5]), id("second")]).unwrap();
    assert!(marks.iter().any(|mark| holds(mark.as_bytes())), "deleted, and still there");
    let receipt = library.compact().unwrap();
    assert_eq!(receipt.removed_videos, 2);
    assert!(receipt.removed_byte_len > 0 && !receipt.removed_files.is_empty());
    for mark in marks {
        assert!(!holds(mark.as_bytes()), "{mark} is in a file");
    }
    assert!(!holds(&vector), "the vector is in a file");
    assert_eq!(titles(&library), BTreeMap::from([("keep".to_owned(), "garden".to_owned())]));
}

/// Repairs a library of many videos in one part, damaged at the share `place` of the part's bytes.
fn repaired(place: f64) -> (BTreeMap<String, String>, pixr::RepairReport) {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("films.pixr"), dir.path().join("saved"));
    let mut films: Vec<Film> =
        (0..300).map(|number| film(&format!("v{number:03}"), &format!("title{number}"))).collect();
    for (number, film) in films.iter_mut().enumerate() {
        film.segments.extend((0..40).map(|at| {
            let vector = vec![1.0, number as f32, f32::from(at as u8), 2.0, 3.0, 4.0];
            (10.0 + f64::from(at), 11.0 + f64::from(at), Some(vector), Some(format!("word{number} at{at}")))
        }));
    }
    let mut library = created(&path, &films);
    library.commit().unwrap();
    put(&library, &[film("later", "in the log")]);
    library.delete(vec![id("v000")]).unwrap();
    library.close().unwrap();
    let part = files(&path.join("parts")).into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    damage(&part, place);
    let report = Library::repair(&path, &out).unwrap();
    let saved = Library::open(&out, Access::Read).unwrap();
    assert!(saved.check().unwrap().damaged.is_empty());
    (titles(&saved), report)
}

#[test]
fn repair_saves_what_is_whole_and_names_what_is_not() {
    let mut incomplete = 0;
    for place in [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] {
        let (saved, report) = repaired(place);
        assert!(saved.contains_key("later"), "at {place}: the other part is whole");
        assert!(!saved.contains_key("v000"), "at {place}: deleted is deleted");
        assert_eq!(report.videos as usize, saved.len());
        let lost = report.lost_videos.len() as u64 + report.lost_video_count;
        assert_eq!(report.videos + lost, 300, "at {place}: every video is saved or lost: {report:?}");
        incomplete += report.incomplete_videos.len();
        if lost > 0 || !report.incomplete_videos.is_empty() {
            assert!(report.damaged.iter().all(|line| line.contains(".part")), "{:?}", report.damaged);
            assert!(!report.damaged.is_empty());
        }
    }
    assert!(incomplete > 0, "none of the places was in the vectors or the words");
}

#[test]
fn repair_goes_on_behind_a_damaged_record_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[]);
    for number in 0..20 {
        put(&library, &[film(&format!("v{number:02}"), "solar")]);
    }
    let log = files(&path.join("wal")).pop().unwrap();
    let copy = dir.path().join("copy.pixr");
    for dir in ["wal", "parts", "deletes"] {
        fs::create_dir_all(copy.join(dir)).unwrap();
    }
    fs::copy(path.join("MANIFEST"), copy.join("MANIFEST")).unwrap();
    let damaged = copy.join("wal").join(log.file_name().unwrap());
    fs::copy(&log, &damaged).unwrap();
    damage(&damaged, 0.5);
    assert_eq!(code(Library::open(&copy, Access::Read)), "damaged");
    let report = Library::repair(&copy, dir.path().join("saved")).unwrap();
    assert_eq!(report.videos, 19, "{report:?}");
    assert!(
        report.damaged.len() == 1 && report.damaged[0].contains("is lost") || report.damaged[0].contains("are lost")
    );
    // While a writer is at work there is nothing to repair.
    assert_eq!(code(Library::repair(&path, dir.path().join("other"))), "library_locked");
    assert_eq!(code(Library::repair(&copy, dir.path().join("saved"))), "library_exists");
}

/// It left a library with some of the videos, which opened as if it were whole, and the repair refused to run again.
#[test]
fn a_repair_that_was_cut_short_leaves_no_library_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, saved) = (dir.path().join("films.pixr"), dir.path().join("saved"));
    created(&path, &[film("a", "solar"), film("b", "garden")]).close().unwrap();
    // What is there when it is killed after the first video.
    created(&saved.join("snapshots").join("repair"), &[film("half", "harbour")]).close().unwrap();
    fs::write(saved.join("UNFINISHED"), "").unwrap();
    assert_eq!(code(Library::open(&saved, Access::Create)), "not_a_library");
    let report = Library::repair(&path, &saved).unwrap();
    assert_eq!((report.videos, report.damaged.len()), (2, 0));
    assert_eq!(opened(&saved).into_keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(!saved.join("snapshots").exists() && !saved.join("UNFINISHED").exists());
    assert_eq!(code(Library::repair(&path, &saved)), "library_exists");
}

#[test]
fn repair_does_without_a_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("films.pixr");
    let library = created(&path, &[film("a", "solar"), film("b", "garden")]);
    library.commit().unwrap();
    library.delete(vec![id("a")]).unwrap();
    library.commit().unwrap();
    put(&library, &[film("c", "harbour")]);
    std::mem::forget(library);
    let copy = dir.path().join("copy.pixr");
    // Work in the background may remove a file between its name and its bytes; then all is copied again.
    let copied = || -> std::io::Result<()> {
        for file in files(&path) {
            let to = copy.join(file.strip_prefix(&path).unwrap());
            fs::create_dir_all(to.parent().unwrap())?;
            fs::copy(&file, to)?;
        }
        Ok(())
    };
    while copied().is_err() {
        fs::remove_dir_all(&copy).unwrap();
    }
    fs::write(copy.join("MANIFEST"), "gone").unwrap();
    let report = Library::repair(&copy, dir.path().join("saved")).unwrap();
    assert_eq!(opened(&dir.path().join("saved")).into_keys().collect::<Vec<_>>(), ["b", "c"], "{report:?}");
    assert!(report.damaged[0].contains("MANIFEST") || report.damaged[0].contains("not a Pixr library"), "{report:?}");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    match Library::repair(&empty, dir.path().join("x")) {
        Err(Error::LibraryNotFound { .. }) => {}
        other => panic!("expected library_not_found, got {other:?}"),
    }
}
