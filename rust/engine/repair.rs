//! Saves what can be read of a damaged library into a new one, and says what can't.
//!
//! Nothing is changed where the damage is. What is whole is taken over video by video, and of a video whose evidence is
//! damaged whatever else it has. Parts are independent of each other, and so are a log's records that store or delete
//! videos: what lies behind a damaged one is still read.
//!
//! The new library is made where the target keeps named snapshots, and gets its own place when it is whole. A repair that
//! is cut short leaves no library at the target, and begins anew when it is asked for again.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde::Serialize;

use crate::backup::{LibraryFiles, Target};
use crate::catalog::channel::Channel;
use crate::catalog::video::{Evidence, Segment, Space, VideoId};
use crate::error::{Error, Result};
use crate::library::Library;
use crate::named;
use crate::operation::{Content, Operation};
use crate::options::{Access, Durability, Options};
use crate::part::Part;
use crate::settings::Settings;
use crate::storage::deletes::read_deletes;
use crate::storage::disk::DiskStorage;
use crate::storage::log_format::{LOG_HEADER_BYTES, find_record, read_header, read_record};
use crate::storage::manifest::{Manifest, PartEntry};
use crate::storage::names::{self, FileName, SNAPSHOTS, UNFINISHED};
use crate::storage::part_file;
use crate::storage::seam::{Lock, Storage, is_absent};
use crate::storage::subdirectory::Subdirectory;

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

/// So many videos are written at a time.
const BATCH: usize = 200;

struct Repair<'a> {
    source: &'a dyn Storage,
    target: Library,
    report: RepairReport,
    /// Those of which something is missing so far.
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
    site.finish()?;
    Ok(report)
}

/// Where the new library is made until it is whole: the name of a snapshot, without a manifest but for this while.
const WORKING: &str = "repair";

/// Where a library is repaired to.
struct Site {
    target: Arc<dyn Storage>,
    /// The place in it where the library is made.
    working: Arc<dyn Storage>,
    /// Keeps another repair out.
    lock: Box<dyn Lock>,
}

impl Site {
    /// Takes a directory that is empty, or that another repair left unfinished.
    fn begin(path: &Path) -> Result<Self> {
        let is_empty = path.read_dir().map_or(true, |mut entries| entries.next().is_none());
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

    /// Makes the whole library that was made in the place for it that of the target.
    fn finish(self) -> Result<()> {
        let Self { target, working, lock } = self;
        let held = LibraryFiles::hold(&*working)?;
        names::create_directories(&*target)?;
        for file in held.unchanging_files() {
            target.link(&format!("{SNAPSHOTS}/{WORKING}/{file}"), &file.to_string())?;
        }
        target.sync_dir(names::PARTS)?;
        target.sync_dir(names::DELETES)?;
        // Else it would be a snapshot of the new library.
        working.remove(&FileName::Manifest.to_string())?;
        working.sync_dir("")?;
        // As with a restore, whose lock it is from here on.
        drop(lock);
        held.store(&*working, &*target, Target::New)?;
        named::remove(&target, WORKING)?;
        target.remove_dir(SNAPSHOTS)
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
    for file in source.list(names::DELETES)? {
        if let Some(FileName::Deletes { part, number }) = FileName::parse(&format!("{}/{file}", names::DELETES)) {
            bitmaps.push((part, number));
        }
    }
    for file in source.list(names::PARTS)? {
        let name = format!("{}/{file}", names::PARTS);
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

fn deleted_count(source: &dyn Storage, part: u64, number: u64) -> Result<u32> {
    let name = FileName::Deletes { part, number }.to_string();
    let bytes = source.load(&name)?;
    let field = bytes.get(40..44).and_then(|field| field.try_into().ok());
    field.map(u32::from_le_bytes).ok_or_else(|| Error::damaged(source.path(&name), "it has no header"))
}

/// Name of a space of which only the dimension is known.
const RECOVERED: &str = "recovered";

impl Repair<'_> {
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

    /// One damaged block is met by many videos.
    fn note(&mut self, line: String) {
        if !self.report.damaged.contains(&line) {
            self.report.damaged.push(line);
        }
    }

    fn open(&self, entry: &PartEntry) -> Result<Part> {
        part_file::open_part(self.source, entry.number, entry.byte_len).and_then(Part::open)
    }

    /// Names the spaces of a part's vectors that have no name.
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

    fn part(&mut self, entry: &PartEntry) -> Result<()> {
        let known = u64::from(entry.video_count - entry.deleted_count);
        let part = match self.open(entry) {
            Ok(part) => part,
            Err(error) => {
                self.note(error.to_string());
                self.report.lost_video_count += known;
                return Ok(());
            }
        };
        let deleted = match entry.deletes {
            None => Ok(RoaringBitmap::new()),
            Some(number) => {
                // Without a manifest the bitmap itself says how many are gone.
                let count = match entry.video_count {
                    0 => deleted_count(self.source, entry.number, number),
                    _ => Ok(entry.deleted_count),
                };
                count.and_then(|count| {
                    read_deletes(self.source, entry.number, number, part.table().video_count(), count)
                })
            }
        };
        let deleted = deleted.unwrap_or_else(|error| {
            self.note(format!("{error}; videos of part {} that were deleted are back", entry.number));
            RoaringBitmap::new()
        });
        let misfits = self.misfits(&part);
        for channel in &misfits {
            let path = self.source.path(&FileName::Part(entry.number).to_string());
            let channel = channel.name();
            self.note(format!("{}: its {channel} vectors are of another space, and left out", path.display()));
        }
        let mut batch = Vec::new();
        for video in (0..part.table().video_count()).filter(|video| !deleted.contains(*video)) {
            let content = match part.content(video) {
                Ok(content) => {
                    self.incomplete.remove(content.video.id.as_str());
                    Some(content)
                }
                Err(error) => {
                    self.note(error.to_string());
                    self.salvage(&part, video)
                }
            };
            if let Some(content) = content {
                let content = self.fitting(content, &misfits);
                batch.push((content.video, content.segments));
            }
            if batch.len() >= BATCH {
                self.target.put(std::mem::take(&mut batch))?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.target.put(batch) }
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

    fn logs(&mut self, manifest: &Manifest) -> Result<()> {
        for number in names::logs(self.source)?.into_iter().filter(|&number| number >= manifest.first_log) {
            let name = FileName::Log(number).to_string();
            let path = self.source.path(&name);
            let bytes = match self.source.load(&name) {
                Err(error) if is_absent(&error) => continue,
                outcome => outcome?,
            };
            let (first_sequence, salt) = match read_header(&path, &bytes, number) {
                Ok(header) => header,
                Err(error @ Error::FormatUnsupported { .. }) => return Err(error),
                Err(error) => {
                    self.note(format!("{error}; what was written to it is lost"));
                    continue;
                }
            };
            let (mut at, mut sequence) = (LOG_HEADER_BYTES, first_sequence);
            while at < bytes.len() {
                if let Some((payload, end)) = read_record(&bytes, at, sequence, salt) {
                    if sequence > manifest.applied_sequence {
                        self.record(&path, sequence, payload)?;
                    }
                    (at, sequence) = (end, sequence + 1);
                    continue;
                }
                let rest = bytes.get(at..).unwrap_or_default();
                let next = find_record(rest, sequence - 1, salt);
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
        }
        Ok(())
    }

    /// Does again what a record says. What builds on something that is lost can't be done.
    fn record(&mut self, path: &Path, sequence: u64, payload: &[u8]) -> Result<()> {
        let done = match Operation::decode(payload) {
            Err(detail) => Err(Error::damaged(path, detail)),
            Ok(Operation::Put(contents)) => {
                self.target.put(contents.into_iter().map(|content| (content.video, content.segments)).collect())
            }
            Ok(Operation::Overlay(changes)) => self.target.overlay(changes),
            Ok(Operation::Update(video)) => self.target.update(video),
            Ok(Operation::Delete(ids)) => {
                let snapshot = self.target.snapshot();
                let there: Vec<VideoId> =
                    ids.into_iter().filter(|id| snapshot.find(id).is_ok_and(|found| found.is_some())).collect();
                if there.is_empty() { Ok(()) } else { self.target.delete(there) }
            }
            Ok(Operation::SetSpace(channel, space)) => self.target.set_space(channel, space),
            Ok(Operation::SetCalibration(channel, calibration)) => self.target.set_calibration(channel, calibration),
            Ok(Operation::Respace(channels, videos)) => {
                let snapshot = self.target.snapshot();
                let there = videos.into_iter().filter(|(id, _)| snapshot.find(id).is_ok_and(|found| found.is_some()));
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
}
