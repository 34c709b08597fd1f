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
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::seam::Storage;
use crate::storage::{deletes, log, names, part_file};
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
            match load(&**storage, false) {
                Ok((manifest, snapshot)) => {
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
    let fresh = !storage.exists(names::MANIFEST)?;
    if fresh {
        if access == Access::Write {
            return Err(Error::NotALibrary { path: storage.root().to_owned() });
        }
        names::refuse_foreign_files(&**storage)?;
    } else {
        // A directory that is not ours must not get a lock file, so its manifest is read before the lock is taken.
        Manifest::load(&**storage)?;
    }
    let lock = storage.lock(names::LOCK)?;
    if !storage.exists(names::MANIFEST)? {
        Manifest::create()?.store(&**storage)?;
    }
    let (manifest, snapshot) = load(&**storage, true)?;
    for leftover in names::unreferenced(&**storage, &manifest)? {
        storage.remove(&leftover)?;
    }
    let stamp = stamp(&**storage)?;
    let secret = manifest.secret;
    let writer = Writer::new(manifest, snapshot.number + 1, lock);
    Ok(Opened { snapshot, secret, writer: Some(writer), stamp })
}

/// What is on disk now, cheaply.
pub(crate) fn stamp(storage: &dyn Storage) -> Result<Stamp> {
    let manifest = Manifest::load(storage)?;
    let mut logs = BTreeMap::new();
    for number in names::logs(storage)? {
        let name = names::log(number);
        if let Ok(byte_len) = storage.len(&name) {
            logs.insert(name, byte_len);
        }
    }
    Ok((manifest.generation, logs))
}

/// Reads the manifest, opens its parts, replays the logs. `mend` cuts a torn tail off the last log.
fn load(storage: &dyn Storage, mend: bool) -> Result<(Manifest, Snapshot)> {
    let mut manifest = Manifest::load(storage)?;
    let settings = Settings::read(&manifest.settings, storage.root())?;
    let parts = manifest.parts.iter().map(|entry| open_part(storage, entry)).collect::<Result<_>>()?;
    let base = Snapshot {
        number: manifest.applied_sequence,
        parts,
        spaces: manifest.spaces.clone(),
        calibrations: settings.calibrations,
    };
    let mut operations = Vec::new();
    let mut number = manifest.applied_sequence;
    let logs: Vec<u64> =
        names::logs(storage)?.into_iter().filter(|&number| number >= manifest.first_log).collect();
    for (index, &file) in logs.iter().enumerate() {
        let name = names::log(file);
        let end = log::replay(storage, &name, |sequence, payload| {
            if sequence > number {
                if sequence != number + 1 {
                    return Err(Error::damaged(
                        storage.root().join(&name),
                        format!("record {sequence} follows record {number}"),
                    ));
                }
                operations.push(
                    Operation::decode(payload).map_err(|detail| Error::damaged(storage.root().join(&name), detail))?,
                );
                number = sequence;
            }
            Ok(())
        })?;
        if end.torn_bytes > 0 {
            if index + 1 != logs.len() {
                return Err(Error::damaged(
                    storage.root().join(&name),
                    format!("{} bytes at its end are no record, and later logs follow", end.torn_bytes),
                ));
            }
            if mend {
                storage.append(&name, end.valid_len)?.sync()?;
            }
        }
        manifest.next_file = manifest.next_file.max(file + 1);
    }
    let snapshot = if operations.is_empty() { base } else { base.apply(operations, number)? };
    Ok((manifest, snapshot))
}

fn open_part(storage: &dyn Storage, entry: &PartEntry) -> Result<LivePart> {
    let sections = part_file::open_part(storage, entry.number, entry.byte_len)?;
    let part = Part::open(sections)?;
    let damaged = |detail: String| Error::damaged(storage.root().join(names::part(entry.number)), detail);
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
            let deleted = deletes::read(storage, entry.number, number)?;
            if deleted.max().is_some_and(|last| last >= entry.video_count) {
                return Err(damaged("its deletes name a video that it does not have".to_owned()));
            }
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
