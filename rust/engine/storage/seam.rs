//! The seam between the engine and a disk.
//!
//! Every operation on files goes through [`Storage`], so a test can put a disk there that fails, or that forgets at a
//! power cut what was written and not synced. What may be relied on after a crash is exactly this:
//!
//! - bytes of a file: those written before a [`WriteFile::sync`] that returned `Ok`;
//! - names in a directory (created, renamed, removed): those before a [`Storage::sync_dir`] that returned `Ok`;
//! - a rename is atomic: after a crash the new name holds the old file or the new one, never a mixture.
//!
//! What was not synced may be there in part, in any order, or not at all.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::section::ByteOwner;
use crate::error::{Error, Result};

/// A directory of files. Names are relative to its root, their pieces separated by `/`; the root itself is `""`.
pub trait Storage: Send + Sync + Debug {
    /// The directory, for messages.
    fn root(&self) -> &Path;

    /// The bytes of an immutable file, mapped where there is a disk, starting at a multiple of 64 in memory.
    ///
    /// Only for files that are never shortened in place: reading a mapping past the end of its file kills the process.
    fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>>;

    /// A copy of a file's bytes as they are now; for files that are small, replaced or still growing.
    fn load(&self, name: &str) -> Result<Vec<u8>>;

    /// A copy of a file's bytes from offset `at` on, as they are now; empty where the file ends before.
    fn load_from(&self, name: &str, at: u64) -> Result<Vec<u8>> {
        let mut bytes = self.load(name)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.split_off(at))
    }

    /// A file's length in bytes.
    fn len(&self, name: &str) -> Result<u64>;

    /// Whether there is a file or directory called `name`.
    fn exists(&self, name: &str) -> Result<bool>;

    /// The names in directory `dir` without their path, files and directories, sorted. Empty if there is no such `dir`.
    fn list(&self, dir: &str) -> Result<Vec<String>>;

    /// Makes an empty file for writing; one that was there loses its bytes.
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>>;

    /// Cuts an existing file to its first `at` bytes and goes on writing there.
    ///
    /// # Errors
    /// `io` if the file is missing or shorter than `at`.
    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>>;

    /// Gives a file a new name; a file that had that name is gone. Lasting after [`Storage::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file; nothing happens if there is none.
    fn remove(&self, name: &str) -> Result<()>;

    /// Gives an immutable file a second name, or a copy where that can't be. Lasting after [`Storage::sync_dir`].
    fn link(&self, from: &str, to: &str) -> Result<()> {
        let bytes = self.load(from)?;
        let file = self.create(to)?;
        file.write_all(&bytes)?;
        file.sync()
    }

    /// Removes an empty directory; nothing happens if there is none, or if it is not empty. One that is left does no harm.
    fn remove_dir(&self, dir: &str) -> Result<()> {
        let _ = dir;
        Ok(())
    }

    /// Makes a directory and those above it; nothing happens if it is there.
    fn create_dir(&self, dir: &str) -> Result<()>;

    /// Makes the names in `dir` lasting.
    fn sync_dir(&self, dir: &str) -> Result<()>;

    /// Takes the lock `name` until the value is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// `library_locked` with the holder's process id, if a live process (this one too) has it.
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>>;

    /// Where `name` lies, for messages.
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root().to_owned() } else { self.root().join(name) }
    }
}

/// A file that is being written, at its end. Closed by dropping, which does not sync.
///
/// Takes `&self`, so that one thread can sync while another goes on writing; a sync covers at least the writes that
/// had returned when it was called.
pub trait WriteFile: Send + Sync + Debug {
    /// Writes all of `bytes`. After an error some of them may be in the file.
    fn write_all(&self, bytes: &[u8]) -> Result<()>;

    /// Replaces bytes that are there, from offset `at` on: all of them or, after an error, none. They must lie within one
    /// block of 512 bytes, the unit in which disks write, so that a power cut before the next sync leaves either the old or
    /// the new ones. Does not change where `write_all` goes on.
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()>;

    /// Makes what was written lasting. After an error nothing is known about it, and trying again proves nothing: the
    /// system may have dropped what it could not write.
    fn sync(&self) -> Result<()>;
}

/// A lock that is held; dropping frees it.
pub trait Lock: Send + Sync + Debug {
    /// Refuses if the lock's name does not lead to it any more: the directory may be gone, or somebody may hold another lock
    /// of that name.
    ///
    /// # Errors
    /// `io`.
    fn refuse_if_gone(&self) -> Result<()> {
        Ok(())
    }
}

/// Whether `error` says that a file is not there: what a reader sees when a writer replaced the manifest and removed
/// old files, and the reason to load the manifest again.
#[must_use]
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Refuses names that could lead out of the root.
pub(super) fn check_name(name: &str) -> Result<()> {
    let plain = |piece: &str| !piece.is_empty() && piece != "." && piece != ".." && !piece.contains(['\\', '\0', ':']);
    if name.is_empty() || name.split('/').all(plain) {
        Ok(())
    } else {
        Err(Error::Internal { detail: format!("{name:?} is not a name within a library") })
    }
}
