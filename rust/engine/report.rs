//! What a library tells of itself: counts, sizes, damage, and what compaction removed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::channel::Channel;
use crate::catalog::video::Space;
use crate::checkpoint::Scope;
use crate::error::{Error, Result};
use crate::named::storage_of;
use crate::operation::Operation;
use crate::part::{Home, LivePart, Part};
use crate::shared::Shared;
use crate::storage::deletes::read_deletes;
use crate::storage::manifest::Manifest;
use crate::storage::names::{self, FileName};
use crate::storage::part_file;
use crate::storage::replay::replay;
use crate::storage::seam::{Storage, is_absent};
use crate::storage::synced::Mark;

/// Counts and sizes of a library.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// The directory.
    pub path: String,
    /// Number of the file format.
    pub format: u32,
    /// Number of the snapshot: the log sequence of its last operation.
    pub snapshot: u64,
    /// Live videos.
    pub videos: u64,
    /// Live segments.
    pub segments: u64,
    /// Seconds of all live videos.
    pub duration: f64,
    /// Parts in files and in memory.
    pub parts: usize,
    /// Parts that are only in memory and in the log.
    pub parts_in_memory: usize,
    /// Videos deleted or replaced whose bytes are still in a part.
    pub deleted_videos: u64,
    /// Bytes of all files.
    pub byte_len: u64,
    /// Bytes of the logs.
    pub log_byte_len: u64,
    /// Bytes of the parts that are only in memory.
    pub memory_byte_len: u64,
    /// Why writing parts in the background failed the last time, if it did: a full disk, for instance. Nothing is lost by
    /// it, and it is tried again; what is not in parts stays in memory and in the log, up to twice their limits.
    pub background_failure: Option<String>,
    /// Old snapshots that this handle keeps for cursors, and the bytes that only they hold.
    pub cursor_snapshots: usize,
    /// See `cursor_snapshots`.
    pub cursor_byte_len: u64,
    /// Snapshots with a name.
    pub named_snapshots: usize,
    /// Spaces by channel.
    pub spaces: BTreeMap<Channel, Space>,
    /// Segments by channel, counting vectors and words.
    pub channels: BTreeMap<Channel, ChannelCounts>,
    /// Bytes by kind of section.
    pub section_byte_len: BTreeMap<String, u64>,
}

/// What a channel holds, deleted videos included until they are compacted away.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChannelCounts {
    /// Segments with a vector.
    pub vectors: u64,
    /// Segments with words.
    pub texts: u64,
}

/// What `check` found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Files that were read to the last byte.
    pub files: u64,
    /// Their bytes.
    pub byte_len: u64,
    /// One line for each damage, naming the file.
    pub damaged: Vec<String>,
    /// Logs whose last bytes are no whole record: a crash cut a write short there, or another process is just writing, or
    /// the last record is damaged. Opening to write cuts them off.
    pub unfinished: Vec<String>,
}

/// What `compact` removed.
#[derive(Debug, Clone, Serialize)]
pub struct CompactReceipt {
    /// Videos whose bytes are gone: those that were deleted, and those in parts that were replaced.
    pub removed_videos: u64,
    /// Files that are gone from the library.
    pub removed_files: Vec<String>,
    /// Their bytes.
    pub removed_byte_len: u64,
    /// Named snapshots. Those taken before hold what was removed until they are deleted.
    pub named_snapshots: Vec<String>,
    /// Bytes of all files before.
    pub byte_len_before: u64,
    /// Bytes of all files after.
    pub byte_len_after: u64,
    /// The snapshot that remains.
    pub snapshot: u64,
}

impl Shared {
    pub(crate) fn info(&self) -> Result<Info> {
        let snapshot = self.snapshot.read().clone();
        let mut sums = Sums::default();
        for part in &snapshot.parts {
            sums.add(part)?;
        }
        let files = files(&*self.storage)?;
        let (cursor_snapshots, cursor_byte_len) = self.retention.usage(&snapshot);
        Ok(Info {
            path: self.storage.root().display().to_string(),
            format: crate::storage::FORMAT,
            snapshot: snapshot.number,
            videos: snapshot.video_count(),
            segments: snapshot.segment_count(),
            duration: sums.duration,
            parts: snapshot.parts.len(),
            parts_in_memory: sums.parts_in_memory,
            deleted_videos: sums.deleted_videos,
            byte_len: files.values().sum(),
            log_byte_len: files.iter().filter(|(name, _)| is_log(name)).map(|(_, len)| len).sum(),
            memory_byte_len: sums.memory_byte_len,
            background_failure: self.background_failure.lock().clone(),
            cursor_snapshots,
            cursor_byte_len,
            named_snapshots: self.snapshots()?.len(),
            spaces: snapshot.spaces.clone(),
            channels: sums.channels,
            section_byte_len: sums.section_byte_len,
        })
    }

    pub(crate) fn check(&self) -> Result<CheckReport> {
        // No file may be removed while it is read.
        let _one_at_a_time = self.checkpoint.lock();
        let mut report = CheckReport { files: 0, byte_len: 0, damaged: Vec::new(), unfinished: Vec::new() };
        check_files(&*self.storage, &mut report)?;
        for name in self.storage.list(names::SNAPSHOTS)? {
            // A directory that has no manifest (yet) is no snapshot.
            match storage_of(&self.storage, &name) {
                Ok(snapshot) => check_files(&*snapshot, &mut report)?,
                Err(Error::SnapshotNotFound { .. } | Error::InvalidName { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    pub(crate) fn compact(&self) -> Result<CompactReceipt> {
        let before = files(&*self.storage)?;
        let removed_videos = {
            let snapshot = self.snapshot.read().clone();
            let in_files = snapshot.parts.iter().filter(|part| part.home != Home::Memory);
            in_files.map(|part| u64::from(part.deleted_count())).sum::<u64>() + snapshot.deleted_in_memory
        };
        self.checkpoint(Scope::Everything)?;
        self.remove_leftovers()?;
        let after = files(&*self.storage)?;
        let gone = || before.iter().filter(|(name, _)| !after.contains_key(*name));
        Ok(CompactReceipt {
            removed_videos,
            removed_files: gone().map(|(name, _)| name.clone()).collect(),
            removed_byte_len: gone().map(|(_, byte_len)| byte_len).sum(),
            named_snapshots: self.snapshots()?.into_iter().map(|snapshot| snapshot.name).collect(),
            byte_len_before: before.values().sum(),
            byte_len_after: after.values().sum(),
            snapshot: self.snapshot.read().number,
        })
    }
}

/// What `Info` has of all parts together.
#[derive(Default)]
struct Sums {
    duration: f64,
    parts_in_memory: usize,
    deleted_videos: u64,
    memory_byte_len: u64,
    channels: BTreeMap<Channel, ChannelCounts>,
    section_byte_len: BTreeMap<String, u64>,
}

impl Sums {
    fn add(&mut self, live: &LivePart) -> Result<()> {
        let part: &Part = &live.part;
        for channel in Channel::ALL {
            let vectors = part.vectors(channel).map_or(0, |column| column.len() as u64);
            let texts = part.text().map_or(0, |text| text.text_count(channel));
            if vectors + texts > 0 {
                let counts = self.channels.entry(channel).or_default();
                counts.vectors += vectors;
                counts.texts += texts;
            }
        }
        for (name, byte_len) in part.section_sizes() {
            let kind = name.split(['/', '.']).next().unwrap_or(name);
            *self.section_byte_len.entry(kind.to_owned()).or_default() += byte_len;
        }
        for video in live.videos.iter() {
            self.duration += part.table().duration(video)?;
        }
        self.deleted_videos += u64::from(live.deleted_count());
        if live.home == Home::Memory {
            self.parts_in_memory += 1;
            self.memory_byte_len += part.byte_len();
        }
        Ok(())
    }
}

/// Verifies every file of the library or snapshot in `storage`.
fn check_files(storage: &dyn Storage, report: &mut CheckReport) -> Result<()> {
    let manifest = Manifest::load(storage);
    let entries = manifest.as_ref().map_or(&[][..], |manifest| &manifest.parts);
    let mut files = files(storage)?;
    for file in manifest.as_ref().map_or_else(|_| vec![FileName::Manifest], Manifest::needed) {
        files.entry(file.to_string()).or_default();
    }
    for (name, byte_len) in files {
        let outcome = match FileName::parse(&name) {
            Some(FileName::Manifest) => Manifest::load(storage).map(|_| ()),
            Some(FileName::Part(number)) => match entries.iter().find(|entry| entry.number == number) {
                Some(entry) => part_file::verify_part(storage, number, entry.byte_len),
                None => continue,
            },
            Some(FileName::Log(number)) => replay(storage, number, &mut |sequence, payload| {
                let damaged = |detail| Error::damaged(storage.path(&name), format!("record {sequence}: {detail}"));
                Operation::decode(payload).map(|_| ()).map_err(damaged)
            })
            .map(|end| {
                if end.torn_bytes > 0 {
                    report.unfinished.push(name.clone());
                }
            }),
            Some(FileName::Deletes { part, number }) => {
                match entries.iter().find(|entry| entry.number == part && entry.deletes == Some(number)) {
                    Some(entry) => {
                        let (videos, deleted) = (entry.video_count, entry.deleted_count);
                        read_deletes(storage, part, number, videos, deleted).map(|_| ())
                    }
                    None => continue,
                }
            }
            Some(FileName::Synced) => Mark::verify(storage).map(|_| ()),
            Some(FileName::Lock | FileName::Encoders) | None => continue,
        };
        match outcome {
            Err(error) if is_absent(&error) && !is_needed(storage, &name) => continue,
            Err(error) => report.damaged.push(error.to_string()),
            Ok(()) => {}
        }
        report.files += 1;
        report.byte_len += byte_len;
    }
    Ok(())
}

fn is_log(name: &str) -> bool {
    matches!(FileName::parse(name), Some(FileName::Log(_)))
}

/// Whether the library needs the file as it is now: the writer of another process removes what it does not need any more.
fn is_needed(storage: &dyn Storage, name: &str) -> bool {
    let file = FileName::parse(name);
    Manifest::load(storage).is_ok_and(|manifest| file.is_some_and(|file| manifest.names(file)))
}

/// Every file of the library with its length.
fn files(storage: &dyn Storage) -> Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    for name in names::entries(storage)? {
        // A log may go between the two calls.
        if let (Some(_), Ok(byte_len)) = (FileName::parse(&name), storage.len(&name)) {
            files.insert(name, byte_len);
        }
    }
    Ok(files)
}
