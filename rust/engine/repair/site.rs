//! Where a library is repaired to.
//!
//! The new library is made where the target keeps named snapshots, and is moved to its own place when it is whole. A
//! repair that is cut short leaves no library at the target, and begins anew when it is asked for again.

use std::fs::DirEntry;
use std::path::Path;
use std::sync::Arc;

use crate::backup::{LibraryFiles, Target};
use crate::error::{Error, Result};
use crate::named;
use crate::storage::disk::DiskStorage;
use crate::storage::names::{self, FileName, SNAPSHOTS, UNFINISHED};
use crate::storage::seam::{Lock, Storage};
use crate::storage::subdirectory::Subdirectory;

/// Where the new library is made until it is whole: a directory in the place of a named snapshot. It has a manifest only
/// while the library is being made, so it never passes for a snapshot of the finished one.
const WORKING: &str = "repair";

/// Where a library is repaired to.
pub(super) struct Site {
    target: Arc<dyn Storage>,
    /// The place in it where the library is made.
    pub(super) working: Arc<dyn Storage>,
    /// Keeps another repair out.
    lock: Box<dyn Lock>,
}

impl Site {
    /// Takes a directory that is empty, or that another repair left unfinished: it may have got no further than its lock.
    ///
    /// # Errors
    /// `library_exists` if there is anything else; `library_locked` if another repair is at work there.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let lock = FileName::Lock.to_string();
        let is_lock = |entry: DirEntry| entry.file_name() == lock.as_str();
        let is_empty = path.read_dir().map_or(true, |mut entries| entries.all(|entry| entry.is_ok_and(is_lock)));
        let is_cut_short = || !path.join(FileName::Manifest.to_string()).exists() && path.join(UNFINISHED).exists();
        if !is_empty && !is_cut_short() {
            return Err(Error::LibraryExists { path: path.to_owned() });
        }
        let target: Arc<dyn Storage> = Arc::new(DiskStorage::create(path)?);
        let lock = target.lock(&FileName::Lock.to_string())?;
        if target.exists(&FileName::Manifest.to_string())? {
            return Err(Error::LibraryExists { path: path.to_owned() });
        }
        target.create(UNFINISHED)?.sync()?;
        target.sync_dir("")?;
        named::remove(&target, WORKING)?;
        let dir = format!("{SNAPSHOTS}/{WORKING}");
        target.create_dir(&dir)?;
        let working = Arc::new(Subdirectory::new(Arc::clone(&target), &dir));
        Ok(Self { target, working, lock })
    }

    /// Moves the library, which is whole by now, from the place where it was made to the target itself.
    pub(super) fn finish(self) -> Result<()> {
        let Self { target, working, lock } = self;
        let held = LibraryFiles::hold(&*working)?;
        names::create_directories(&*target)?;
        for file in held.unchanging_files() {
            target.link(&format!("{SNAPSHOTS}/{WORKING}/{file}"), &file.to_string())?;
        }
        target.sync_dir(names::PARTS)?;
        target.sync_dir(names::DELETES)?;
        // With its manifest it would pass for a snapshot of the new library.
        working.remove(&FileName::Manifest.to_string())?;
        working.sync_dir("")?;
        // Storing takes the lock itself, as for a restore.
        drop(lock);
        held.store(&*working, &*target, Target::New)?;
        named::remove(&target, WORKING)?;
        target.remove_dir(SNAPSHOTS)
    }
}
