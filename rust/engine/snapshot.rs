//! A fixed list of parts to search, and how the next one follows from an operation.
//!
//! A snapshot never changes; the library swaps in the next one. Its number is the log sequence of the last operation in
//! it, so that under one secret equal numbers mean equal content, however the content is spread over parts. A restored
//! library has another secret, since from then on it may hold other content under the same numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::catalog::channel::Channel;
use crate::catalog::video::{Segment, Space, VideoId};
use crate::error::{Error, Result};
use crate::merge::{MERGE_FAN_IN, size_class};
use crate::operation::{Content, Operation, Respaced};
use crate::part::{Home, LivePart, Part};
use crate::search::calibrate::Calibration;
use crate::storage::part_file::sections_in_memory;
use crate::vector::Index;

/// What operations made of the videos that they touched: `None` for one that they deleted.
type Written = BTreeMap<VideoId, Option<Content>>;

/// What the library holds at one point of its log.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Log sequence of the last operation.
    pub number: u64,
    /// The library's secret, which signs cursors. Not shown by `Debug`.
    pub(crate) secret: [u8; 32],
    /// How many videos were deleted since the last checkpoint that were only in the log and in memory.
    pub(crate) deleted_in_memory: u64,
    /// The parts, in the order in which they came.
    pub parts: Vec<LivePart>,
    /// Which space each channel's vectors are of.
    pub spaces: BTreeMap<Channel, Space>,
    /// How each channel's raw scores become confidences, where it was fitted.
    pub calibrations: BTreeMap<Channel, Calibration>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("number", &self.number)
            .field("parts", &self.parts)
            .field("spaces", &self.spaces)
            .field("calibrations", &self.calibrations)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Live videos.
    #[must_use]
    pub fn video_count(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.videos.count())).sum()
    }

    /// Live rows: segments, and one for each video's metadata.
    pub(crate) fn row_count(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.rows.count())).sum()
    }

    /// Live segments, without the row that is made for each video's metadata.
    #[must_use]
    pub(crate) fn segment_count(&self) -> u64 {
        self.row_count().saturating_sub(self.video_count())
    }

    /// A channel's calibration, or the one for spaces that were never fitted.
    #[must_use]
    pub fn calibration(&self, channel: Channel) -> Calibration {
        self.calibrations.get(&channel).cloned().unwrap_or_default()
    }

    /// Where a live video is: part and number within the part.
    pub fn find(&self, id: &VideoId) -> Result<Option<(usize, u32)>> {
        for (index, part) in self.parts.iter().enumerate().rev() {
            if let Some(video) = part.find(id)? {
                return Ok(Some((index, video)));
            }
        }
        Ok(None)
    }

    /// The ids of all live videos, in no order.
    pub fn ids(&self) -> Result<Vec<VideoId>> {
        let numbers = self.parts.iter().flat_map(|part| part.videos.iter().map(move |video| (part, video)));
        numbers.map(|(part, video)| VideoId::new(part.part.table().id(video)?)).collect()
    }

    /// A live video with its segments.
    pub fn content(&self, id: &VideoId) -> Result<Option<Content>> {
        match self.find(id)? {
            Some((index, video)) => self.parts.get(index).map(|part| part.part.content(video)).transpose(),
            None => Ok(None),
        }
    }

    /// The snapshot after `operations`, which end at log sequence `number`.
    ///
    /// All videos that the operations write become one new part in memory.
    pub fn apply(&self, operations: Vec<Operation>, number: u64) -> Result<Self> {
        let mut next = Self { number, ..self.clone() };
        let mut written = Written::new();
        for operation in operations {
            next.gather(operation, &mut written)?;
        }
        next.take_out(written.keys())?;
        let contents: Vec<Content> = written.into_values().flatten().collect();
        if !contents.is_empty() {
            next.push_in_memory(&contents)?;
        }
        Ok(next)
    }

    /// Does what an operation says, but for the videos that it writes or deletes: these are gathered in `written`.
    fn gather(&mut self, operation: Operation, written: &mut Written) -> Result<()> {
        match operation {
            Operation::Put(contents) => {
                written.extend(contents.into_iter().map(|content| (content.video.id.clone(), Some(content))));
            }
            Operation::Overlay(changes) => {
                for (id, video, segments) in changes {
                    let content = match (self.current(written, &id)?, video) {
                        (Some(before), video) => before.overlay(video, segments)?,
                        (None, Some(video)) => Content::checked(video, segments)?,
                        (None, None) => return Err(Error::VideoNotFound { video: id.to_string() }),
                    };
                    written.insert(id, Some(content));
                }
            }
            Operation::Update(video) => {
                let before = self.current(written, &video.id)?;
                let Content { segments, .. } =
                    before.ok_or_else(|| Error::VideoNotFound { video: video.id.to_string() })?;
                written.insert(video.id.clone(), Some(Content::checked(video, segments)?));
            }
            Operation::Delete(ids) => {
                for id in ids {
                    let was_in_memory = match written.get(&id) {
                        Some(content) => content.is_some(),
                        None => self.is_in_memory(&id)?,
                    };
                    self.deleted_in_memory += u64::from(was_in_memory);
                    written.insert(id, None);
                }
            }
            Operation::SetSpace(channel, space) => {
                self.spaces.insert(channel, space);
            }
            Operation::SetCalibration(channel, calibration) => {
                self.calibrations.insert(channel, calibration);
            }
            Operation::Respace(channels, videos) => self.respace(channels, videos, written)?,
        }
        Ok(())
    }

    fn respace(
        &mut self,
        channels: Vec<Respaced>,
        videos: Vec<(VideoId, Vec<Segment>)>,
        written: &mut Written,
    ) -> Result<()> {
        let respaced: Vec<Channel> = channels.iter().map(|one| one.channel).collect();
        for one in channels {
            self.spaces.insert(one.channel, one.space);
            self.calibrations.insert(one.channel, one.calibration);
        }
        for (id, segments) in videos {
            if let Some(before) = self.current(written, &id)? {
                let content = before.without_vectors(&respaced).overlay(None, segments)?;
                written.insert(id, Some(content));
            }
        }
        Ok(())
    }

    /// Adds a part in memory. It is searched exactly until a checkpoint writes it anew, so that writing does not wait for a
    /// graph.
    fn push_in_memory(&mut self, contents: &[Content]) -> Result<()> {
        let sections = Part::build(contents, &self.spaces, Index::Codes)?;
        let part = Part::open(sections_in_memory(sections))?;
        self.parts.push(LivePart::new(Arc::new(part), Home::Memory));
        Ok(())
    }

    /// The live content of some parts.
    pub(crate) fn contents_of(&self, indexes: &BTreeSet<usize>) -> Result<Vec<Content>> {
        let chosen = indexes.iter().filter_map(|&index| self.parts.get(index));
        chosen.flat_map(LivePart::contents).collect()
    }

    /// Whether any live video has a vector on the channel.
    pub(crate) fn has_vectors(&self, channel: Channel) -> Result<bool> {
        for part in &self.parts {
            if let Some(column) = part.part.vectors(channel) {
                for row in column.rows()?.iter() {
                    if part.rows.contains(row) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Keeps parts in memory few: as soon as `MERGE_FAN_IN` of one size class are there, they become one. Those of `frozen`,
    /// which a checkpoint is writing, are left alone.
    pub(crate) fn merge_small_memory_parts(&mut self, frozen: Option<&Self>) -> Result<()> {
        let is_frozen = |part: &LivePart| frozen.is_some_and(|frozen| part.is_one_of(&frozen.parts));
        loop {
            let mut classes: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
            let in_memory = |(_, part): &(usize, &LivePart)| part.home == Home::Memory && !is_frozen(part);
            for (index, part) in self.parts.iter().enumerate().filter(in_memory) {
                classes.entry(size_class(part.rows.count())).or_default().insert(index);
            }
            let Some(members) = classes.into_values().find(|members| members.len() >= MERGE_FAN_IN) else {
                return Ok(());
            };
            let contents = self.contents_of(&members)?;
            self.push_in_memory(&contents)?;
            let mut indexes = 0..;
            self.parts.retain(|_| indexes.next().is_some_and(|index| !members.contains(&index)));
        }
    }

    fn is_in_memory(&self, id: &VideoId) -> Result<bool> {
        let found = self.find(id)?.and_then(|(index, _)| self.parts.get(index));
        Ok(found.is_some_and(|part| part.home == Home::Memory))
    }

    /// What a video holds by now, taken out of `written` if it is there.
    fn current(&self, written: &mut Written, id: &VideoId) -> Result<Option<Content>> {
        match written.remove(id) {
            Some(content) => Ok(content),
            None => self.content(id),
        }
    }

    /// Takes videos out of the live sets of their parts, and lets go of parts in memory in which none is left.
    fn take_out<'a>(&mut self, ids: impl Iterator<Item = &'a VideoId>) -> Result<()> {
        let mut gone: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for id in ids {
            if let Some((index, video)) = self.find(id)? {
                gone.entry(index).or_default().push(video);
            }
        }
        for (index, videos) in gone {
            if let Some(part) = self.parts.get_mut(index) {
                *part = part.without(videos)?;
            }
        }
        self.parts.retain(|part| part.home != Home::Memory || part.videos.count() > 0);
        Ok(())
    }
}
