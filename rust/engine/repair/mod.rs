//! Saves what can be read of a damaged library into a new one, and says what can't.
//!
//! Nothing is changed where the damage is. Videos that are whole are taken over one by one; of a video whose evidence is
//! damaged, whatever else it has is taken. Parts are independent of each other, and so are a log's records that store or
//! delete videos: what lies behind a damaged one is still read.

mod batches;
mod site;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde::Serialize;

use crate::catalog::channel::Channel;
use crate::catalog::video::{Evidence, Segment, Space, VideoId};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::operation::{Content, Operation};
use crate::options::{Access, Durability, Options};
use crate::part::Part;
use crate::settings::Settings;
use crate::storage::deletes::{read_deleted_count, read_deletes};
use crate::storage::disk::DiskStorage;
use crate::storage::log_format::{LOG_HEADER_BYTES, find_record, read_header, read_record};
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::names::{self, FileName};
use crate::storage::part_file;
use crate::storage::publish::publish;
use crate::storage::seam::{Storage, is_absent};
use batches::Batch;
use site::Site;

/// What `repair` saved and what it could not.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RepairReport {
    /// The library that was made.
    pub path: String,
    /// Videos in it.
    pub videos: u64,
    /// Videos in it of which something is missing: segments, vectors or words.
    pub incomplete_videos: Vec<String>,
    /// Videos that are lost and whose ids could be read.
    pub lost_videos: Vec<String>,
    /// Videos that are lost without a trace of their ids; none where the manifest, which counts them, is lost too.
    pub lost_video_count: u64,
    /// One line for each damage, naming the file and what follows from it.
    pub damaged: Vec<String>,
}

/// A repair under way.
struct Repair<'a> {
    source: &'a dyn Storage,
    target: Library,
    report: RepairReport,
    /// The videos of which something is missing so far.
    incomplete: BTreeSet<String>,
}

impl Library {
    /// Saves what can be read of the damaged library at `source` into a new one at `target`, and says what can't. Nothing
    /// is changed at `source`.
    ///
    /// # Errors
    /// `library_not_found`, `library_locked` (a writer has the source open), `library_exists` (something is at `target`),
    /// `not_a_library` (there is neither manifest nor part), `format_unsupported`, `io`.
    pub fn repair(source: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<RepairReport> {
        repair(source.as_ref(), target.as_ref())
    }
}

fn repair(source: &Path, target: &Path) -> Result<RepairReport> {
    let source = DiskStorage::open(source)?;
    // Before the lock, which makes a file: a directory of something else stays as it is.
    read_manifest(&source, &mut Vec::new())?;
    let lock = source.lock(&FileName::Lock.to_string());
    if let Err(error @ Error::LibraryLocked { .. }) = lock {
        return Err(error);
    }
    let mut damaged = Vec::new();
    let manifest = read_manifest(&source, &mut damaged)?;
    let site = Site::begin(target)?;
    let options = Options { durability: Durability::None, ..Access::Create.into() };
    let report = RepairReport { path: target.display().to_string(), damaged, ..RepairReport::default() };
    let target = Library::open_in(Arc::clone(&site.working), options)?;
    let mut repair = Repair { source: &source, target, report, incomplete: BTreeSet::new() };
    repair.settings(&manifest)?;
    // Where two parts disagree on a space, the library went over to that of the later one.
    for entry in manifest.parts.iter().rev() {
        repair.spaces(entry)?;
    }
    for entry in &manifest.parts {
        repair.part(entry)?;
    }
    repair.logs(&manifest)?;
    let mut report = repair.report;
    report.videos = repair.target.snapshot().video_count();
    report.incomplete_videos = repair.incomplete.into_iter().collect();
    repair.target.close()?;
    carry_encoders(&source, &*site.working)?;
    site.finish()?;
    Ok(report)
}

/// Takes over the record of the models that the library was indexed with, unless it is damaged as well.
fn carry_encoders(source: &dyn Storage, target: &dyn Storage) -> Result<()> {
    match source.load(&FileName::Encoders.to_string()) {
        Ok(bytes) if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() => {
            publish(target, FileName::Encoders, [bytes.as_slice()])
        }
        _ => Ok(()),
    }
}

/// The manifest, or one made of the files that are there.
fn read_manifest(source: &dyn Storage, damaged: &mut Vec<String>) -> Result<Manifest> {
    let error = match Manifest::load(source) {
        Ok(manifest) => return Ok(manifest),
        Err(error @ (Error::Damaged { .. } | Error::NotALibrary { .. } | Error::LibraryNotFound { .. })) => error,
        Err(error) => return Err(error),
    };
    let logs = names::logs(source)?;
    let mut manifest = Manifest { first_log: logs.first().copied().unwrap_or(1), ..Manifest::new()? };
    let mut bitmaps: Vec<(u64, u64)> = Vec::new();
    for name in names::entries_of(source, names::DELETES)? {
        if let Some(FileName::Deletes { part, number }) = FileName::parse(&name) {
            bitmaps.push((part, number));
        }
    }
    for name in names::entries_of(source, names::PARTS)? {
        if let Some(FileName::Part(number)) = FileName::parse(&name) {
            let deletes = bitmaps.iter().filter(|(part, _)| *part == number).map(|(_, bitmap)| *bitmap).max();
            let byte_len = source.len(&name)?;
            manifest.parts.push(PartEntry {
                number,
                byte_len,
                row_count: 0,
                video_count: 0,
                deletes,
                deleted_count: 0,
            });
        }
    }
    if manifest.parts.is_empty() && logs.is_empty() {
        return Err(error);
    }
    damaged.push(format!(
        "{error}; the parts and logs that are there were taken, spaces without a name in the log are called {RECOVERED}, \
         calibrations are lost"
    ));
    Ok(manifest)
}

/// Name of a space of which only the dimension is known.
const RECOVERED: &str = "recovered";

impl Repair<'_> {
    /// Takes over the spaces and calibrations that the manifest has.
    fn settings(&mut self, manifest: &Manifest) -> Result<()> {
        for (channel, space) in &manifest.spaces {
            self.target.set_space(*channel, space.clone())?;
        }
        match Settings::read(&manifest.settings, self.source.root()) {
            Ok(settings) => {
                for (channel, calibration) in settings.calibrations {
                    self.target.set_calibration(channel, calibration)?;
                }
            }
            Err(error) => self.note(error.to_string()),
        }
        Ok(())
    }

    /// Reports a damage, once: one damaged block is met by many videos.
    fn note(&mut self, line: String) {
        if !self.report.damaged.contains(&line) {
            self.report.damaged.push(line);
        }
    }

    fn open(&self, entry: &PartEntry) -> Result<Part> {
        part_file::open_part(self.source, entry.number, entry.byte_len).and_then(Part::open)
    }

    /// Gives a name to each space of the part's vectors that has none.
    fn spaces(&mut self, entry: &PartEntry) -> Result<()> {
        let Ok(part) = self.open(entry) else { return Ok(()) };
        for channel in Channel::ALL {
            if let Some(column) = part.vectors(channel)
                && !self.target.snapshot().spaces.contains_key(&channel)
            {
                let dimension = u32::try_from(column.dimension()).unwrap_or(u32::MAX);
                let space = Space { name: RECOVERED.to_owned(), version: "1".to_owned(), dimension };
                self.target.set_space(channel, space)?;
            }
        }
        Ok(())
    }

    /// The channels on which the part's vectors are of another dimension than those of the library.
    fn misfits(&self, part: &Part) -> Vec<Channel> {
        let spaces = &self.target.snapshot().spaces;
        let dimension = |channel| spaces.get(&channel).map(|space| space.dimension as usize);
        let is_misfit = |channel: &Channel| {
            part.vectors(*channel).is_some_and(|column| Some(column.dimension()) != dimension(*channel))
        };
        Channel::ALL.into_iter().filter(is_misfit).collect()
    }

    /// Takes over the videos of a part.
    fn part(&mut self, entry: &PartEntry) -> Result<()> {
        let part = match self.open(entry) {
            Ok(part) => part,
            Err(error) => {
                self.note(error.to_string());
                self.report.lost_video_count += u64::from(entry.video_count - entry.deleted_count);
                return Ok(());
            }
        };
        let deleted = self.deleted(entry, &part);
        let misfits = self.misfits(&part);
        for channel in &misfits {
            let path = self.source.path(&FileName::Part(entry.number).to_string());
            let channel = channel.name();
            self.note(format!("{}: its {channel} vectors are of another space, and left out", path.display()));
        }
        let mut batch = Batch::default();
        for video in (0..part.table().video_count()).filter(|video| !deleted.contains(*video)) {
            if let Some(content) = self.content(&part, video) {
                let content = self.fitting(content, &misfits);
                batch.add(content, &self.target)?;
            }
        }
        batch.write(&self.target)
    }

    /// The videos of a part that are deleted; none if that can't be read.
    fn deleted(&mut self, entry: &PartEntry, part: &Part) -> RoaringBitmap {
        let Some(number) = entry.deletes else { return RoaringBitmap::new() };
        // Without a manifest the bitmap itself says how many are gone.
        let count = match entry.video_count {
            0 => read_deleted_count(self.source, entry.number, number),
            _ => Ok(entry.deleted_count),
        };
        let read = |count| read_deletes(self.source, entry.number, number, part.table().video_count(), count);
        count.and_then(read).unwrap_or_else(|error| {
            self.note(format!("{error}; videos of part {} that were deleted are back", entry.number));
            RoaringBitmap::new()
        })
    }

    /// A video of a part, as far as it can be read.
    fn content(&mut self, part: &Part, video: u32) -> Option<Content> {
        match part.content(video) {
            Ok(content) => {
                self.incomplete.remove(content.video.id.as_str());
                Some(content)
            }
            Err(error) => {
                self.note(error.to_string());
                self.salvage(part, video)
            }
        }
    }

    /// The content without vectors on `misfits`.
    fn fitting(&mut self, content: Content, misfits: &[Channel]) -> Content {
        let of_misfit = |evidence: &Evidence| evidence.vector.is_some() && misfits.contains(&evidence.channel);
        if !content.segments.iter().flat_map(|segment| &segment.evidence).any(of_misfit) {
            return content;
        }
        self.incomplete.insert(content.video.id.to_string());
        content.without_vectors(misfits)
    }

    /// What can be read of a video that can't be read whole.
    fn salvage(&mut self, part: &Part, video: u32) -> Option<Content> {
        let table = part.table();
        let (Ok(metadata), Ok(rows)) = (table.video(video), part.given_rows(video)) else {
            match table.id(video) {
                Ok(id) => self.report.lost_videos.push(id.to_owned()),
                Err(_) => self.report.lost_video_count += 1,
            }
            return None;
        };
        self.incomplete.insert(metadata.id.to_string());
        let segments = rows.filter_map(|row| {
            let evidence = |channel| {
                let vector = part.vectors(channel).and_then(|column| column.vector(row).ok().flatten());
                let text = part.stored_text(row, channel).ok().flatten();
                let description = part.description(row, channel).ok().flatten();
                let found = vector.is_some() || text.is_some() || description.is_some();
                found.then_some(Evidence { channel, vector, text, description })
            };
            let span = table.span(row).ok()?;
            Some(Segment { span, evidence: Channel::ALL.into_iter().filter_map(evidence).collect() })
        });
        Some(Content { segments: segments.collect(), video: metadata })
    }

    /// Does again what the logs say.
    fn logs(&mut self, manifest: &Manifest) -> Result<()> {
        for number in names::logs(self.source)?.into_iter().filter(|&number| number >= manifest.first_log) {
            let name = FileName::Log(number).to_string();
            let bytes = match self.source.load(&name) {
                Err(error) if is_absent(&error) => continue,
                outcome => outcome?,
            };
            let path = self.source.path(&name);
            match read_header(&path, &bytes, number) {
                Ok((first_sequence, salt)) => {
                    self.records(&path, &bytes, first_sequence, salt, manifest.applied_sequence)?;
                }
                Err(error @ Error::FormatUnsupported { .. }) => return Err(error),
                Err(error) => self.note(format!("{error}; what was written to it is lost")),
            }
        }
        Ok(())
    }

    /// Does again what the records of a log say that come after `applied_sequence`; goes on behind what is damaged.
    fn records(
        &mut self,
        path: &Path,
        bytes: &[u8],
        first_sequence: u64,
        salt: u64,
        applied_sequence: u64,
    ) -> Result<()> {
        let (mut at, mut sequence) = (LOG_HEADER_BYTES, first_sequence);
        while at < bytes.len() {
            if let Some((payload, end)) = read_record(bytes, at, sequence, salt) {
                if sequence > applied_sequence {
                    self.record(path, sequence, payload)?;
                }
                (at, sequence) = (end, sequence + 1);
                continue;
            }
            let next = find_record(bytes.get(at..).unwrap_or_default(), sequence - 1, salt);
            let lost = match next {
                Some((_, later)) if later > sequence => format!("records {sequence} to {} are lost", later - 1),
                _ => format!("nothing after record {} can be read", sequence - 1),
            };
            self.note(format!("{}, byte {at}: {lost}", path.display()));
            match next {
                Some((offset, later)) => (at, sequence) = (at + offset, later),
                None => break,
            }
        }
        Ok(())
    }

    /// Does again what a record says, unless it builds on something that is lost.
    fn record(&mut self, path: &Path, sequence: u64, payload: &[u8]) -> Result<()> {
        let done = match Operation::decode(payload) {
            Err(detail) => Err(Error::damaged(path, detail)),
            Ok(Operation::Put(contents)) => {
                self.target.put(contents.into_iter().map(|content| (content.video, content.segments)).collect())
            }
            Ok(Operation::Overlay(changes)) => self.target.overlay(changes),
            Ok(Operation::Update(video)) => self.target.update(video),
            Ok(Operation::Delete(ids)) => {
                let there: Vec<VideoId> = ids.into_iter().filter(|id| self.is_there(id)).collect();
                if there.is_empty() { Ok(()) } else { self.target.delete(there) }
            }
            Ok(Operation::SetSpace(channel, space)) => self.target.set_space(channel, space),
            Ok(Operation::SetCalibration(channel, calibration)) => self.target.set_calibration(channel, calibration),
            Ok(Operation::Respace(channels, videos)) => {
                let there = videos.into_iter().filter(|(id, _)| self.is_there(id));
                self.target.write(Operation::Respace(channels, there.collect()))
            }
        };
        match done {
            Err(error @ Error::Io { .. }) => Err(error),
            Err(error) => {
                self.note(format!("{}, record {sequence} could not be done: {error}", path.display()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether the new library has a video by now.
    fn is_there(&self, id: &VideoId) -> bool {
        self.target.snapshot().find(id).is_ok_and(|found| found.is_some())
    }
}
