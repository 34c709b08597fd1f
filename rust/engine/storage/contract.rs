//! What every [`Storage`] must do, tried on each.

use super::disk::DiskStorage;
use super::memory::MemoryStorage;
use super::seam::{Storage, is_absent};
use super::subdirectory::Subdirectory;
use crate::error::{Error, Result};

/// Runs `behaviour` on a fresh directory of each kind.
fn on_each(behaviour: fn(&dyn Storage) -> Result<()>) -> Result<()> {
    behaviour(&MemoryStorage::new())?;
    let dir = tempfile::tempdir().map_err(|source| Error::io("(temporary)", "create", source))?;
    behaviour(&DiskStorage::create(dir.path())?)
}

fn write(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let file = storage.create(name)?;
    file.write_all(bytes)?;
    file.sync()
}

#[test]
fn what_was_written_is_read() -> Result<()> {
    on_each(|storage| {
        write(storage, "file", b"long ago")?;
        write(storage, "file", b"now")?;
        assert_eq!(&**storage.read("file")?, b"now");
        assert_eq!(storage.load("file")?, b"now");
        assert_eq!(storage.len("file")?, 3);
        assert_eq!(storage.read("file")?.as_ptr() as usize % 64, 0);
        write(storage, "empty", b"")?;
        assert_eq!(storage.read("empty")?.len(), 0);
        Ok(())
    })
}

#[test]
fn appending_goes_on_where_it_is_told() -> Result<()> {
    on_each(|storage| {
        write(storage, "file", b"abcdef")?;
        let file = storage.append("file", 3)?;
        assert_eq!(storage.load("file")?, b"abc");
        file.write_all(b"xy")?;
        file.write_all(b"z")?;
        assert_eq!(storage.load("file")?, b"abcxyz");
        assert!(matches!(storage.append("file", 7), Err(Error::Io { .. })));
        assert_eq!(storage.load("file")?, b"abcxyz");
        assert!(storage.append("none", 0).is_err_and(|error| is_absent(&error)));
        Ok(())
    })
}

#[test]
fn bytes_are_replaced_in_place_and_writing_goes_on_at_the_end() -> Result<()> {
    on_each(|storage| {
        write(storage, "file", b"abcdef")?;
        let file = storage.append("file", 6)?;
        file.write_at(1, b"XY")?;
        file.write_all(b"g")?;
        assert_eq!(storage.load("file")?, b"aXYdefg");
        Ok(())
    })
}

#[test]
fn bytes_that_were_read_outlive_replacement_and_removal() -> Result<()> {
    on_each(|storage| {
        write(storage, "file", b"old")?;
        let old = storage.read("file")?;
        write(storage, "file.tmp", b"new")?;
        storage.rename("file.tmp", "file")?;
        assert_eq!(storage.load("file")?, b"new");
        storage.remove("file")?;
        assert_eq!(&**old, b"old");
        Ok(())
    })
}

#[test]
fn a_file_that_is_not_there_says_so() -> Result<()> {
    on_each(|storage| {
        assert!(!storage.exists("none")?);
        assert!(storage.read("none").is_err_and(|error| is_absent(&error)));
        assert!(storage.load("none").is_err_and(|error| is_absent(&error)));
        assert!(storage.len("none").is_err_and(|error| is_absent(&error)));
        assert!(storage.rename("none", "other").is_err_and(|error| is_absent(&error)));
        assert!(storage.create("none/file").is_err_and(|error| is_absent(&error)));
        storage.remove("none")
    })
}

#[test]
fn directories_list_their_names_in_order() -> Result<()> {
    on_each(|storage| {
        assert_eq!(storage.list("wal")?, Vec::<String>::new());
        storage.create_dir("wal")?;
        storage.create_dir("wal")?;
        storage.create_dir("media/small")?;
        for name in ["wal/b", "wal/a", "wal/c", "top"] {
            write(storage, name, b"")?;
        }
        storage.sync_dir("wal")?;
        storage.sync_dir("")?;
        assert_eq!(storage.list("wal")?, ["a", "b", "c"]);
        assert_eq!(storage.list("")?, ["media", "top", "wal"]);
        assert_eq!(storage.list("media")?, ["small"]);
        assert!(storage.exists("wal")? && storage.exists("wal/a")? && storage.exists("")?);
        Ok(())
    })
}

#[test]
fn a_file_is_read_from_where_it_is_asked() -> Result<()> {
    on_each(|storage| {
        write(storage, "file", b"abcdef")?;
        assert_eq!(storage.load_from("file", 4)?, b"ef");
        assert_eq!(storage.load_from("file", 9)?, b"");
        assert!(storage.load_from("none", 0).is_err_and(|error| is_absent(&error)));
        Ok(())
    })
}

#[test]
fn a_second_name_outlives_the_first() -> Result<()> {
    on_each(|storage| {
        storage.create_dir("snapshots/one")?;
        write(storage, "file", b"abc")?;
        storage.link("file", "snapshots/one/file")?;
        storage.remove("file")?;
        assert_eq!(storage.load("snapshots/one/file")?, b"abc");
        storage.remove_dir("snapshots/one")?;
        assert_eq!(storage.load("snapshots/one/file")?, b"abc", "a directory that is not empty stays");
        storage.remove("snapshots/one/file")?;
        storage.remove_dir("snapshots/one")?;
        storage.remove_dir("snapshots/one")?;
        assert!(!storage.exists("snapshots/one")?);
        Ok(())
    })
}

#[test]
fn a_subdirectory_is_a_storage_like_others() -> Result<()> {
    on_each(|storage| {
        storage.create_dir("inner/wal")?;
        write(storage, "inner/wal/file", b"abc")?;
        let inner = Subdirectory::new(storage, "inner");
        assert_eq!(inner.load("wal/file")?, b"abc");
        assert_eq!(inner.list("")?, ["wal"]);
        assert_eq!(inner.root(), storage.path("inner"));
        inner.rename("wal/file", "wal/other")?;
        assert_eq!(storage.list("inner/wal")?, ["other"]);
        assert_eq!(inner.create("../file").map(|_| ()).map_err(|error| error.code()), Err("internal"));
        Ok(())
    })
}

#[test]
fn names_do_not_lead_out() -> Result<()> {
    on_each(|storage| {
        for name in ["../file", "/etc/file", "a/../../file", "a//b", ".", "C:file", "a\\b"] {
            let code = storage.create(name).err().map(|error| error.code());
            assert_eq!(code, Some("internal"), "{name:?}");
        }
        Ok(())
    })
}

#[test]
fn a_lock_is_held_once_and_freed_by_dropping() -> Result<()> {
    on_each(|storage| {
        let lock = storage.lock("LOCK")?;
        let holder = match storage.lock("LOCK") {
            Err(Error::LibraryLocked { holder, .. }) => holder,
            _ => None,
        };
        assert_eq!(holder, Some(std::process::id()));
        drop(lock);
        drop(storage.lock("LOCK")?);
        storage.lock("LOCK").map(|_| ())
    })
}
