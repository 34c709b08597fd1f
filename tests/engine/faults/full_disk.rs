//! A file system that is really full, and a process that really has no more files to open.
//!
//! Each round runs in a process of its own, with a small tmpfs that only it sees.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pixr::Error;
use pixr::library::{Access, Library};
use pixr::storage::disk::DiskStorage;
use pixr::storage::seam::Storage;

use super::tally::{Profile, Tally, profile};
use super::workload::{Deed, Lot, Model, held, perform};

const CHILD: &str = "PIXR_TEST_FULL_DISK";

/// Not a test of its own: one round, in a process to which `sh` gave limits.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let (dir, seed) = dir.split_once('#').map(|(dir, seed)| (Path::new(dir), seed.parse().unwrap())).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DiskStorage::create(dir.join("full.pixr")).unwrap());
    let mut lot = Lot::new(seed);
    let (mut library, mut before, mut failures) = (None, Model::default(), 0);
    let mut deeds = lot.deeds(60);
    deeds.extend([Deed::Commit, Deed::Compact]);
    let ballast = dir.join("ballast");
    // What the limit leaves is used up but for a little, anew before each deed.
    let mut held_open = Vec::new();
    for (number, deed) in deeds.iter().enumerate() {
        let leave = (seed as usize * 7919 + number * 1543) % 40_000;
        if number > 3 && number % 2 == 0 {
            if std::env::var_os("PIXR_TEST_FEW_FILES").is_some() {
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    held_open.push(file);
                }
                held_open.truncate(held_open.len() - leave % 3);
            } else {
                fill(&ballast, leave);
            }
        }
        let after = before.after(deed);
        if let Err(error) = perform(&mut library, &storage, deed) {
            match &error {
                Error::Io { source, .. } if matches!(source.raw_os_error(), Some(28 | 24)) => failures += 1,
                other => panic!("deed {number}: {other}"),
            }
            held_open.clear();
            if let Some(library) = &library {
                let contents = held(library).unwrap();
                assert!(contents == before.films || contents == after.films, "deed {number}");
            }
            let _ = std::fs::remove_file(&ballast);
            // The same handle, if it was open, goes on.
            match perform(&mut library, &storage, deed) {
                Ok(()) => {}
                Err(Error::VideoNotFound { .. }) if matches!(deed, Deed::Delete(_)) => {}
                Err(error) => panic!("deed {number}, with room again: {error}"),
            }
        }
        let _ = std::fs::remove_file(&ballast);
        held_open.clear();
        before = after;
        assert_eq!(held(library.as_ref().unwrap()).unwrap(), before.films);
    }
    drop(library);
    let library = Library::open(dir.join("full.pixr"), Access::Write).unwrap();
    assert_eq!(held(&library).unwrap(), before.films);
    assert!(library.check().unwrap().damaged.is_empty());
    if std::env::var_os("PIXR_TEST_FEW_FILES").is_none() {
        make_room(library, &dir.join("full.pixr"), &ballast);
    }
    println!("failures={failures}");
}

/// On a full disk there was no room to write who holds the lock: nobody could open the library to delete something.
fn make_room(library: Library, path: &Path, ballast: &Path) {
    library.take_snapshot("old").unwrap();
    drop(library);
    fill(ballast, 0);
    let library = Library::open(path, Access::Write).unwrap();
    library.delete_snapshot("old").unwrap();
    assert!(library.named_snapshots().unwrap().is_empty());
    drop(library);
    std::fs::remove_file(ballast).unwrap();
}

/// Fills the file system but for `leave` bytes or a little less.
fn fill(ballast: &Path, leave: usize) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).unwrap();
    let mut written = 0;
    while file.write_all(&[0; 4096]).is_ok() {
        written += 4096;
    }
    file.set_len(written_less(written, leave)).unwrap();
}

fn written_less(written: usize, leave: usize) -> u64 {
    (written.saturating_sub(leave)) as u64
}

/// `None` if the system lets nobody mount here.
fn run(script: &str, few_files: bool, seed: u64) -> Option<u64> {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let test = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, place]).arg(&test);
    command.env(CHILD, format!("{place}#{seed}"));
    if few_files {
        command = Command::new("sh");
        command.args(["-c", script, place]).arg(&test).env(CHILD, format!("{place}#{seed}"));
        command.env("PIXR_TEST_FEW_FILES", "1");
    }
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) || String::from_utf8_lossy(&output.stderr).contains("unshare") {
        return None;
    }
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let count = text.split("failures=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    Some(count.unwrap_or_else(|| panic!("the child did not run: {text}")))
}

const RUN: &str = "exec \"$1\" --exact faults::full_disk::child --nocapture";

#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_is_an_error_that_passes_when_there_is_room() {
    let rounds = match profile() {
        Profile::Test => 2,
        Profile::Fast => 8,
        Profile::Slow => 40,
    };
    let mut tally = Tally::default();
    for seed in 0..rounds {
        let mount = format!("mount -t tmpfs -o size=1536k pixr \"$0\" || exit 77; {RUN}");
        match run(&mount, false, seed) {
            Some(failures) => tally.add("failed_calls", failures),
            None => {
                println!("not tried: this system lets no one mount a tmpfs (unshare --user --map-root-user --mount)");
                tally.add("not_tried", 1);
                break;
            }
        }
    }
    tally.report("full disk");
}

#[cfg(unix)]
#[test]
fn running_out_of_open_files_is_an_error_that_passes() {
    let rounds = match profile() {
        Profile::Test => 1,
        Profile::Fast => 4,
        Profile::Slow => 20,
    };
    let mut tally = Tally::default();
    for seed in 100..100 + rounds {
        let failures = run(&format!("ulimit -n 40; {RUN}"), true, seed);
        tally.add("failed_calls", failures.unwrap_or_else(|| panic!("sh did not run")));
    }
    tally.report("open files");
}
