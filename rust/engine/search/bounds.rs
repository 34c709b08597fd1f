//! What the videos of one part can score at most, for a fraction of what scoring them costs.
//!
//! Each row's evidence is bounded by the codes of its vectors and the words that it holds (exactly), and mapped to a
//! confidence by `steps`. Where the timed rows of a video lie apart, what counts together is what one row holds, so the
//! bound is that of its best row; else each channel's best may meet that of every other.

use std::ops::Range;

use super::ask::{Ask, ChannelAsk, Term};
use super::evidence::{self, WordMatches};
use super::fuse::{Blend, PerChannel};
use super::rank::Bounded;
use super::steps::Steps;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::vector::{Closeness, Estimator, Reach, VectorColumn};

/// Rows that are bounded in one go: what is known of them stays in the cache.
const ROWS_TOGETHER: u32 = 4096;
/// Where fewer than this part of a run's rows are wanted, each video is read by itself.
const FEW_WANTED: usize = 8;
/// Covers the rounding of sums in f32.
const ROUNDING: f32 = 1e-5;
/// Covers what a floor of cosines is below the least that reaches a confidence.
const COSINE_ROUNDING: f32 = 1e-5;

/// From which confidence on a channel a video is a candidate.
#[derive(Clone, Copy)]
pub(super) enum Bar {
    /// Any evidence.
    None,
    /// The same for every channel.
    Confidence(f32),
    /// What is enough by itself on the channel.
    Sufficient,
    /// A part of that.
    Share(f32),
}

/// What makes a row a candidate by a term of a channel.
struct Floor {
    /// The confidence that it must have.
    confidence: f32,
    /// The cosine that has it without words, by term.
    cosines: Vec<f32>,
}

/// A query prepared to bound the videos of one part.
pub(super) struct Bounds<'a> {
    ask: &'a Ask,
    part: &'a LivePart,
    words: &'a WordMatches,
    steps: &'a [Vec<Steps>],
    /// By channel and term, as the query has them.
    estimators: Vec<Vec<Option<Estimator<'a>>>>,
    /// By channel: the cosine that is enough by itself for the whole question.
    enough: Vec<f32>,
    /// The videos whose timed rows lie apart.
    apart: &'a RowSet,
    blend: Blend,
}

/// Videos with rough bounds, and those of their timed rows, where these lie apart: a video's follow the place that it tells.
#[derive(Default)]
pub(super) struct Rough {
    pub(super) videos: Vec<Bounded>,
    pub(super) rows: Vec<f32>,
}

/// What was read of rows that follow one another, and room for what it says of one video.
#[derive(Default)]
pub(super) struct Room<'a> {
    first_row: u32,
    /// By channel and term: cosines that the rows don't exceed.
    cosines: Vec<Vec<Vec<f32>>>,
    /// By channel and term: how far those that were sharpened are above them.
    reaches: Vec<Vec<Reach>>,
    /// By channel and term: rows that hold words.
    words: Vec<Vec<&'a [(u32, f32)]>>,
    /// Whether a row is above a floor.
    reaching: Vec<bool>,
    /// By channel as the query has them: confidences of the video's rows; and of one term.
    channels: Vec<Vec<f32>>,
    found: Vec<f32>,
    /// What no clause says of the row.
    silent: Vec<f32>,
    /// The channels with a time, blended.
    blended: Vec<f32>,
    is_enough: Vec<bool>,
}

/// The steps of every term, by channel and term.
pub(super) fn steps(ask: &Ask) -> Vec<Vec<Steps>> {
    let of_term = |term: &Term| Steps::new(&term.calibration, term.vector.is_some(), term.words.is_some());
    ask.channels.iter().map(|channel| channel.terms.iter().map(of_term).collect()).collect()
}

impl<'a> Bounds<'a> {
    pub(super) fn new(
        ask: &'a Ask,
        part: &'a LivePart,
        words: &'a WordMatches,
        steps: &'a [Vec<Steps>],
    ) -> Result<Self> {
        let mut estimators = Vec::with_capacity(ask.channels.len());
        for channel in &ask.channels {
            let column = part.part.vectors(channel.channel);
            let of_term = |term: &'a Term| match (&term.vector, column) {
                (Some(query), Some(column)) => column.estimator(query).map(Some),
                _ => Ok(None),
            };
            estimators.push(channel.terms.iter().map(of_term).collect::<Result<_>>()?);
        }
        let enough = |channel: &ChannelAsk| {
            let of_whole = channel.terms.first().map(|whole| whole.calibration);
            of_whole.map_or(f32::INFINITY, |of| of.cosine_floor(channel.calibration.sufficient) + COSINE_ROUNDING)
        };
        let enough = ask.channels.iter().map(enough).collect();
        let apart = part.part.videos_apart()?;
        Ok(Self { ask, part, words, steps, estimators, enough, apart, blend: ask.fuser.blend() })
    }

    /// The same with what these words found.
    pub(super) fn with_words(self, words: &'a WordMatches) -> Self {
        Self { words, ..self }
    }

    /// Runs of videos that are bounded in one go by `rough`.
    pub(super) fn runs(&self) -> Result<Vec<Range<u32>>> {
        let table = self.part.part.table();
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

    /// The videos of a run that are among `wanted`, are candidates and can score, each with a bound; `part` is the number of
    /// this part. If one row tells whether a video is a hit, also whether it is.
    pub(super) fn rough(
        &self,
        part: usize,
        run: Range<u32>,
        wanted: &RowSet,
        bar: Bar,
        one_row_tells: bool,
    ) -> Result<Rough> {
        let mut found = Rough::default();
        self.visit_candidates(run, wanted, bar, |video, rows, room| {
            self.fill(rows.clone(), room);
            let bound = self.of_filled(room, video);
            if bound > 0.0 {
                let is_hit = if one_row_tells { Some(self.has_sufficient(room, rows)?) } else { None };
                let rows_at = self.apart.contains(video).then_some(found.rows.len());
                if rows_at.is_some() {
                    found.rows.extend_from_slice(&room.blended);
                }
                found.videos.push(Bounded { bound, part, video, rows_at, is_close: false, is_hit });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Bounds of some ascending videos whose timed rows lie apart, each with the rough bounds of its rows: of those that reach a
    /// score it is a closer bound of what the video scores. Only rows that may reach it are read.
    pub(super) fn close_above(&self, floor: f32, videos: &[(u32, &[f32])], room: &mut Room<'a>) -> Result<Vec<f32>> {
        let numbers: Vec<u32> = videos.iter().map(|(video, _)| *video).collect();
        let told = self.metadata_of(Closeness::Close, &numbers, room)?;
        let mut reaching = Vec::new();
        for (&(video, bounds), &(_, metadata)) in videos.iter().zip(&told) {
            let rows = self.part.part.table().rows(video)?.zip(bounds);
            let reaches = |bound: f32| self.blend.with_metadata(bound, metadata) * (1.0 + ROUNDING) >= floor;
            reaching.extend(rows.filter(|(_, bound)| reaches(**bound)).map(|(row, _)| (row, video)));
        }
        self.of_named(Closeness::Close, &told, &reaching, room)
    }

    /// The videos of a run that are among `wanted` and are candidates.
    pub(super) fn candidates(&self, run: Range<u32>, wanted: &RowSet, bar: Bar) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        self.visit_candidates(run, wanted, bar, |video, _, _| {
            found.push(video);
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with each candidate and its rows, which the room holds.
    fn visit_candidates(
        &self,
        run: Range<u32>,
        wanted: &RowSet,
        bar: Bar,
        mut visit: impl FnMut(u32, Range<u32>, &mut Room<'a>) -> Result<()>,
    ) -> Result<()> {
        let table = self.part.part.table();
        let mut videos = Vec::new();
        for video in run.filter(|&video| wanted.contains(video)) {
            videos.push((video, table.rows(video)?));
        }
        let (Some((_, first)), Some((_, last))) = (videos.first(), videos.last()) else { return Ok(()) };
        let all = first.start..last.end;
        let wanted_rows: usize = videos.iter().map(|(_, rows)| rows.len()).sum();
        let reads_all = wanted_rows * FEW_WANTED >= all.len();
        let floors = self.floors(bar);
        let mut room = Room::default();
        if reads_all {
            self.read_candidates(all, &floors, &mut room)?;
        }
        for (video, rows) in videos {
            if !reads_all {
                self.read_candidates(rows.clone(), &floors, &mut room)?;
            }
            let within = (rows.start - room.first_row) as usize..(rows.end - room.first_row) as usize;
            if room.reaching.get(within).unwrap_or_default().contains(&true) {
                visit(video, rows, &mut room)?;
            }
        }
        Ok(())
    }

    /// The floors of every channel.
    fn floors(&self, bar: Bar) -> Vec<Floor> {
        let of_channel = |channel: &ChannelAsk| {
            let confidence = channel.required_of_one(match bar {
                Bar::None => 0.0,
                Bar::Confidence(confidence) => confidence,
                Bar::Sufficient => channel.calibration.sufficient,
                Bar::Share(share) => share * channel.calibration.sufficient,
            });
            let cosine = |term: &Term| term.calibration.cosine_floor(confidence);
            Floor { confidence, cosines: channel.terms.iter().map(cosine).collect() }
        };
        self.ask.channels.iter().map(of_channel).collect()
    }

    /// Reads rows roughly, those that may be above a floor more closely, and marks those that still may.
    fn read_candidates(&self, rows: Range<u32>, floors: &[Floor], room: &mut Room<'a>) -> Result<()> {
        self.read(Closeness::Rough, rows.clone(), room)?;
        renew(&mut room.reaching, rows.len(), false);
        room.reaches.resize_with(self.ask.channels.len(), Vec::new);
        for (index, (channel, floor)) in self.ask.channels.iter().zip(floors).enumerate() {
            let least = floor.confidence * (1.0 - ROUNDING);
            renew(&mut room.reaches[index], channel.terms.len(), Reach::Unknown);
            for (at, (term, &least_cosine)) in channel.terms.iter().zip(&floor.cosines).enumerate() {
                let (cosines, steps) = (&mut room.cosines[index][at], &self.steps[index][at]);
                if let Some(estimator) = &self.estimators[index][at] {
                    room.reaches[index][at] = estimator.sharpen(rows.clone(), least_cosine, cosines)?;
                    for (reaching, cosine) in room.reaching.iter_mut().zip(cosines.iter()) {
                        *reaching |= *cosine >= least_cosine && *cosine > f32::NEG_INFINITY;
                    }
                }
                let Some(words) = &term.words else { continue };
                for &(row, score) in room.words[index][at] {
                    let of_row = (row - rows.start) as usize;
                    let (Some(&cosine), Some(reaching)) = (cosines.get(of_row), room.reaching.get_mut(of_row)) else {
                        continue;
                    };
                    *reaching |=
                        steps.confidence(steps.of_cosine(cosine), Steps::of_ratio(words.ratio(score))) >= least;
                }
            }
        }
        Ok(())
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
        renew(&mut room.is_enough, rows.len(), !self.ask.needs_sufficient);
        self.make_room(room);
        for index in (0..self.ask.channels.len()).filter(|&index| self.is_timed(index)) {
            self.read_rows(index, closeness, &rows, room)?;
            self.note_enough(index, room);
        }
        self.blend_rows(rows.len(), room);
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
        let Some(index) = self.untimed() else { return Ok(Vec::new()) };
        let rows: Vec<u32> = named.iter().map(|(row, _)| *row).collect();
        self.make_room(room);
        self.read_rows(index, closeness, &rows, room)?;
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
        let Some(channel) = self.untimed().map(|index| &self.ask.channels[index]) else { return Ok(()) };
        let of_video = self.part.part.table().rows(video)?;
        let first = rows.len();
        if let Some(held) = self.part.part.vectors(channel.channel).map(VectorColumn::rows).transpose()? {
            let positions = held.positions(of_video.clone());
            rows.extend(positions.filter_map(|position| Some((held.row(position)?, video))));
        }
        let with_vectors = rows.len();
        for at in 0..channel.terms.len() {
            let with_words = self.words.within(channel.channel, at, &of_video);
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

    fn is_timed(&self, index: usize) -> bool {
        self.ask.channels.get(index).is_some_and(|channel| channel.channel != Channel::Metadata)
    }

    /// Where the channel is asked that has no time.
    fn untimed(&self) -> Option<usize> {
        (0..self.ask.channels.len()).find(|&index| !self.is_timed(index))
    }

    fn is_metadata_enough(&self, confidence: f32) -> bool {
        self.untimed().is_some_and(|index| self.is_enough(index, confidence))
    }

    /// Bounds what each of some ascending rows, here and there, says on one channel.
    fn read_rows(&self, index: usize, closeness: Closeness, rows: &[u32], room: &mut Room<'a>) -> Result<()> {
        let channel = &self.ask.channels[index];
        let mut cosines = std::mem::take(&mut room.cosines[index]);
        cosines.resize_with(channel.terms.len(), Vec::new);
        let mut words = Vec::with_capacity(channel.terms.len());
        for (at, (cosines, estimator)) in cosines.iter_mut().zip(&self.estimators[index]).enumerate() {
            match estimator {
                Some(estimator) => estimator.most_of(closeness, rows, cosines)?,
                None => renew(cosines, rows.len(), f32::NEG_INFINITY),
            }
            words.push(self.words.of_rows(channel.channel, at, rows));
        }
        self.combine(index, rows.len(), |at| (cosines[at].as_slice(), words[at].iter().copied()), room);
        room.cosines[index] = cosines;
        Ok(())
    }

    /// A closer bound of one video.
    pub(super) fn close(&self, video: u32, room: &mut Room<'a>) -> Result<f32> {
        let rows = self.part.part.table().rows(video)?;
        self.read(Closeness::Close, rows.clone(), room)?;
        self.fill(rows, room);
        Ok(self.of_filled(room, video))
    }

    /// Whether a row of the video, of which the room holds bounds, is enough by itself: where the bounds don't say that one is,
    /// rows that may be are scored until one is, the likeliest of each channel first.
    fn has_sufficient(&self, room: &Room<'a>, rows: Range<u32>) -> Result<bool> {
        if self.is_surely_sufficient(room, &rows) {
            return Ok(true);
        }
        for (index, confidences) in room.channels.iter().enumerate() {
            let bounded = rows.clone().zip(confidences.iter().copied());
            let reaching = bounded.filter(|(_, most)| self.is_enough(index, *most));
            let likeliest = reaching.clone().max_by(|(_, one), (_, other)| one.total_cmp(other));
            let Some((likeliest, _)) = likeliest else { continue };
            let others = reaching.map(|(row, _)| row).filter(|row| *row != likeliest);
            for row in std::iter::once(likeliest).chain(others) {
                let channel = &self.ask.channels[index];
                let confidence = evidence::confidence_of(channel, &self.part.part, &room.words[index], row)?;
                if confidence > 0.0 && confidence >= channel.calibration.sufficient {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the bounds say that a row is enough by itself for the whole question.
    fn is_surely_sufficient(&self, room: &Room<'a>, rows: &Range<u32>) -> bool {
        let within = (rows.start - room.first_row) as usize..(rows.end - room.first_row) as usize;
        let whole = room.cosines.iter().zip(&room.reaches).zip(&self.enough);
        whole.filter_map(|((cosines, reaches), enough)| Some((cosines.first()?, reaches.first()?, *enough))).any(
            |(cosines, reach, enough)| {
                let of_video = cosines.get(within.clone()).unwrap_or_default();
                let most = of_video.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                most >= enough && reach.least(most) >= enough
            },
        )
    }

    /// Reads what the rows hold on every channel.
    fn read(&self, closeness: Closeness, rows: Range<u32>, room: &mut Room<'a>) -> Result<()> {
        (0..self.ask.channels.len()).try_for_each(|index| self.read_channel(index, closeness, rows.clone(), room))
    }

    fn read_channel(&self, index: usize, closeness: Closeness, rows: Range<u32>, room: &mut Room<'a>) -> Result<()> {
        let channel = &self.ask.channels[index];
        room.first_row = rows.start;
        self.make_room(room);
        let (cosines, words) = (&mut room.cosines[index], &mut room.words[index]);
        cosines.resize_with(channel.terms.len(), Vec::new);
        words.clear();
        for (at, (cosines, estimator)) in cosines.iter_mut().zip(&self.estimators[index]).enumerate() {
            match estimator {
                Some(estimator) => estimator.most(closeness, rows.clone(), cosines)?,
                None => renew(cosines, rows.len(), f32::NEG_INFINITY),
            }
            words.push(self.words.within(channel.channel, at, &rows));
        }
        Ok(())
    }

    fn make_room(&self, room: &mut Room<'a>) {
        let channels = self.ask.channels.len();
        room.cosines.resize_with(channels, Vec::new);
        room.words.resize_with(channels, Vec::new);
        room.channels.resize_with(channels, Vec::new);
    }

    /// Bounds what each of the rows, which the room holds, says.
    fn fill(&self, rows: Range<u32>, room: &mut Room<'a>) {
        renew(&mut room.is_enough, rows.len(), !self.ask.needs_sufficient);
        for (index, channel) in self.ask.channels.iter().enumerate() {
            self.fill_channel(index, rows.clone(), room);
            if channel.channel != Channel::Metadata {
                self.note_enough(index, room);
            }
        }
        self.blend_rows(rows.len(), room);
    }

    /// Bounds what each of the rows, which the room holds, says on one channel; nothing at all where none can say anything.
    fn fill_channel(&self, index: usize, rows: Range<u32>, room: &mut Room<'a>) {
        let within = (rows.start - room.first_row) as usize..(rows.end - room.first_row) as usize;
        let cosines = std::mem::take(&mut room.cosines[index]);
        let words = std::mem::take(&mut room.words[index]);
        let told = |at: usize| {
            let of_rows = evidence::within(words[at], &rows).iter();
            let placed = of_rows.map(|&(row, score)| ((row - rows.start) as usize, score));
            (cosines[at].get(within.clone()).unwrap_or_default(), placed)
        };
        self.combine(index, rows.len(), told, room);
        (room.cosines[index], room.words[index]) = (cosines, words);
    }

    /// Bounds what each of so many rows says on one channel, from what is `told` of each term: cosines that the rows don't
    /// exceed, and the places of those that hold words with their scores. Nothing at all where none can say anything.
    fn combine<'b, W: Iterator<Item = (usize, f32)>>(
        &self,
        index: usize,
        count: usize,
        told: impl Fn(usize) -> (&'b [f32], W),
        room: &mut Room<'a>,
    ) {
        let channel = &self.ask.channels[index];
        let confidences = &mut room.channels[index];
        let is_silent =
            |(at, estimator): (usize, &Option<Estimator<'a>>)| estimator.is_none() && told(at).1.next().is_none();
        if self.estimators[index].iter().enumerate().all(is_silent) {
            confidences.clear();
            return;
        }
        renew(confidences, count, 0.0);
        let has_clauses = channel.terms.len() > 1;
        if has_clauses {
            renew(&mut room.silent, count, 1.0);
        }
        for (at, (term, steps)) in channel.terms.iter().zip(&self.steps[index]).enumerate() {
            let (cosines, with_words) = told(at);
            room.found.clear();
            room.found.extend(cosines.iter().map(|&cosine| steps.of_cosine_alone(cosine)));
            if let Some(words) = &term.words {
                for (at, score) in with_words {
                    if let (Some(&cosine), Some(found)) = (cosines.get(at), room.found.get_mut(at)) {
                        *found = steps.confidence(steps.of_cosine(cosine), Steps::of_ratio(words.ratio(score)));
                    }
                }
            }
            if term.clause.is_some() {
                room.silent.iter_mut().zip(&room.found).for_each(|(silent, one)| *silent *= 1.0 - one.min(1.0));
            } else {
                confidences.iter_mut().zip(&room.found).for_each(|(whole, one)| *whole = whole.max(*one));
            }
        }
        if has_clauses {
            for (whole, silent) in confidences.iter_mut().zip(&room.silent) {
                *whole = whole.max((1.0 - silent) * (1.0 + ROUNDING));
            }
        }
    }

    /// Notes which rows say enough on a channel, where it takes something to be enough.
    fn note_enough(&self, index: usize, room: &mut Room<'a>) {
        if self.ask.needs_sufficient {
            for (is_enough, &one) in room.is_enough.iter_mut().zip(&room.channels[index]) {
                *is_enough |= self.is_enough(index, one);
            }
        }
    }

    /// Whether a confidence on a channel makes a moment.
    fn is_enough(&self, index: usize, confidence: f32) -> bool {
        confidence > 0.0 && confidence >= self.ask.channels[index].calibration.sufficient * (1.0 - ROUNDING)
    }

    /// Blends what the rows hold on the channels with a time: `Blend::add` with the fusion chosen outside of the loop, since an
    /// exact answer takes half as long again where each row chooses.
    fn blend_rows(&self, count: usize, room: &mut Room<'a>) {
        renew(&mut room.blended, count, 0.0);
        for (channel, confidences) in self.ask.channels.iter().zip(&room.channels) {
            if channel.channel == Channel::Metadata {
                continue;
            }
            let weight = self.blend.weight(channel.channel);
            match self.blend {
                Blend::Sum { .. } => {
                    room.blended.iter_mut().zip(confidences).for_each(|(sum, one)| *sum += weight * one);
                }
                Blend::NoisyOr { .. } => room.blended.iter_mut().zip(confidences).for_each(|(together, one)| {
                    *together = 1.0 - (1.0 - *together) * (1.0 - weight * one);
                }),
                Blend::Max { .. } => {
                    room.blended.iter_mut().zip(confidences).for_each(|(most, one)| *most = most.max(weight * one));
                }
            }
        }
    }

    /// The bound of the video whose rows were filled.
    fn of_filled(&self, room: &Room<'a>, video: u32) -> f32 {
        let of_channel = |index: usize| room.channels[index].iter().copied().fold(0.0, f32::max);
        let metadata = self.untimed().map_or(0.0, of_channel);
        self.of_rows(room, 0..room.blended.len(), video, metadata)
    }

    /// The bound of a video by some of the rows that the room holds and by what its metadata say.
    fn of_rows(&self, room: &Room<'a>, rows: Range<usize>, video: u32, metadata: f32) -> f32 {
        let is_told = !self.ask.needs_sufficient || self.is_metadata_enough(metadata);
        let is_enough = room.is_enough.get(rows.clone()).unwrap_or_default();
        if !is_told && !is_enough.contains(&true) {
            return 0.0;
        }
        let mut whole = PerChannel::default();
        for (index, channel) in self.ask.channels.iter().enumerate().filter(|(index, _)| self.is_timed(*index)) {
            let confidences = room.channels[index].get(rows.clone()).unwrap_or_default();
            whole[channel.channel.index()] = confidences.iter().copied().fold(0.0, f32::max);
        }
        whole[Channel::Metadata.index()] = metadata;
        let met = self.blend.score(&whole);
        if !self.apart.contains(video) {
            return met * (1.0 + ROUNDING);
        }
        let blended = room.blended.get(rows).unwrap_or_default().iter().zip(is_enough);
        let best = blended.filter(|(_, row)| is_told || **row).map(|(one, _)| *one).fold(0.0, f32::max);
        self.blend.with_metadata(best, metadata).min(met) * (1.0 + ROUNDING)
    }
}

fn renew<T: Clone>(values: &mut Vec<T>, count: usize, value: T) {
    values.clear();
    values.resize(count, value);
}
