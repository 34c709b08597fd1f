//! Copies a library as it is at one moment into another directory, while writers and readers go on.
//!
//! What is copied is what a crash would leave: the manifest, the parts and bitmaps that it names, and the log up to its
//! last whole record. Every file is opened before the first is copied, so a writer that removes some meanwhile does no
//! harm. The copy is a library like any other: it can be opened, checked and searched.
//!
//! Copying into the same directory again copies only what is new, since parts never change. The manifest is written last,
//! so a copy that is cut short leaves what was there before.

use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::storage::deletes::read_deletes;
use crate::storage::log_format::LOG_HEADER_BYTES;
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::names::{self, FileName};
use crate::storage::part_file;
use crate::storage::publish::publish;
use crate::storage::replay::recover;
use crate::storage::seam::{Storage, is_absent};
use crate::storage::section::ByteOwner;

/// What `backup` or `restore` did.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReceipt {
    /// The directory that was written.
    pub path: String,
    /// The snapshot that it holds.
    pub snapshot: u64,
    /// Files that were copied.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_byte_len: u64,
    /// Files that were there already.
    pub kept_files: u64,
    /// Their bytes.
    pub kept_byte_len: u64,
    /// Files of an earlier backup that this one does not need; they are gone.
    pub removed_files: u64,
}

/// What may be at the target of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing, or an earlier copy of the same library.
    Update,
    /// Nothing.
    New,
}

/// The files of a library in one state, opened or read, so that none is missed that a writer removes from now on.
pub(crate) struct LibraryFiles {
    pub(crate) manifest: Manifest,
    parts: Vec<(PartEntry, Arc<dyn ByteOwner>)>,
    deletes: Vec<(FileName, Vec<u8>)>,
    logs: Vec<(FileName, Vec<u8>)>,
    last_sequence: u64,
    /// The record of the models that the library was indexed with, if it has one.
    encoders: Option<Vec<u8>>,
}

/// How often it is tried to open all files of one state: a writer may commit in between, and remove some.
const TRIES: usize = 20;

impl LibraryFiles {
    /// Opens everything that the library in `source` is made of now.
    pub(crate) fn hold(source: &dyn Storage) -> Result<Self> {
        let mut tries = 0;
        loop {
            let manifest = Manifest::load(source)?;
            let generation = manifest.generation;
            match Self::open(source, manifest) {
                Err(error) if is_absent(&error) && tries < TRIES => {
                    if Manifest::load(source)?.generation == generation {
                        return Err(error);
                    }
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn open(source: &dyn Storage, manifest: Manifest) -> Result<Self> {
        let mut parts = Vec::new();
        let mut deletes = Vec::new();
        for entry in &manifest.parts {
            parts.push((entry.clone(), source.read(&FileName::Part(entry.number).to_string())?));
            if let Some(number) = entry.deletes {
                let name = FileName::Deletes { part: entry.number, number };
                read_deletes(source, entry.number, number, entry.video_count, entry.deleted_count)?;
                deletes.push((name, source.load(&name.to_string())?));
            }
        }
        let end = recover(source, manifest.first_log, manifest.applied_sequence, &mut |_, _| Ok(()))?;
        let mut logs = Vec::new();
        for number in manifest.first_log..=end.number {
            let name = FileName::Log(number);
            let mut bytes = source.load(&name.to_string())?;
            if number == end.number {
                bytes.truncate(usize::try_from(end.valid_len).unwrap_or(usize::MAX));
            }
            logs.push((name, bytes));
        }
        let encoders = load_if_there(source, FileName::Encoders)?;
        Ok(Self { manifest, parts, deletes, logs, last_sequence: end.last_sequence, encoders })
    }

    /// Leaves out what is only in the log: the state is the one that the last checkpoint froze.
    pub(crate) fn without_log(mut self) -> Self {
        // The first log begins where that checkpoint ended.
        self.logs.truncate(1);
        for (_, bytes) in &mut self.logs {
            bytes.truncate(LOG_HEADER_BYTES);
        }
        self.last_sequence = self.manifest.applied_sequence;
        self
    }

    /// The parts and bitmaps, which may have a second name in place of a copy.
    pub(crate) fn unchanging_files(&self) -> impl Iterator<Item = FileName> {
        let parts = self.parts.iter().map(|(entry, _)| FileName::Part(entry.number));
        parts.chain(self.deletes.iter().map(|(name, _)| *name))
    }

    /// Writes the state into `target`.
    ///
    /// # Errors
    /// `library_exists` if `target` holds a library and should hold none; `backup_mismatch` if it holds another, or one
    /// that has gone another way; `library_locked` if someone writes there; `damaged` if what is copied is.
    pub(crate) fn store(&self, source: &dyn Storage, target: &dyn Storage, expected: Target) -> Result<BackupReceipt> {
        // Before the lock, which makes a file: a directory that holds something else is left as it is.
        self.check_target(target, expected)?;
        names::create_directories(target)?;
        let _lock = target.lock(&FileName::Lock.to_string())?;
        // Another copy may have been made between the look and the lock.
        let before = self.check_target(target, expected)?;
        // Before the first log: else one that does not go on where the earlier copy's log ends would be taken for damage.
        target.create(names::UNFINISHED)?.sync()?;
        target.sync_dir("")?;
        let mut receipt = BackupReceipt::of(target, self.last_sequence);
        let copying = Copying { source, target, before: before.as_ref() };
        for (entry, bytes) in &self.parts {
            copying.part(entry, bytes, &mut receipt)?;
        }
        for (name, bytes) in &self.deletes {
            copying.deletes(*name, bytes, &mut receipt)?;
        }
        if before.is_none() {
            self.remove_other_logs(target)?;
        }
        for (name, bytes) in &self.logs {
            copying.log(*name, bytes, &mut receipt)?;
        }
        // Of the logs that were there before.
        target.remove(&FileName::Synced.to_string())?;
        copying.encoders(self.encoders.as_deref())?;
        self.manifest.store(target)?;
        receipt.count_copied(usize::try_from(target.len(&FileName::Manifest.to_string())?).unwrap_or(usize::MAX));
        for name in self.manifest.unreferenced(target)? {
            target.remove(&name)?;
            receipt.removed_files += 1;
        }
        target.remove(names::UNFINISHED)?;
        target.sync_dir("")?;
        Ok(receipt)
    }

    /// Removes logs that another copy, cut short, left at the target: those with later numbers would pass for logs of this
    /// one.
    fn remove_other_logs(&self, target: &dyn Storage) -> Result<()> {
        for name in names::logs(target)?.into_iter().map(FileName::Log) {
            if !self.logs.iter().any(|(ours, _)| *ours == name) {
                target.remove(&name.to_string())?;
            }
        }
        target.sync_dir(names::LOGS)
    }

    /// The manifest that is at the target, if there is one and it may be replaced.
    fn check_target(&self, target: &dyn Storage, expected: Target) -> Result<Option<Manifest>> {
        let before = match Manifest::load(target) {
            Ok(before) => before,
            Err(Error::LibraryNotFound { .. }) => return Ok(None),
            // A copy that was cut short goes on; what it has is compared like everything else.
            Err(_) if !target.exists(&FileName::Manifest.to_string())? && target.exists(names::UNFINISHED)? => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let path = target.root().to_owned();
        if expected == Target::New {
            return Err(Error::LibraryExists { path });
        }
        let mismatch = |detail: &str| Err(Error::BackupMismatch { path: path.clone(), detail: detail.to_owned() });
        if before.library_id != self.manifest.library_id {
            return mismatch("it is of another library");
        }
        let newest = names::logs(target)?.last().copied().unwrap_or_default();
        let last = self.logs.last().map_or(0, |(name, _)| match name {
            FileName::Log(number) => *number,
            _ => 0,
        });
        if before.generation > self.manifest.generation || newest > last {
            return mismatch("it is of a later state of the library, or was written to");
        }
        Ok(Some(before))
    }
}

impl BackupReceipt {
    /// Of a copy into `target` that has copied nothing yet.
    fn of(target: &dyn Storage, snapshot: u64) -> Self {
        Self {
            path: target.root().display().to_string(),
            snapshot,
            copied_files: 0,
            copied_byte_len: 0,
            kept_files: 0,
            kept_byte_len: 0,
            removed_files: 0,
        }
    }

    fn count_copied(&mut self, byte_len: usize) {
        self.copied_files += 1;
        self.copied_byte_len += byte_len as u64;
    }

    fn count_kept(&mut self, byte_len: usize) {
        self.kept_files += 1;
        self.kept_byte_len += byte_len as u64;
    }
}

/// The bytes of a file that need not be there.
fn load_if_there(storage: &dyn Storage, name: FileName) -> Result<Option<Vec<u8>>> {
    match storage.load(&name.to_string()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many bytes of a part are written at a time.
const COPY_BYTES: usize = 8 << 20;

/// A copy under way. What the target has already is kept.
struct Copying<'a> {
    source: &'a dyn Storage,
    target: &'a dyn Storage,
    /// The manifest that the target has from an earlier copy.
    before: Option<&'a Manifest>,
}

impl Copying<'_> {
    fn part(&self, entry: &PartEntry, bytes: &Arc<dyn ByteOwner>, receipt: &mut BackupReceipt) -> Result<()> {
        let name = FileName::Part(entry.number);
        let is_there = match self.target.read(&name.to_string()) {
            Ok(there) => part_file::is_same_part(bytes, &there),
            Err(error) if is_absent(&error) => false,
            Err(error) => return Err(error),
        };
        if is_there {
            receipt.count_kept(bytes.len());
            return Ok(());
        }
        self.refuse_if_named(name)?;
        part_file::verify_bytes(self.source, entry.number, entry.byte_len, Arc::clone(bytes))?;
        publish(self.target, name, bytes.chunks(COPY_BYTES))?;
        receipt.count_copied(bytes.len());
        Ok(())
    }

    fn deletes(&self, name: FileName, bytes: &[u8], receipt: &mut BackupReceipt) -> Result<()> {
        if load_if_there(self.target, name)?.is_some_and(|there| there == bytes) {
            receipt.count_kept(bytes.len());
            return Ok(());
        }
        self.refuse_if_named(name)?;
        publish(self.target, name, [bytes])?;
        receipt.count_copied(bytes.len());
        Ok(())
    }

    fn log(&self, name: FileName, bytes: &[u8], receipt: &mut BackupReceipt) -> Result<()> {
        let there = load_if_there(self.target, name)?;
        if there.as_ref().is_some_and(|there| there == bytes) {
            receipt.count_kept(bytes.len());
            return Ok(());
        }
        // A log grows: one that begins with what is there goes on with it.
        if there.is_some_and(|there| !bytes.starts_with(&there)) {
            self.refuse_if_named(name)?;
        }
        publish(self.target, name, [bytes])?;
        receipt.count_copied(bytes.len());
        Ok(())
    }

    /// Copies the record of the models, before the manifest: where a library is, its record is too.
    fn encoders(&self, bytes: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = bytes else { return Ok(()) };
        if load_if_there(self.target, FileName::Encoders)?.is_some_and(|there| there == bytes) {
            return Ok(());
        }
        publish(self.target, FileName::Encoders, [bytes])
    }

    /// Refuses to replace a file that the target's manifest names: one that differs from the source's comes from another
    /// history of the library.
    fn refuse_if_named(&self, name: FileName) -> Result<()> {
        match self.before {
            Some(before) if before.names(name) && self.target.exists(&name.to_string())? => {
                Err(Error::BackupMismatch {
                    path: self.target.path(&name.to_string()),
                    detail: "the library has another file of this name: one of the two was written to after a \
                             restore, or the backup is damaged; choose an empty directory"
                        .to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::video::{Video, VideoId};
    use crate::library::Library;
    use crate::options::Access;
    use crate::storage::meanwhile::Meanwhile;
    use crate::storage::memory::MemoryStorage;

    fn library_of(name: &str) -> Result<MemoryStorage> {
        let storage = MemoryStorage::new();
        let mut library = Library::open_in(Arc::new(storage.clone()), Access::Create)?;
        library.put(vec![(Video::named(VideoId::new(name)?), Vec::new())])?;
        library.close()?;
        Ok(storage)
    }

    fn copy(source: &MemoryStorage, target: &dyn Storage) -> Result<BackupReceipt> {
        LibraryFiles::hold(source)?.store(source, target, Target::Update)
    }

    /// Both looked, found nothing, and took the lock in turn: the second wrote over the first, which had been reported as
    /// made.
    #[test]
    fn a_backup_made_between_the_look_and_the_lock_is_not_written_over() -> Result<()> {
        let (one, other) = (library_of("one")?, library_of("other")?);
        let target = Meanwhile::new(MemoryStorage::new(), "LOCK");
        let place = target.inner.clone();
        target.set(move || assert!(copy(&other, &place).is_ok()));
        assert!(matches!(copy(&one, &target), Err(Error::BackupMismatch { .. })));
        let kept = Library::open_in(Arc::new(target.inner), Access::Read)?;
        assert_eq!(kept.video_ids()?, [VideoId::new("other")?]);
        Ok(())
    }
}
