//! What a user of the engine holds: open, put, delete, commit, search.
//!
//! One handle may write, in one process; any number of handles in any number of processes may read. Writes are
//! acknowledged when the log has them on disk, and are searchable from then on. Searching never waits for a writer.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use parking_lot::{Mutex, RwLock};

use crate::backup::{LibraryFiles, Target};
use crate::batch;
use crate::catalog::channel::Channel;
use crate::catalog::video::{Segment, Space, Video, VideoId};
use crate::checkpoint::Scope;
use crate::error::{Error, Result};
use crate::maintenance::Maintenance;
use crate::named;
use crate::operation::{Content, Operation, Respaced};
use crate::recovery::{self, Opened, ReadPosition};
use crate::retention::Retention;
use crate::search::calibrate::Calibration;
use crate::search::execute;
use crate::search::hit::SearchResult;
use crate::search::query::Query;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::storage::disk::DiskStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::random::random_bytes;
use crate::storage::seam::Storage;
use crate::syncer::Syncer;
use crate::writer::check_operation;

pub use crate::backup::BackupReceipt;
pub use crate::named::NamedSnapshot;
pub use crate::options::{Access, Durability, Limits, Options};
pub use crate::report::{ChannelCounts, CheckReport, CompactReceipt, Info};

/// A reader looks for new commits of another process at most this often.
const REFRESH: Duration = Duration::from_millis(50);

/// One directory on disk: everything Pixr knows about a set of videos.
pub struct Library {
    shared: Arc<Shared>,
    maintenance: Option<Maintenance>,
    /// For `Durability::Group`.
    syncer: Option<Syncer>,
    /// Of a reader.
    refreshed: Mutex<Refreshed>,
}

/// When a reader last looked for what another process wrote, and how far it has read.
struct Refreshed {
    at: Instant,
    position: ReadPosition,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("path", &self.shared.storage.root()).finish_non_exhaustive()
    }
}

impl Library {
    /// Opens the library in directory `path`; `options` may be an [`Access`] alone.
    ///
    /// # Errors
    /// `library_not_found`, `not_a_library`, `library_locked`, `format_unsupported`, `snapshot_not_found`, `read_only` (a
    /// snapshot was to be written), `damaged`, `io`.
    pub fn open(path: impl AsRef<Path>, options: impl Into<Options>) -> Result<Self> {
        let (path, options) = (path.as_ref(), options.into());
        let storage: Arc<dyn Storage> = match options.access {
            Access::Create => Arc::new(DiskStorage::create(path)?),
            Access::Write | Access::Read => Arc::new(DiskStorage::open(path)?),
        };
        Self::open_in(storage, options)
    }

    /// A library in memory, gone with the handle.
    pub fn in_memory() -> Result<Self> {
        Self::open_in(Arc::new(MemoryStorage::new()), Access::Create)
    }

    /// Opens the library in `storage`.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_in(storage: Arc<dyn Storage>, options: impl Into<Options>) -> Result<Self> {
        let options = options.into();
        let storage = match &options.snapshot {
            None => storage,
            Some(name) if options.access == Access::Read => named::storage_of(&storage, name)?,
            Some(_) => return Err(Error::ReadOnly { path: storage.root().to_owned() }),
        };
        let Opened { snapshot, writer, position } = recovery::open(&storage, &options)?;
        let writes = writer.is_some();
        let syncer = (writes && options.durability == Durability::Group).then(Syncer::start).transpose()?;
        let shared = Arc::new(Shared {
            storage,
            snapshot: RwLock::new(Arc::new(snapshot)),
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(()),
            frozen: Mutex::default(),
            background_failure: Mutex::default(),
            retention: Retention::new(options.limits),
            options,
        });
        let maintenance = writes.then(|| Maintenance::start(&shared)).transpose()?;
        Ok(Self { shared, maintenance, syncer, refreshed: Mutex::new(Refreshed { at: Instant::now(), position }) })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.storage.root()
    }

    /// Adds videos with their segments, or replaces those that are there, all in one atomic step.
    ///
    /// # Errors
    /// `invalid_video`, `invalid_span`, `dimension_mismatch`, `space_mismatch`, `library_locked`, `read_only`, `io`.
    pub fn put(&self, videos: Vec<(Video, Vec<Segment>)>) -> Result<()> {
        let contents = videos
            .into_iter()
            .map(|(video, segments)| Content::checked(video, segments))
            .collect::<Result<Vec<_>>>()?;
        self.write(Operation::Put(contents))
    }

    /// Lays segments over those of a video: an equal span takes the new evidence, other segments are added. A missing
    /// video is made if `video` is given.
    ///
    /// # Errors
    /// As `put`; `video_not_found` if there is no such video and none is given.
    pub fn overlay(&self, changes: Vec<(VideoId, Option<Video>, Vec<Segment>)>) -> Result<()> {
        self.write(Operation::Overlay(changes))
    }

    /// Lays the rows of an Arrow batch over the library (see `batch`). `videos` has metadata for ids that the batch
    /// names; ids that are new and not described get a video without metadata. Returns the ids in order of appearance.
    ///
    /// # Errors
    /// `invalid_batch`, `invalid_vector`, and as `put`.
    pub fn add_segments(&self, rows: &RecordBatch, videos: Vec<Video>) -> Result<Vec<String>> {
        let mut described: BTreeMap<VideoId, Video> =
            videos.into_iter().map(|video| (video.id.clone(), video)).collect();
        let mut changes = batch::decode(rows)?;
        for (id, video, _) in &mut changes {
            if let Some(given) = described.remove(id) {
                *video = Some(given);
            }
        }
        if let Some(id) = described.keys().next() {
            return Err(Error::InvalidBatch { detail: format!("the batch has no segment of the video {id}") });
        }
        let ids = changes.iter().map(|(id, _, _)| id.to_string()).collect();
        if !changes.is_empty() {
            // Which videos are new is decided by what the rows are laid over: another thread may have added some by now.
            self.write_made(|before| {
                for (id, video, _) in changes.iter_mut().filter(|(_, video, _)| video.is_none()) {
                    if before.find(id)?.is_none() {
                        *video = Some(Video::named(id.clone()));
                    }
                }
                Ok(Operation::Overlay(changes))
            })?;
        }
        Ok(ids)
    }

    /// Some videos with their segments as one Arrow batch that `add_segments` reads back.
    ///
    /// # Errors
    /// `video_not_found`.
    pub fn export(&self, ids: &[VideoId]) -> Result<RecordBatch> {
        let snapshot = self.current()?;
        let contents = ids
            .iter()
            .map(|id| snapshot.content(id)?.ok_or_else(|| Error::VideoNotFound { video: id.to_string() }))
            .collect::<Result<Vec<_>>>()?;
        batch::encode(&contents, &snapshot.spaces)
    }

    /// Replaces a video's metadata; its segments stay.
    ///
    /// # Errors
    /// `video_not_found`, `invalid_video`.
    pub fn update(&self, video: Video) -> Result<()> {
        self.write(Operation::Update(video))
    }

    /// As `update`, and also removes the video's vectors on some channels, with the segments that have nothing else.
    ///
    /// # Errors
    /// `video_not_found`, `invalid_video`.
    pub fn update_without_vectors(&self, video: Video, channels: &[Channel]) -> Result<()> {
        self.write_made(|before| {
            let Some(content) = before.content(&video.id)? else {
                return Err(Error::VideoNotFound { video: video.id.to_string() });
            };
            let segments = content.without_vectors(channels).segments;
            Ok(Operation::Put(vec![Content::checked(video, segments)?]))
        })
    }

    /// Deletes videos. Gone from results when this returns, from the files after `compact`.
    ///
    /// # Errors
    /// `video_not_found` names the first that is not there; then none is deleted.
    pub fn delete(&self, ids: Vec<VideoId>) -> Result<()> {
        self.write(Operation::Delete(ids))
    }

    /// Sets the space of a channel's vectors, which has to be known before the first of them comes.
    ///
    /// # Errors
    /// `space_mismatch` if the channel has vectors of another space.
    pub fn set_space(&self, channel: Channel, space: Space) -> Result<()> {
        if self.snapshot().spaces.get(&channel) == Some(&space) {
            return Ok(());
        }
        self.write(Operation::SetSpace(channel, space))
    }

    /// Sets how a channel's raw scores become confidences.
    ///
    /// # Errors
    /// `invalid_query` if the parameters are not a rising function.
    pub fn set_calibration(&self, channel: Channel, calibration: Calibration) -> Result<()> {
        if self.snapshot().calibrations.get(&channel) == Some(&calibration) {
            return Ok(());
        }
        self.write(Operation::SetCalibration(channel, calibration))
    }

    /// Changes channels to other spaces in one atomic step: on these channels the videos then have the vectors in the rows,
    /// and none where the rows have none. `videos` must be all that the library has, and `number` that of the snapshot for
    /// which the vectors were made.
    ///
    /// The step holds all of the library in memory, and the rows in one log record.
    ///
    /// # Errors
    /// `invalid_batch` if the library has changed since that snapshot, if a video is left out, if a channel is not being
    /// changed, or if the rows are too many for a record; `video_not_found`, `dimension_mismatch`, `invalid_vector`.
    pub fn respace(
        &self,
        channels: Vec<Respaced>,
        videos: Vec<VideoId>,
        rows: &RecordBatch,
        number: u64,
    ) -> Result<()> {
        let mut changed: BTreeMap<VideoId, Vec<Segment>> = videos.into_iter().map(|id| (id, Vec::new())).collect();
        changed.extend(batch::decode(rows)?.into_iter().map(|(id, _, segments)| (id, segments)));
        self.write_made(|before| {
            if before.number != number {
                let detail = format!("made for snapshot {number}, and the library is at {} now", before.number);
                return Err(Error::InvalidBatch { detail });
            }
            Ok(Operation::Respace(channels, changed.into_iter().collect()))
        })
    }

    /// Writes everything that is only in the log into parts, so that the next opening has nothing to replay. Returns the
    /// snapshot's number.
    ///
    /// # Errors
    /// `io`; then the log still has everything that was acknowledged.
    pub fn commit(&self) -> Result<u64> {
        self.shared.checkpoint(Scope::Memory)?;
        if let Some(maintenance) = &self.maintenance {
            maintenance.wake_to_merge(&self.shared);
        }
        Ok(self.snapshot().number)
    }

    /// Rewrites every part without what was deleted or replaced, and says what went.
    ///
    /// # Errors
    /// `io`, `damaged`.
    pub fn compact(&self) -> Result<CompactReceipt> {
        self.shared.compact()
    }

    /// Verifies every byte of every file. Damage is in the report, not an error.
    ///
    /// # Errors
    /// `io` if the directory can't be read at all.
    pub fn check(&self) -> Result<CheckReport> {
        self.shared.check()
    }

    /// Copies the library as it is now into directory `target`, while writers and readers go on. The copy is a library.
    /// Into a directory that holds an earlier backup of this library only what is new is copied.
    ///
    /// # Errors
    /// `backup_mismatch` if `target` holds another library or has gone another way, `library_locked` if someone writes
    /// there, `not_a_library` if it holds something else, `damaged` if what is to be copied is, `io`.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<BackupReceipt> {
        let log = match self.shared.writer.lock().as_mut() {
            Some(writer) => {
                writer.mend(&*self.shared.storage)?;
                Some(writer.log())
            }
            None => None,
        };
        if let Some(log) = log {
            // A copy must not hold what a crash could still take back from the library.
            log.sync()?;
        }
        let (source, target) = (&*self.shared.storage, target.as_ref());
        if let (Ok(one), Ok(other)) = (source.root().canonicalize(), target.canonicalize())
            && one == other
        {
            let detail = "it is the library itself".to_owned();
            return Err(Error::BackupMismatch { path: target.to_owned(), detail });
        }
        LibraryFiles::hold(source)?.store(source, &DiskStorage::create(target)?, Target::Update)
    }

    /// Makes a new library at `target` of a backup, after verifying every byte of it.
    ///
    /// # Errors
    /// `library_exists` if `target` holds a library, `not_a_library` if it holds something else, `library_locked` if another
    /// copy is being made there, `library_not_found` if there is no backup, `damaged` if the backup is, `format_unsupported`,
    /// `io`.
    pub fn restore(backup: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<BackupReceipt> {
        let source = DiskStorage::open(backup.as_ref())?;
        let mut held = LibraryFiles::hold(&source)?;
        // From here on the two may differ, so cursors of the library that was backed up must not be valid here.
        held.manifest.secret = random_bytes()?;
        held.store(&source, &DiskStorage::create(target.as_ref())?, Target::New)
    }

    /// Takes a snapshot of the library as it is now, to open (`Options::snapshot`) until it is deleted.
    ///
    /// # Errors
    /// `invalid_name`, `snapshot_exists`, `read_only`, `io`.
    pub fn take_snapshot(&self, name: &str) -> Result<NamedSnapshot> {
        self.shared.take_snapshot(name)
    }

    /// The snapshots that have a name, by name.
    ///
    /// # Errors
    /// `damaged`, `io`.
    pub fn named_snapshots(&self) -> Result<Vec<NamedSnapshot>> {
        self.shared.snapshots()
    }

    /// Deletes a named snapshot, and with it what only it holds.
    ///
    /// # Errors
    /// `snapshot_not_found`, `invalid_name`, `read_only`, `io`.
    pub fn delete_snapshot(&self, name: &str) -> Result<()> {
        self.shared.delete_snapshot(name)
    }

    /// Counts and sizes.
    pub fn info(&self) -> Result<Info> {
        self.refresh()?;
        self.shared.info()
    }

    /// The library as it is now, also as another process has committed it.
    ///
    /// # Errors
    /// `damaged`, `io` if what another process wrote can't be read.
    pub fn current(&self) -> Result<Arc<Snapshot>> {
        self.refresh()?;
        Ok(self.snapshot())
    }

    /// The library as this handle last saw it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.read())
    }

    /// A video's metadata.
    ///
    /// # Errors
    /// `video_not_found`.
    pub fn video(&self, id: &VideoId) -> Result<Video> {
        let snapshot = self.current()?;
        match snapshot.find(id)?.and_then(|(index, video)| Some((snapshot.parts.get(index)?, video))) {
            Some((part, video)) => part.part.table().video(video),
            None => Err(Error::VideoNotFound { video: id.to_string() }),
        }
    }

    /// A video with its segments.
    ///
    /// # Errors
    /// `video_not_found`.
    pub fn content(&self, id: &VideoId) -> Result<Content> {
        self.current()?.content(id)?.ok_or_else(|| Error::VideoNotFound { video: id.to_string() })
    }

    /// The ids of all videos, ascending.
    pub fn video_ids(&self) -> Result<Vec<VideoId>> {
        let mut ids = self.current()?.ids()?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Finds videos and their moments.
    ///
    /// # Errors
    /// `invalid_query`, `invalid_filter`, `invalid_cursor`, `cursor_expired`, `dimension_mismatch`, `damaged`.
    pub fn search(&self, query: &Query) -> Result<SearchResult> {
        let current = self.current()?;
        let secret = current.secret;
        let snapshot = match execute::cursor_snapshot(query, &secret)? {
            Some(number) if number != current.number => {
                self.shared.retention.find(number, &secret).ok_or(Error::CursorExpired { snapshot: number })?
            }
            _ => current,
        };
        let result = execute::search(&snapshot, query, &secret)?;
        if result.next_cursor.is_some() {
            self.shared.retention.keep(&snapshot, &self.snapshot());
        }
        Ok(result)
    }

    /// Commits and gives up the writer's lock. Later calls that write fail with `closed`.
    ///
    /// # Errors
    /// `io`; then the log still has everything that was acknowledged.
    pub fn close(&mut self) -> Result<()> {
        drop(self.maintenance.take());
        if self.shared.writer.lock().is_none() {
            return Ok(());
        }
        let committed = self.shared.checkpoint(Scope::Memory);
        drop(self.syncer.take());
        *self.shared.writer.lock() = None;
        committed
    }

    pub(crate) fn write(&self, operation: Operation) -> Result<()> {
        self.write_made(|_| Ok(operation))
    }

    /// Writes the operation that `make` derives from the library as it is, while nobody else writes.
    fn write_made(&self, make: impl FnOnce(&Snapshot) -> Result<Operation>) -> Result<()> {
        let shared = &self.shared;
        if let Some(maintenance) = &self.maintenance {
            maintenance.make_room(shared)?;
        }
        let (sequence, log) = {
            let mut guard = shared.writer.lock();
            let writer = guard.as_mut().ok_or_else(|| shared.not_writable())?;
            writer.mend(&*shared.storage)?;
            let before = self.snapshot();
            let operation = make(&before)?;
            check_operation(&before, &operation)?;
            let payload = operation.encode()?;
            let mut next = before.apply(vec![operation], before.number + 1)?;
            next.merge_small_memory_parts(shared.frozen.lock().as_deref())?;
            let (sequence, log) = writer.append(&payload)?;
            next.number = sequence;
            *shared.snapshot.write() = Arc::new(next);
            (sequence, log)
        };
        match (shared.options.durability, &self.syncer) {
            (Durability::Always, _) => log.sync_up_to(sequence)?,
            (Durability::Group, Some(syncer)) => syncer.note(&log, sequence)?,
            (Durability::Group | Durability::None, _) => {}
        }
        if let Some(maintenance) = &self.maintenance {
            maintenance.wake(shared);
        }
        Ok(())
    }

    /// Looks whether another process has written since, when this handle only reads.
    fn refresh(&self) -> Result<()> {
        if self.shared.options.access != Access::Read || self.shared.options.snapshot.is_some() {
            // A writer made what there is, and a named snapshot never changes.
            return Ok(());
        }
        // While another thread looks, the present snapshot will do: readers never wait.
        let Some(mut refreshed) = self.refreshed.try_lock() else { return Ok(()) };
        if refreshed.at.elapsed() < REFRESH {
            return Ok(());
        }
        let looked = Instant::now();
        let before = self.snapshot();
        if let Some((snapshot, position)) = recovery::refresh(&*self.shared.storage, &before, refreshed.position)? {
            *self.shared.snapshot.write() = Arc::new(snapshot);
            refreshed.position = position;
        }
        self.shared.retention.sweep(&self.snapshot());
        refreshed.at = looked;
        Ok(())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // Everything acknowledged is in the log, so an unsuccessful commit loses nothing; `close` reports it.
        let _ = self.close();
    }
}
