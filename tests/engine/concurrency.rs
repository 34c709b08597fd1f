//! One writer, many readers: locks, what readers see, what cursors hold, what each durability level does.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pixr::Error;
use pixr::catalog::channel::Channel;
use pixr::library::{Access, Durability, Library, Limits, Options};
use pixr::search::query::Query;

use crate::films::{id, prepare, put};
use crate::operations::{files, film};

const CHILD: &str = "PIXR_TEST_LOCK_HOLDER";

fn words(text: &str) -> Query {
    Query { text: [(Channel::Metadata, text.to_owned())].into(), limit: 1000, ..Query::default() }
}

fn total(library: &Library, text: &str) -> u64 {
    library.search(&words(text)).unwrap().total
}

/// A reader looks for what was written at most this often, and a little.
fn wait_for_refresh() {
    std::thread::sleep(Duration::from_millis(60));
}

#[test]
fn a_second_writer_waits_as_long_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let first = Library::open(dir.path(), Access::Create).unwrap();
    let begun = Instant::now();
    let patient = Options { lock_timeout: Duration::from_millis(150), ..Access::Write.into() };
    match Library::open(dir.path(), patient) {
        Err(Error::LibraryLocked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        other => panic!("expected library_locked, got {other:?}"),
    }
    assert!(begun.elapsed() >= Duration::from_millis(150));
    let path = dir.path().to_owned();
    let waiting = std::thread::spawn(move || {
        Library::open(path, Options { lock_timeout: Duration::from_secs(30), ..Access::Write.into() }).map(drop)
    });
    std::thread::sleep(Duration::from_millis(50));
    drop(first);
    waiting.join().unwrap().unwrap();
}

/// Not a test of its own: a process that holds a lock until it is killed.
#[test]
fn lock_holder() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let library = Library::open(Path::new(&path), Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("held", "solar")]);
    println!("holding");
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_dead_process_holds_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "concurrency::lock_holder", "--nocapture"])
        .env(CHILD, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("holding"))));
    match Library::open(dir.path(), Access::Write) {
        Err(Error::LibraryLocked { holder, .. }) => assert_eq!(holder, Some(process.id())),
        other => panic!("expected library_locked, got {other:?}"),
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let library = Library::open(dir.path(), Access::Write).unwrap();
    assert_eq!(total(&library, "solar"), 1);
}

#[test]
fn a_reader_follows_the_log_without_reading_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&writer, true);
    put(&writer, &[film("a", "solar")]);
    writer.commit().unwrap();
    let reader = Library::open(dir.path(), Access::Read).unwrap();
    let part = |library: &Library| std::sync::Arc::as_ptr(&library.snapshot().parts[0].part);
    let opened = part(&reader);
    for number in 0..20 {
        put(&writer, &[film(&format!("v{number}"), "solar")]);
        if number % 3 == 0 {
            wait_for_refresh();
            assert_eq!(total(&reader, "solar"), number + 2);
            assert_eq!(reader.snapshot().number, writer.snapshot().number);
            assert_eq!(part(&reader), opened, "the part is the one that was opened");
        }
    }
    writer.commit().unwrap();
    writer.delete(vec![id("v3")]).unwrap();
    wait_for_refresh();
    assert_eq!(total(&reader, "solar"), 20);
    assert_eq!(part(&reader), opened, "also after a commit that left it alone");
    writer.compact().unwrap();
    wait_for_refresh();
    assert_eq!(total(&reader, "solar"), 20);
    assert!(reader.snapshot().parts.len() <= 2);
}

#[test]
fn a_reader_survives_that_another_library_takes_the_place_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = (dir.path().join("films"), dir.path().join("backup"));
    let mut library = Library::open(&path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("a", "solar")]);
    library.backup(&backup).unwrap();
    put(&library, &[film("b", "solar")]);
    library.close().unwrap();
    let reader = Library::open(&path, Access::Read).unwrap();
    assert_eq!(total(&reader, "solar"), 2);
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    Library::restore(&backup, &path).unwrap();
    wait_for_refresh();
    assert_eq!(total(&reader, "solar"), 1);
}

#[test]
fn pages_of_a_reader_unite_to_its_snapshot_while_a_writer_compacts() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&writer, true);
    put(&writer, &(0..30).map(|number| film(&format!("v{number:02}"), "solar")).collect::<Vec<_>>());
    writer.commit().unwrap();
    let reader = Library::open(dir.path(), Access::Read).unwrap();
    let full = reader.search(&words("solar")).unwrap();
    let mut seen = Vec::new();
    let mut cursor = None;
    for number in 0.. {
        let page = reader.search(&Query { limit: 4, cursor, ..words("solar") }).unwrap();
        seen.extend(page.hits);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        writer.delete(vec![id(&format!("v{number:02}"))]).unwrap();
        writer.compact().unwrap();
        wait_for_refresh();
        assert_eq!(total(&reader, "solar"), 29 - number, "a new search sees what was written");
    }
    assert_eq!(seen, full.hits);
}

#[test]
fn what_cursors_hold_is_bounded_in_number_time_and_space_and_then_they_expire() {
    let unbounded = Limits { cursor_snapshots: 1000, cursor_bytes: u64::MAX, ..Limits::default() };
    let bounds = [
        Limits { cursor_snapshots: 2, ..unbounded },
        Limits { cursor_age: Duration::from_millis(100), ..unbounded },
        Limits { cursor_bytes: 1, ..unbounded },
    ];
    for limits in bounds {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::open(dir.path(), Options { limits, ..Access::Create.into() }).unwrap();
        prepare(&library, true);
        put(&library, &[film("a", "solar"), film("b", "solar"), film("c", "solar")]);
        library.commit().unwrap();
        let first = library.search(&Query { limit: 1, ..words("solar") }).unwrap();
        let next = |cursor: &Option<String>| {
            library.search(&Query { limit: 1, cursor: cursor.clone(), ..words("solar") }).map(|page| page.hits.len())
        };
        assert_eq!(next(&first.next_cursor).unwrap(), 1);
        for number in 0..4 {
            library.delete(vec![id("a")]).unwrap();
            put(&library, &[film("a", "solar")]);
            library.compact().unwrap();
            assert_eq!(library.search(&Query { limit: 1, ..words("solar") }).unwrap().total, 3, "{number}");
        }
        std::thread::sleep(Duration::from_millis(120));
        match next(&first.next_cursor) {
            Err(Error::CursorExpired { snapshot }) => assert_eq!(snapshot, first.snapshot),
            other => panic!("expected cursor_expired under {limits:?}, got {other:?}"),
        }
    }
}

#[test]
fn every_level_of_durability_finds_all_writes_after_the_process_is_gone() {
    for durability in [Durability::Always, Durability::Group, Durability::None] {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::open(dir.path(), Options { durability, ..Access::Create.into() }).unwrap();
        prepare(&library, true);
        for number in 0..20 {
            put(&library, &[film(&format!("v{number}"), "solar")]);
        }
        std::mem::forget(library);
        assert_eq!(total(&Library::open(dir.path(), Access::Read).unwrap(), "solar"), 20, "{durability:?}");
    }
}

#[test]
fn memory_log_and_parts_stay_within_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { writer_memory: 200_000, log_bytes: 20_000, parts: 3, ..Limits::default() };
    let options = Options { limits, durability: Durability::None, ..Access::Create.into() };
    let library = Library::open(dir.path(), options).unwrap();
    prepare(&library, true);
    let one_write = 1_000;
    for number in 0..400 {
        put(&library, &[film(&format!("v{number}"), "solar")]);
        let info = library.info().unwrap();
        assert!(info.memory_byte_len <= 2 * limits.writer_memory + 50_000, "{info:?}");
        let files = info.parts - info.parts_in_memory;
        assert!(files <= 2 * limits.parts, "{files} parts in files");
        // A log that is being written into a part, and the one that goes on meanwhile.
        assert!(info.log_byte_len <= 4 * (limits.log_bytes + one_write), "{info:?}");
    }
    assert_eq!(total(&library, "solar"), 400);
}

/// Not a test of its own: what the next one runs as a user who may not write.
#[test]
fn reading_child() {
    let Some(path) = std::env::var_os("PIXR_TEST_READ_ONLY") else { return };
    let path = Path::new(&path);
    assert!(std::fs::write(path.join("probe"), "x").is_err(), "the directory is writable, the test shows nothing");
    let library = Library::open(path, Access::Read).unwrap();
    assert_eq!(total(&library, "solar"), 2);
    assert!(library.check().unwrap().damaged.is_empty());
    library.info().unwrap();
    match Library::open(path, Access::Write) {
        Err(Error::Io { .. }) => {}
        other => panic!("expected io, got {other:?}"),
    }
    println!("read all of it");
}

#[cfg(unix)]
#[test]
fn a_library_that_may_not_be_written_can_be_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    // Not below a directory that only we may enter.
    let dir = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let path = dir.path().join("films");
    let library = Library::open(&path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("a", "solar")]);
    library.commit().unwrap();
    put(&library, &[film("b", "solar")]);
    std::mem::forget(library);
    let permit = |bits: u32| {
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap().path();
                if entry.is_dir() {
                    folders.push(entry)
                } else {
                    std::fs::set_permissions(entry, std::fs::Permissions::from_mode(0o444 | bits)).unwrap();
                }
            }
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o555 | bits)).unwrap();
        }
    };
    permit(0);
    let binary = dir.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = Command::new(binary);
    command.args(["--exact", "concurrency::reading_child", "--nocapture"]).env("PIXR_TEST_READ_ONLY", &path);
    if std::fs::metadata(&path).unwrap().uid() == 0 {
        // Permissions do not bind root.
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    permit(0o200);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("read all of it"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A reader that checked a library reported files as damaged that another process removed meanwhile.
#[test]
fn a_check_reports_no_damage_for_files_that_a_writer_removes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&writer, true);
    let reader = Library::open(dir.path(), Access::Read).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                put(&writer, &[film(&format!("v{}", round % 3), "solar")]);
                writer.compact().unwrap();
            }
        });
        let begun = Instant::now();
        let mut told = Vec::new();
        while begun.elapsed() < Duration::from_secs(2) && told.is_empty() {
            told = reader.check().unwrap().damaged;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(told.is_empty(), "{told:?}");
    });
}

#[test]
fn a_check_reports_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let library = Library::open(dir.path(), Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("a", "solar"), film("b", "solar")]);
    library.commit().unwrap();
    library.delete(vec![id("a")]).unwrap();
    library.take_snapshot("monday").unwrap();
    assert!(library.check().unwrap().damaged.is_empty());
    let mut missing = 0;
    for inner in ["parts", "deletes", "wal"] {
        for root in [dir.path().to_owned(), dir.path().join("snapshots/monday")] {
            std::fs::remove_file(&files(&root.join(inner))[0]).unwrap();
            missing += 1;
            assert_eq!(library.check().unwrap().damaged.len(), missing, "{inner} of {}", root.display());
        }
    }
}

/// A reader looked for records behind those that it had read, where there was nothing any more, and went on answering from a
/// library that was gone.
#[test]
fn a_reader_sees_an_earlier_state_that_is_put_in_the_place_of_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["films.pixr", "backup"].map(|name| dir.path().join(name));
    let library = Library::open(&path, Access::Create).unwrap();
    prepare(&library, true);
    put(&library, &[film("a", "solar")]);
    library.backup(&copy).unwrap();
    put(&library, &[film("b", "solar")]);
    let reader = Library::open(&path, Access::Read).unwrap();
    assert_eq!(total(&reader, "solar"), 2);
    std::mem::forget(library); // as after a crash: no commit
    std::fs::remove_dir_all(&path).unwrap();
    Library::restore(&copy, &path).unwrap();
    wait_for_refresh();
    assert_eq!(total(&reader, "solar"), 1);
}

/// A part that was written after a backup had been restored got the number of one that a reader had open, and was taken for
/// that one: the reader answered from a mixture of what had been given up and what came after.
#[test]
fn a_reader_sees_what_is_written_after_a_backup_took_the_place_of_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copy] = ["films.pixr", "backup"].map(|name| dir.path().join(name));
    let open = || Library::open(&path, Access::Create).unwrap();
    let committed = |library: &Library, name: &str| {
        put(library, &[film(name, "solar")]);
        library.commit().unwrap();
    };
    for commits in 1..3 {
        let library = open();
        prepare(&library, true);
        committed(&library, "a");
        library.backup(&copy).unwrap();
        committed(&library, "b");
        let reader = Library::open(&path, Access::Read).unwrap();
        assert_eq!(reader.video_ids().unwrap(), [id("a"), id("b")]);
        drop(library);
        std::fs::remove_dir_all(&path).unwrap();
        Library::restore(&copy, &path).unwrap();
        let library = open();
        for name in ["c", "d"].into_iter().take(commits) {
            committed(&library, name);
        }
        wait_for_refresh();
        assert_eq!(reader.video_ids().unwrap(), library.video_ids().unwrap(), "after {commits} commits");
        drop(library);
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::remove_dir_all(&copy).unwrap();
    }
}
