//! Snapshots with a name: states of a library that stay as they were until they are deleted.
//!
//! `snapshots/<name>/` is a library of its own, opened for reading only. Its parts and bitmaps are second names (hard
//! links) of the library's files, or copies where the file system has no links: taking a snapshot copies nothing, and
//! what is deleted later stays on disk until every snapshot that holds it is deleted.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::backup::{LibraryFiles, Target};
use crate::checkpoint::Scope;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::storage::manifest::Manifest;
use crate::storage::names::{self, FileName, SNAPSHOTS, TEMPORARY_SUFFIX};
use crate::storage::seam::Storage;
use crate::storage::subdirectory::Subdirectory;

/// A snapshot with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedSnapshot {
    /// Its name.
    pub name: String,
    /// Its number: the log sequence of its last operation.
    pub snapshot: u64,
    /// When it was taken, in seconds since 1970.
    pub taken: u64,
    /// Its videos.
    pub videos: u64,
    /// Bytes of its parts. Those that the library still has are on disk once.
    pub byte_len: u64,
}

/// The longest name.
const MAX_NAME_BYTES: usize = 64;

impl Shared {
    /// Takes a snapshot of the library as it is now.
    pub(crate) fn take_snapshot(&self, name: &str) -> Result<NamedSnapshot> {
        check_name(name)?;
        self.refuse_unless_writer()?;
        if is_whole(&*self.storage, name)? {
            return Err(Error::SnapshotExists { name: name.to_owned() });
        }
        self.checkpoint(Scope::Memory)?;
        // From here no file goes until the snapshot has it too.
        let _one_at_a_time = self.checkpoint.lock();
        remove(&self.storage, name)?;
        let mut held = LibraryFiles::hold(&*self.storage)?.without_log();
        let taken = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let settings = Settings::read(&held.manifest.settings, self.storage.root())?;
        held.manifest.settings = Settings { taken: Some(taken), ..settings }.write()?;
        let dir = directory(name);
        let target = Subdirectory::new(Arc::clone(&self.storage), &dir);
        target.create_dir("")?;
        target.create(names::UNFINISHED)?.sync()?;
        names::create_directories(&target)?;
        for file in held.unchanging_files() {
            self.storage.link(&file.to_string(), &format!("{dir}/{file}"))?;
        }
        target.sync_dir(names::PARTS)?;
        target.sync_dir(names::DELETES)?;
        held.store(&*self.storage, &target, Target::New)?;
        self.storage.sync_dir(SNAPSHOTS)?;
        describe(&target, name)
    }

    fn refuse_unless_writer(&self) -> Result<()> {
        self.writer.lock().as_mut().ok_or_else(|| self.not_writable())?.mend(&*self.storage)
    }

    /// All snapshots, by name.
    pub(crate) fn snapshots(&self) -> Result<Vec<NamedSnapshot>> {
        let mut found = Vec::new();
        for name in self.storage.list(SNAPSHOTS)? {
            if check_name(&name).is_ok() && is_whole(&*self.storage, &name)? {
                found.push(describe(&*storage_of(&self.storage, &name)?, &name)?);
            }
        }
        Ok(found)
    }

    /// Deletes a snapshot. Who has it open keeps reading it.
    pub(crate) fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.refuse_unless_writer()?;
        storage_of(&self.storage, name)?;
        let _one_at_a_time = self.checkpoint.lock();
        remove(&self.storage, name)
    }
}

/// The storage of a snapshot.
///
/// # Errors
/// `invalid_name`, `snapshot_not_found`.
pub(crate) fn storage_of(storage: &Arc<dyn Storage>, name: &str) -> Result<Arc<dyn Storage>> {
    check_name(name)?;
    if is_whole(&**storage, name)? {
        Ok(Arc::new(Subdirectory::new(Arc::clone(storage), &directory(name))))
    } else {
        Err(Error::SnapshotNotFound { name: name.to_owned() })
    }
}

/// Removes what a crash left of snapshots that were being taken or deleted. Only the writer may ask.
pub(crate) fn remove_unfinished(storage: &Arc<dyn Storage>) -> Result<()> {
    for name in storage.list(SNAPSHOTS)? {
        if check_name(&name).is_ok() && !is_whole(&**storage, &name)? {
            remove(storage, &name)?;
        }
    }
    Ok(())
}

fn describe(storage: &dyn Storage, name: &str) -> Result<NamedSnapshot> {
    let manifest = Manifest::load(storage)?;
    let settings = Settings::read(&manifest.settings, storage.root())?;
    Ok(NamedSnapshot {
        name: name.to_owned(),
        snapshot: manifest.applied_sequence,
        taken: settings.taken.unwrap_or_default(),
        videos: manifest.parts.iter().map(|part| u64::from(part.video_count - part.deleted_count)).sum(),
        byte_len: manifest.parts.iter().map(|part| part.byte_len).sum(),
    })
}

/// The library's directory that a snapshot lies in.
fn directory(name: &str) -> String {
    format!("{SNAPSHOTS}/{name}")
}

fn manifest(name: &str) -> String {
    format!("{}/{}", directory(name), FileName::Manifest)
}

/// Whether there is such a snapshot. Its manifest comes last when it is taken, and goes first when it is deleted.
fn is_whole(storage: &dyn Storage, name: &str) -> Result<bool> {
    storage.exists(&manifest(name))
}

/// Removes the files of a snapshot, the manifest first: without it, there is none. A folder that somebody else has made in
/// it, as file servers and desktops do, stays and holds nothing up.
pub(crate) fn remove(storage: &Arc<dyn Storage>, name: &str) -> Result<()> {
    storage.remove(&manifest(name))?;
    let dir = directory(name);
    if storage.exists(&dir)? {
        storage.sync_dir(&dir)?;
    }
    let snapshot = Subdirectory::new(Arc::clone(storage), &dir);
    for inner in names::DIRECTORIES.iter().chain([&""]) {
        for file in names::entries_of(&snapshot, inner)? {
            let removed = snapshot.remove(&file);
            if FileName::parse(file.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&file)).is_some() {
                removed?;
            }
        }
        snapshot.remove_dir(inner)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let detail = if name.is_empty() || name.len() > MAX_NAME_BYTES {
        format!("it has {} bytes, 1 to {MAX_NAME_BYTES} are allowed", name.len())
    } else if name.starts_with('.') || !name.bytes().all(allowed) {
        "letters, digits, '-', '_' and '.' are allowed, and no '.' in front".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.to_owned(), detail })
}
