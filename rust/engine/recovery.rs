//! From the files of a library to its snapshot: the manifest's parts, and the log replayed over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::named;
use crate::operation::Operation;
use crate::options::{Access, Options};
use crate::part::{Home, LivePart, Part};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::storage::deletes::read_deletes;
use crate::storage::log::Log;
use crate::storage::log_format::LogEnd;
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::names::{self, FileName};
use crate::storage::part_file;
use crate::storage::replay::{follow, recover};
use crate::storage::seam::{Lock, Storage};
use crate::writer::Writer;

/// What opening gives.
pub(crate) struct Opened {
    pub(crate) snapshot: Snapshot,
    pub(crate) writer: Option<Writer>,
    pub(crate) position: ReadPosition,
}

/// How far a handle has read what is on disk; where a reader goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadPosition {
    generation: u64,
    end: LogEnd,
}

/// Opening races with a writer that removes files which its newest manifest no longer names; each try reads it anew.
const READER_TRIES: usize = 20;
/// How long to wait between two tries for a lock that another holds.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) fn open(storage: &Arc<dyn Storage>, options: &Options) -> Result<Opened> {
    let access = options.access;
    if access == Access::Read {
        return open_to_read(&**storage);
    }
    let is_new = match Manifest::load(&**storage) {
        Ok(_) => false,
        Err(Error::LibraryNotFound { .. }) if access == Access::Create => true,
        Err(error) => return Err(error),
    };
    let lock = take_lock(&**storage, options.lock_timeout)?;
    if is_new {
        create(&**storage)?;
    }
    let manifest = Manifest::load(&**storage)?;
    let (snapshot, end) = load(&**storage, &manifest, &[])?;
    for leftover in manifest.unreferenced(&**storage)? {
        storage.remove(&leftover)?;
    }
    remove_unfinished_copy(&**storage, end.number)?;
    named::remove_unfinished(storage)?;
    let log = Log::open_append(&**storage, &end)?;
    let position = ReadPosition::new(&manifest, end);
    let older = (manifest.first_log..end.number)
        .map(|number| Ok((number, storage.len(&FileName::Log(number).to_string())?)))
        .collect::<Result<_>>()?;
    let writer = Writer::new(manifest, log, older, lock);
    Ok(Opened { snapshot, writer: Some(writer), position })
}

/// Takes the writer's lock, waiting up to `timeout` for another writer to give it up.
pub(crate) fn take_lock(storage: &dyn Storage, timeout: Duration) -> Result<Box<dyn Lock>> {
    let begun = Instant::now();
    loop {
        match storage.lock(&FileName::Lock.to_string()) {
            Err(Error::LibraryLocked { .. }) if begun.elapsed() < timeout => {
                std::thread::sleep(LOCK_INTERVAL.min(timeout.saturating_sub(begun.elapsed())));
            }
            outcome => return outcome,
        }
    }
}

fn open_to_read(storage: &dyn Storage) -> Result<Opened> {
    let mut last = None;
    for _ in 0..READER_TRIES {
        let seen = stamp(storage)?;
        let manifest = Manifest::load(storage)?;
        match load(storage, &manifest, &[]) {
            Ok((snapshot, end)) => {
                let position = ReadPosition::new(&manifest, end);
                return Ok(Opened { snapshot, writer: None, position });
            }
            Err(error @ (Error::Io { .. } | Error::Damaged { .. })) if stamp(storage)? != seen => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::Internal { detail: "a reader did not get to open".to_owned() }))
}

/// The snapshot that a reader which holds `before` sees now; none if nothing changed. Reads only what was written since: the
/// end of the log, and after a commit the new parts.
pub(crate) fn refresh(
    storage: &dyn Storage,
    before: &Snapshot,
    position: ReadPosition,
) -> Result<Option<(Snapshot, ReadPosition)>> {
    match advance(storage, before, position) {
        // The writer may have committed meanwhile: opening anew tells that from damage.
        Err(Error::Io { .. } | Error::Damaged { .. }) => {
            open_to_read(storage).map(|opened| Some((opened.snapshot, opened.position)))
        }
        outcome => outcome,
    }
}

fn advance(
    storage: &dyn Storage,
    before: &Snapshot,
    position: ReadPosition,
) -> Result<Option<(Snapshot, ReadPosition)>> {
    let manifest = Manifest::load(storage)?;
    if manifest.secret != before.secret || manifest.generation < position.generation {
        // Another library, one that was restored, or an earlier state of this one, was put in its place.
        return open_to_read(storage).map(|opened| Some((opened.snapshot, opened.position)));
    }
    if manifest.generation > position.generation {
        let (snapshot, end) = load(storage, &manifest, &before.parts)?;
        return Ok(Some((snapshot, ReadPosition::new(&manifest, end))));
    }
    let mut operations = Vec::new();
    let end = follow(storage, position.end, &mut collect(storage, &mut operations))?;
    if (end.number, end.valid_len) == (position.end.number, position.end.valid_len) {
        return Ok(None);
    }
    let mut snapshot = before.apply(operations, end.last_sequence)?;
    snapshot.merge_small_memory_parts(None)?;
    Ok(Some((snapshot, ReadPosition { end, ..position })))
}

impl ReadPosition {
    fn new(manifest: &Manifest, end: LogEnd) -> Self {
        Self { generation: manifest.generation, end }
    }
}

/// Makes an empty library. The manifest comes last: without it, there is none.
fn create(storage: &dyn Storage) -> Result<()> {
    // Another process may have made it between the look and the lock.
    match Manifest::load(storage) {
        Err(Error::LibraryNotFound { .. }) => {}
        other => return other.map(|_| ()),
    }
    // What an earlier library left in the directory says nothing about this one.
    storage.remove(&FileName::Synced.to_string())?;
    names::create_directories(storage)?;
    let manifest = Manifest::new()?;
    Log::create(storage, manifest.first_log, 1)?;
    manifest.store(storage)
}

/// Removes the logs that a copy into this library left behind when it was cut short, which the manifest does without.
fn remove_unfinished_copy(storage: &dyn Storage, last_log: u64) -> Result<()> {
    if !storage.exists(names::UNFINISHED)? {
        return Ok(());
    }
    for number in names::logs(storage)?.into_iter().filter(|&number| number > last_log) {
        storage.remove(&FileName::Log(number).to_string())?;
    }
    // From here on a log that does not go on where the one before ends is damage again.
    storage.sync_dir(names::LOGS)?;
    storage.remove(names::UNFINISHED)
}

/// What changes when another process has written: the manifest's generation, and the logs' names and lengths.
fn stamp(storage: &dyn Storage) -> Result<(u64, BTreeMap<String, u64>)> {
    let manifest = Manifest::load(storage)?;
    let mut logs = BTreeMap::new();
    for name in names::entries_of(storage, names::LOGS)? {
        if let Ok(byte_len) = storage.len(&name) {
            logs.insert(name, byte_len);
        }
    }
    Ok((manifest.generation, logs))
}

/// Opens the manifest's parts, but for those that are among `known`, and replays the logs.
fn load(storage: &dyn Storage, manifest: &Manifest, known: &[LivePart]) -> Result<(Snapshot, LogEnd)> {
    let settings = Settings::read(&manifest.settings, storage.root())?;
    let parts = manifest.parts.iter().map(|entry| open_part(storage, entry, known)).collect::<Result<_>>()?;
    let base = Snapshot {
        number: manifest.applied_sequence,
        secret: manifest.secret,
        deleted_in_memory: 0,
        parts,
        spaces: manifest.spaces.clone(),
        calibrations: settings.calibrations,
    };
    let mut operations = Vec::new();
    let mut visit = collect(storage, &mut operations);
    let end = recover(storage, manifest.first_log, manifest.applied_sequence, &mut visit)?;
    drop(visit);
    let snapshot = if operations.is_empty() { base } else { base.apply(operations, end.last_sequence)? };
    Ok((snapshot, end))
}

/// A visitor of log records that decodes them.
fn collect<'a>(
    storage: &'a dyn Storage,
    operations: &'a mut Vec<Operation>,
) -> impl FnMut(u64, &[u8]) -> Result<()> + 'a {
    move |sequence, payload| {
        let operation = Operation::decode(payload)
            .map_err(|detail| Error::damaged(storage.path(names::LOGS), format!("record {sequence}: {detail}")))?;
        operations.push(operation);
        Ok(())
    }
}

fn open_part(storage: &dyn Storage, entry: &PartEntry, known: &[LivePart]) -> Result<LivePart> {
    let file = || storage.read(&FileName::Part(entry.number).to_string());
    let part = match known.iter().find(|part| part.home == Home::File(entry.number)) {
        // After a backup was restored in the library's place, the next part has a number that another had.
        Some(known) if known.part.is_of(&file()?) => Arc::clone(&known.part),
        _ => Arc::new(Part::open(part_file::open_part(storage, entry.number, entry.byte_len)?)?),
    };
    let damaged = |detail: String| Error::damaged(storage.path(&FileName::Part(entry.number).to_string()), detail);
    if (part.table().video_count(), part.table().row_count()) != (entry.video_count, entry.row_count) {
        return Err(damaged(format!(
            "it has {} videos and {} rows, the manifest says {} and {}",
            part.table().video_count(),
            part.table().row_count(),
            entry.video_count,
            entry.row_count
        )));
    }
    let live = LivePart::new(part, Home::File(entry.number));
    match entry.deletes {
        None => Ok(live),
        Some(number) => {
            let deleted = read_deletes(storage, entry.number, number, entry.video_count, entry.deleted_count)?;
            live.without(deleted.iter())
        }
    }
}
