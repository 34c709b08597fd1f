//! From the files of a library to its snapshot: the manifest's parts, and the log replayed over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};
use crate::library::Access;
use crate::operation::Operation;
use crate::part::{Home, LivePart, Part};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::storage::deletes::read_deletes;
use crate::storage::log::Log;
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::names::{self, FileName};
use crate::storage::part_file;
use crate::storage::replay::{LogEnd, recover};
use crate::storage::seam::Storage;
use crate::writer::Writer;

/// What opening gives.
pub(crate) struct Opened {
    pub(crate) snapshot: Snapshot,
    pub(crate) secret: [u8; 32],
    pub(crate) writer: Option<Writer>,
    pub(crate) stamp: Stamp,
}

/// What changes when another process has written: the manifest's generation, and the logs' names and lengths.
pub(crate) type Stamp = (u64, BTreeMap<String, u64>);

/// Opening races with a writer that removes files which its newest manifest no longer names; each try reads it anew.
const READER_TRIES: usize = 20;

pub(crate) fn open(storage: &Arc<dyn Storage>, access: Access) -> Result<Opened> {
    if access == Access::Read {
        let mut last = None;
        for _ in 0..READER_TRIES {
            let seen = stamp(&**storage)?;
            match load(&**storage) {
                Ok((manifest, snapshot, _)) => {
                    return Ok(Opened { snapshot, secret: manifest.secret, writer: None, stamp: seen });
                }
                Err(error @ (Error::Io { .. } | Error::Damaged { .. })) if stamp(&**storage)? != seen => {
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        return Err(last.unwrap_or_else(|| Error::Internal { detail: "a reader did not get to open".to_owned() }));
    }
    let is_new = match Manifest::load(&**storage) {
        Ok(_) => false,
        Err(Error::LibraryNotFound { .. }) if access == Access::Create => true,
        Err(error) => return Err(error),
    };
    let lock = storage.lock(&FileName::Lock.to_string())?;
    if is_new {
        create(&**storage)?;
    }
    let (manifest, snapshot, end) = load(&**storage)?;
    for leftover in names::unreferenced(&**storage, &manifest)? {
        storage.remove(&leftover)?;
    }
    let log = Log::open_append(&**storage, &end)?;
    let stamp = stamp(&**storage)?;
    let secret = manifest.secret;
    let writer = Writer::new(manifest, log, lock);
    Ok(Opened { snapshot, secret, writer: Some(writer), stamp })
}

/// Makes an empty library. The manifest comes last: without it, there is none.
fn create(storage: &dyn Storage) -> Result<()> {
    // Another process may have made it between the look and the lock.
    match Manifest::load(storage) {
        Err(Error::LibraryNotFound { .. }) => {}
        other => return other.map(|_| ()),
    }
    names::create_directories(storage)?;
    let manifest = Manifest::new()?;
    Log::create(storage, manifest.first_log, 1)?;
    manifest.store(storage)
}

/// What is on disk now, cheaply.
pub(crate) fn stamp(storage: &dyn Storage) -> Result<Stamp> {
    let manifest = Manifest::load(storage)?;
    let mut logs = BTreeMap::new();
    for file in storage.list(names::LOGS)? {
        let name = format!("{}/{file}", names::LOGS);
        if let Ok(byte_len) = storage.len(&name) {
            logs.insert(name, byte_len);
        }
    }
    Ok((manifest.generation, logs))
}

/// Reads the manifest, opens its parts, replays the logs.
fn load(storage: &dyn Storage) -> Result<(Manifest, Snapshot, LogEnd)> {
    let manifest = Manifest::load(storage)?;
    let settings = Settings::read(&manifest.settings, storage.root())?;
    let parts = manifest.parts.iter().map(|entry| open_part(storage, entry)).collect::<Result<_>>()?;
    let base = Snapshot {
        number: manifest.applied_sequence,
        parts,
        spaces: manifest.spaces.clone(),
        calibrations: settings.calibrations,
    };
    let mut operations = Vec::new();
    let end = recover(storage, manifest.first_log, manifest.applied_sequence, &mut |sequence, payload| {
        let operation = Operation::decode(payload)
            .map_err(|detail| Error::damaged(storage.path(names::LOGS), format!("record {sequence}: {detail}")))?;
        operations.push(operation);
        Ok(())
    })?;
    let snapshot = if operations.is_empty() { base } else { base.apply(operations, end.last_sequence)? };
    Ok((manifest, snapshot, end))
}

fn open_part(storage: &dyn Storage, entry: &PartEntry) -> Result<LivePart> {
    let sections = part_file::open_part(storage, entry.number, entry.byte_len)?;
    let part = Part::open(sections)?;
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
    let live = LivePart::new(Arc::new(part), Home::File(entry.number));
    match entry.deletes {
        None => Ok(live),
        Some(number) => {
            let deleted = read_deletes(storage, entry.number, number, entry.video_count, entry.deleted_count)?;
            live.without(deleted.iter())
        }
    }
}

/// The videos of a part that are not live.
pub(crate) fn deleted_of(part: &LivePart) -> RowSet {
    let mut deleted = RowSet::clone(&part.videos);
    deleted.invert();
    deleted
}
