//! The one handle that may change a library: its lock, its log, its manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::video::{Segment, Space, Video, VideoId};
use crate::error::{Error, Result};
use crate::operation::{Content, Operation, Respaced};
use crate::snapshot::Snapshot;
use crate::storage::log::Log;
use crate::storage::manifest::Manifest;
use crate::storage::seam::{Lock, Storage};

/// Held under the library's mutex; dropping it frees the lock for other processes.
pub(crate) struct Writer {
    pub(crate) manifest: Manifest,
    /// The log that takes the next record.
    log: Arc<Log>,
    /// Number and bytes of the logs before it that the manifest still needs, and perhaps of some that it no longer needs.
    older: Vec<(u64, u64)>,
    lock: Box<dyn Lock>,
}

impl Writer {
    /// `older`: number and bytes of the logs before `log`.
    pub(crate) fn new(manifest: Manifest, log: Log, older: Vec<(u64, u64)>, lock: Box<dyn Lock>) -> Self {
        Self { manifest, log: Arc::new(log), older, lock }
    }

    /// Goes on with the log after an earlier failure, if the disk has recovered. Everything that writes to the log calls
    /// this first, so that after a full disk the library needs no reopening.
    ///
    /// # Errors
    /// `io`; also if the library or its lock was moved or removed since it was opened: what is written to files that nobody
    /// finds, or that another writer writes to as well, must not be acknowledged.
    pub(crate) fn mend(&mut self, storage: &dyn Storage) -> Result<()> {
        self.lock.refuse_if_gone()?;
        if self.log.is_stuck() {
            self.go_on_with(self.log.resume(storage)?);
        }
        Ok(())
    }

    /// Writes a record, not yet synced. Returns its sequence and the log to sync.
    pub(crate) fn append(&self, payload: &[u8]) -> Result<(u64, Arc<Log>)> {
        Ok((self.log.append(payload)?, Arc::clone(&self.log)))
    }

    /// The log that takes the next record.
    pub(crate) fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }

    /// Ends the current log, all of it on disk; later records go to a new one, whose number is returned. A log without
    /// records is as good as a new one.
    pub(crate) fn rotate(&mut self, storage: &dyn Storage) -> Result<u64> {
        self.mend(storage)?;
        if !self.log.is_empty() {
            self.go_on_with(self.log.next(storage)?);
        }
        Ok(self.log.number())
    }

    fn go_on_with(&mut self, log: Log) {
        if log.number() != self.log.number() {
            self.older.retain(|(number, _)| *number >= self.manifest.first_log);
            self.older.push((self.log.number(), self.log.byte_len()));
        }
        self.log = Arc::new(log);
    }

    /// A number that no part or deletes file of the library has had.
    pub(crate) fn take_file_number(&mut self) -> u64 {
        let number = self.manifest.next_file;
        self.manifest.next_file += 1;
        number
    }

    /// Bytes of the logs that opening would replay.
    pub(crate) fn log_bytes(&self) -> u64 {
        let needed = self.older.iter().filter(|(number, _)| *number >= self.manifest.first_log);
        needed.map(|(_, byte_len)| byte_len).sum::<u64>() + self.log.byte_len()
    }
}

/// Refuses an operation that can't be applied to the library as it is.
pub(crate) fn check_operation(snapshot: &Snapshot, operation: &Operation) -> Result<()> {
    match operation {
        Operation::Put(contents) => {
            contents.iter().try_for_each(|one| check_vectors(snapshot, one.video.id.as_str(), &one.segments))
        }
        Operation::Overlay(changes) => {
            for (id, video, segments) in changes {
                check_vectors(snapshot, id.as_str(), segments)?;
                match video {
                    Some(video) => video.validate()?,
                    None => check_is_there(snapshot, id)?,
                }
                Content::checked(Video::named(id.clone()), segments.clone())?;
            }
            Ok(())
        }
        Operation::Update(video) => video.validate(),
        Operation::Delete(ids) => ids.iter().try_for_each(|id| check_is_there(snapshot, id)),
        Operation::SetSpace(channel, space) => {
            check_dimension(space)?;
            match snapshot.spaces.get(channel) {
                Some(expected) if expected != space && snapshot.has_vectors(*channel)? => Err(Error::SpaceMismatch {
                    channel: channel.name().to_owned(),
                    expected: expected.to_string(),
                    got: space.to_string(),
                }),
                _ => Ok(()),
            }
        }
        Operation::SetCalibration(channel, calibration) => calibration.validate(channel.name()),
        Operation::Respace(channels, videos) => check_respace(snapshot, channels, videos),
    }
}

fn check_is_there(snapshot: &Snapshot, id: &VideoId) -> Result<()> {
    match snapshot.find(id)? {
        Some(_) => Ok(()),
        None => Err(Error::VideoNotFound { video: id.to_string() }),
    }
}

/// The largest dimension of a space.
const MAX_DIMENSION: u32 = 65_536;

fn check_dimension(space: &Space) -> Result<()> {
    if space.dimension == 0 || space.dimension > MAX_DIMENSION {
        return Err(Error::InvalidVector {
            what: format!("space {space}"),
            detail: format!("its dimension is not within 1 to {MAX_DIMENSION}"),
        });
    }
    Ok(())
}

/// Refuses a change of spaces that leaves out a video, or brings anything but vectors of the new spaces.
fn check_respace(snapshot: &Snapshot, channels: &[Respaced], videos: &[(VideoId, Vec<Segment>)]) -> Result<()> {
    let mut after = Snapshot::default();
    for one in channels {
        check_dimension(&one.space)?;
        one.calibration.validate(one.channel.name())?;
        after.spaces.insert(one.channel, one.space.clone());
    }
    let mut missing: BTreeSet<VideoId> = snapshot.ids()?.into_iter().collect();
    for (id, segments) in videos {
        if !missing.remove(id) {
            return Err(Error::VideoNotFound { video: id.to_string() });
        }
        if let Some(other) = segments
            .iter()
            .flat_map(|segment| &segment.evidence)
            .find(|evidence| evidence.text.is_some() || !after.spaces.contains_key(&evidence.channel))
        {
            let detail = format!("channel {} of video {id} is not being changed, or has text", other.channel.name());
            return Err(Error::InvalidBatch { detail });
        }
        check_vectors(&after, id.as_str(), segments)?;
        Content::checked(Video::named(id.clone()), segments.clone())?;
    }
    missing
        .pop_first()
        .map_or(Ok(()), |id| Err(Error::InvalidBatch { detail: format!("the rows leave out the video {id}") }))
}

fn check_vectors(snapshot: &Snapshot, video: &str, segments: &[Segment]) -> Result<()> {
    for evidence in segments.iter().flat_map(|segment| &segment.evidence) {
        let Some(vector) = &evidence.vector else { continue };
        let what = || format!("a {} vector of video {video}", evidence.channel.name());
        let Some(space) = snapshot.spaces.get(&evidence.channel) else {
            return Err(Error::SpaceMismatch {
                channel: evidence.channel.name().to_owned(),
                expected: "(none set)".to_owned(),
                got: format!("vectors of {} dimensions", vector.len()),
            });
        };
        space.check_component_count(vector.len(), what)?;
        if !vector.iter().all(|value| value.is_finite()) {
            return Err(Error::InvalidVector { what: what(), detail: "a component is NaN or infinite".to_owned() });
        }
    }
    Ok(())
}
