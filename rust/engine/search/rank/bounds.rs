//! What the videos of one part can score at most, for a fraction of what scoring them costs.
//!
//! Where the timed rows of a video lie apart, what counts together is what one row holds, so the bound is that of its
//! best row; else each channel's best may meet that of every other. What rows say is bounded by `reader`.

use std::cmp::Ordering;
use std::ops::Range;

use super::reader::{ROUNDING, Reader, Room, renew};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::search::ask::ChannelAsk;
use crate::search::evidence::WordMatches;
use crate::search::fuse::PerChannel;
use crate::vector::{Closeness, VectorColumn};

/// Rows that are bounded in one go: what is known of them stays in the cache.
const ROWS_TOGETHER: u32 = 4096;
/// `cosine_floor` may lie this far below the least cosine that really reaches a confidence.
const COSINE_ROUNDING: f32 = 1e-5;

/// A video with a score that it does not exceed.
#[derive(Clone, Copy)]
pub(super) struct Bounded {
    pub(super) bound: f32,
    pub(super) part: usize,
    pub(super) video: u32,
    /// Where the bounds of its rows begin (`Rough`), if they are kept.
    pub(super) rows_at: Option<usize>,
    /// Whether no closer bound is to be had for less than scoring it.
    pub(super) is_close: bool,
    /// Whether it is a hit, where that was found out.
    pub(super) is_hit: Option<bool>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bounded {}

impl PartialOrd for Bounded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bounded {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then((other.part, other.video).cmp(&(self.part, self.video)))
    }
}

/// A query prepared to bound the videos of one part.
pub(super) struct Bounds<'a> {
    pub(super) reader: Reader<'a>,
    /// By channel: the cosine that is enough by itself for the whole question.
    pub(super) enough: Vec<f32>,
    /// The videos whose timed rows lie apart.
    pub(super) apart: &'a RowSet,
}

/// Videos with rough bounds, and those of their timed rows, where these lie apart: a video's follow the place that it tells.
#[derive(Default)]
pub(super) struct Rough {
    pub(super) videos: Vec<Bounded>,
    pub(super) rows: Vec<f32>,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(reader: Reader<'a>) -> Result<Self> {
        let enough = |channel: &ChannelAsk| {
            let of_whole = channel.terms.first().map(|whole| whole.calibration);
            of_whole.map_or(f32::INFINITY, |of| of.cosine_floor(channel.calibration.sufficient) + COSINE_ROUNDING)
        };
        let enough = reader.ask.channels.iter().map(enough).collect();
        let apart = reader.part.part.videos_apart()?;
        Ok(Self { reader, enough, apart })
    }

    /// The same with what these words found.
    pub(super) fn with_words(self, words: &'a WordMatches) -> Self {
        Self { reader: self.reader.with_words(words), ..self }
    }

    /// Runs of videos that are bounded in one go by `rough`.
    pub(super) fn runs(&self) -> Result<Vec<Range<u32>>> {
        let table = self.reader.part.part.table();
        let (mut runs, mut start) = (Vec::new(), 0);
        while start < table.video_count() {
            let first_row = table.rows(start)?.start;
            // The video of the last row of the run, and those before it.
            let last_row = first_row.saturating_add(ROWS_TOGETHER).min(table.row_count());
            let end = if last_row < table.row_count() { table.video_of(last_row)? } else { table.video_count() };
            let end = end.max(start + 1);
            runs.push(start..end);
            start = end;
        }
        Ok(runs)
    }

    /// Bounds of some ascending videos whose timed rows lie apart, each with the rough bounds of its rows: of those that reach a
    /// score it is a closer bound of what the video scores. Only rows that may reach it are read.
    pub(super) fn close_above(&self, floor: f32, videos: &[(u32, &[f32])], room: &mut Room<'a>) -> Result<Vec<f32>> {
        let numbers: Vec<u32> = videos.iter().map(|(video, _)| *video).collect();
        let told = self.metadata_of(Closeness::Close, &numbers, room)?;
        let mut reaching = Vec::new();
        for (&(video, bounds), &(_, metadata)) in videos.iter().zip(&told) {
            let rows = self.reader.part.part.table().rows(video)?.zip(bounds);
            let reaches = |bound: f32| self.reader.blend.with_metadata(bound, metadata) * (1.0 + ROUNDING) >= floor;
            reaching.extend(rows.filter(|(_, bound)| reaches(**bound)).map(|(row, _)| (row, video)));
        }
        self.of_named(Closeness::Close, &told, &reaching, room)
    }

    /// What each of some ascending videos, with what its metadata say, scores at most by those of its rows with a time that were
    /// named, ascending and each with its video.
    pub(super) fn of_named(
        &self,
        closeness: Closeness,
        videos: &[(u32, f32)],
        named: &[(u32, u32)],
        room: &mut Room<'a>,
    ) -> Result<Vec<f32>> {
        let rows: Vec<u32> = named.iter().map(|(row, _)| *row).collect();
        renew(&mut room.is_enough, rows.len(), !self.reader.ask.needs_sufficient);
        self.reader.make_room(room);
        for index in (0..self.reader.ask.channels.len()).filter(|&index| self.reader.is_timed(index)) {
            self.reader.read_rows(index, closeness, &rows, room)?;
            self.reader.note_enough(index, room);
        }
        self.reader.blend_rows(rows.len(), room);
        let mut start = 0;
        let of_video = |&(video, metadata): &(u32, f32)| {
            let rows = named.get(start..).unwrap_or_default().iter().take_while(|(_, of)| *of == video).count();
            start += rows;
            self.of_rows(room, start - rows..start, video, metadata)
        };
        Ok(videos.iter().map(of_video).collect())
    }

    /// Whether the timed rows of a video lie apart.
    pub(super) fn is_apart(&self, video: u32) -> bool {
        self.apart.contains(video)
    }

    /// Some ascending videos with a confidence that their metadata don't exceed.
    pub(super) fn metadata_of(
        &self,
        closeness: Closeness,
        videos: &[u32],
        room: &mut Room<'a>,
    ) -> Result<Vec<(u32, f32)>> {
        let mut rows = Vec::with_capacity(videos.len());
        for &video in videos {
            self.add_metadata_rows(video, &mut rows)?;
        }
        let mut told = self.metadata_of_rows(closeness, &rows, room)?.into_iter().peekable();
        let of_video = |&video: &u32| told.next_if(|(of, _)| *of == video).unwrap_or((video, 0.0));
        Ok(videos.iter().map(of_video).collect())
    }

    /// The videos of some ascending rows that carry metadata, each with a confidence that what they say does not exceed.
    pub(super) fn metadata_of_rows(
        &self,
        closeness: Closeness,
        named: &[(u32, u32)],
        room: &mut Room<'a>,
    ) -> Result<Vec<(u32, f32)>> {
        let Some(index) = self.reader.untimed() else { return Ok(Vec::new()) };
        let rows: Vec<u32> = named.iter().map(|(row, _)| *row).collect();
        self.reader.make_room(room);
        self.reader.read_rows(index, closeness, &rows, room)?;
        let mut told: Vec<(u32, f32)> = Vec::with_capacity(rows.len());
        for (&(_, video), &confidence) in named.iter().zip(&room.channels[index]) {
            match told.last_mut().filter(|(of, _)| *of == video) {
                Some((_, most)) => *most = most.max(confidence),
                None => told.push((video, confidence)),
            }
        }
        Ok(told)
    }

    /// Adds those of a video's rows that carry metadata, by vectors or words, ascending.
    fn add_metadata_rows(&self, video: u32, rows: &mut Vec<(u32, u32)>) -> Result<()> {
        let Some(channel) = self.reader.untimed().map(|index| &self.reader.ask.channels[index]) else { return Ok(()) };
        let of_video = self.reader.part.part.table().rows(video)?;
        let first = rows.len();
        if let Some(held) = self.reader.part.part.vectors(channel.channel).map(VectorColumn::rows).transpose()? {
            let positions = held.positions(of_video.clone());
            rows.extend(positions.filter_map(|position| Some((held.row(position)?, video))));
        }
        let with_vectors = rows.len();
        for at in 0..channel.terms.len() {
            let with_words = self.reader.words.within(channel.channel, at, &of_video);
            rows.extend(with_words.iter().map(|(row, _)| (*row, video)));
        }
        if rows.len() > with_vectors {
            let mut own = rows.split_off(first);
            own.sort_unstable();
            own.dedup();
            rows.extend(own);
        }
        Ok(())
    }

    /// A closer bound of one video.
    pub(super) fn close(&self, video: u32, room: &mut Room<'a>) -> Result<f32> {
        let rows = self.reader.part.part.table().rows(video)?;
        self.reader.read(Closeness::Close, rows.clone(), room)?;
        self.reader.fill(rows, room);
        Ok(self.of_filled(room, video))
    }

    /// The bound of the video whose rows were filled.
    pub(super) fn of_filled(&self, room: &Room<'a>, video: u32) -> f32 {
        let of_channel = |index: usize| room.channels[index].iter().copied().fold(0.0, f32::max);
        let metadata = self.reader.untimed().map_or(0.0, of_channel);
        self.of_rows(room, 0..room.blended.len(), video, metadata)
    }

    /// The bound of a video by some of the rows that the room holds and by what its metadata say.
    fn of_rows(&self, room: &Room<'a>, rows: Range<usize>, video: u32, metadata: f32) -> f32 {
        let is_told = !self.reader.ask.needs_sufficient || self.reader.is_metadata_enough(metadata);
        let is_enough = room.is_enough.get(rows.clone()).unwrap_or_default();
        if !is_told && !is_enough.contains(&true) {
            return 0.0;
        }
        let mut whole = PerChannel::default();
        for (index, channel) in
            self.reader.ask.channels.iter().enumerate().filter(|(index, _)| self.reader.is_timed(*index))
        {
            let confidences = room.channels[index].get(rows.clone()).unwrap_or_default();
            whole[channel.channel.index()] = confidences.iter().copied().fold(0.0, f32::max);
        }
        whole[Channel::Metadata.index()] = metadata;
        let met = self.reader.blend.score(&whole);
        if !self.apart.contains(video) {
            return met * (1.0 + ROUNDING);
        }
        let blended = room.blended.get(rows).unwrap_or_default().iter().zip(is_enough);
        let best = blended.filter(|(_, row)| is_told || **row).map(|(one, _)| *one).fold(0.0, f32::max);
        self.reader.blend.with_metadata(best, metadata).min(met) * (1.0 + ROUNDING)
    }
}
