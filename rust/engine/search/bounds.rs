//! What the videos of one part can score at most, for a fraction of what scoring them costs.
//!
//! Each row's evidence is bounded by the codes of its vectors and the words that it holds (exactly), and mapped to a
//! confidence by `steps`. Where the timed rows of a video lie apart, what counts together is what one row holds, so the
//! bound is that of its best row; else each channel's best may meet that of every other.

use std::ops::Range;

use super::ask::{Ask, Term};
use super::calibrate::Kinds;
use super::evidence::{self, WordMatches};
use super::fuse::{Blend, PerChannel};
use super::steps::{Step, Steps};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::vector::{Closeness, Estimator};

/// Rows that are bounded in one go: what is known of them stays in the cache.
const ROWS_TOGETHER: u32 = 4096;
/// Rows so near each other are scored with what lies between them.
const NEAR_ROWS: u32 = 4;
/// Covers the rounding of sums in f32.
const ROUNDING: f32 = 1e-5;

/// A query prepared to bound the videos of one part.
pub(super) struct Bounds<'a> {
    ask: &'a Ask,
    part: &'a LivePart,
    words: &'a WordMatches,
    steps: &'a [Vec<Steps>],
    /// By channel and term, as the query has them.
    estimators: Vec<Vec<Option<Estimator<'a>>>>,
    /// The videos whose timed rows lie apart.
    apart: &'a RowSet,
    blend: Blend,
}

/// Room for what is known of some rows that follow one another.
#[derive(Default)]
pub(super) struct Room {
    /// Of one term: where the cosines lie, and the confidences.
    cosines: Vec<Step>,
    found: Vec<f32>,
    /// By channel as the query has them: confidences.
    channels: Vec<Vec<f32>>,
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
        Ok(Self { ask, part, words, steps, estimators, apart: part.part.videos_apart()?, blend: ask.fuser.blend() })
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

    /// The videos of a run that are among `wanted` and can score, each with a bound.
    pub(super) fn rough(&self, run: Range<u32>, wanted: &RowSet) -> Result<Vec<(u32, f32)>> {
        if !wanted.any_within(run.clone()) {
            return Ok(Vec::new());
        }
        let table = self.part.part.table();
        let Some(last) = run.end.checked_sub(1) else { return Ok(Vec::new()) };
        let rows = table.rows(run.start)?.start..table.rows(last)?.end;
        let mut room = Room::default();
        self.fill(Closeness::Rough, rows.clone(), &mut room)?;
        let mut bounds = Vec::new();
        for video in run.filter(|&video| wanted.contains(video)) {
            let of_video = table.rows(video)?;
            let bound = self.of_rows(&room, video, of_video.start - rows.start..of_video.end - rows.start);
            if bound > 0.0 {
                bounds.push((video, bound));
            }
        }
        Ok(bounds)
    }

    /// What the `named` rows with a time say at most together with the video's metadata, if its timed rows lie apart; with
    /// none named, what others could that stay within `rest`.
    pub(super) fn of_named(
        &self,
        video: u32,
        named: &[u32],
        rest: &PerChannel,
        room: &mut Room,
    ) -> Result<Option<f32>> {
        if !self.apart.contains(video) {
            return Ok(None);
        }
        let rows = self.part.part.table().rows(video)?;
        let (mut metadata, mut is_told) = (0.0, !self.ask.needs_sufficient);
        let timed = |index: &usize| {
            let channel = self.ask.channels.get(*index);
            channel.is_some_and(|channel| channel.channel != Channel::Metadata)
        };
        let indices = 0..self.ask.channels.len();
        for index in indices.clone().filter(|index| !timed(index)) {
            self.fill_channel(index, Closeness::Close, rows.clone(), room)?;
            metadata = room.channels[index].iter().copied().fold(metadata, f32::max);
            is_told |= self.is_enough(index, metadata);
        }
        let mut best = 0.0_f32;
        for &row in named {
            let (mut blended, mut is_enough) = (0.0, is_told);
            for index in indices.clone().filter(timed) {
                self.fill_channel(index, Closeness::Close, row..row + 1, room)?;
                let confidence = room.channels[index].first().copied().unwrap_or_default();
                blended = self.blend.add(blended, self.ask.channels[index].channel, confidence);
                is_enough |= self.is_enough(index, confidence);
            }
            if is_enough {
                best = best.max(self.blend.with_metadata(blended, metadata));
            }
        }
        if named.is_empty() {
            let confidence = |index: usize| rest[self.ask.channels[index].channel.index()];
            if is_told || indices.clone().filter(timed).any(|index| self.is_enough(index, confidence(index))) {
                let mut confidences = *rest;
                confidences[Channel::Metadata.index()] = metadata;
                best = self.blend.score(&confidences);
            }
        }
        Ok(Some(best * (1.0 + ROUNDING)))
    }

    /// A closer bound of one video.
    pub(super) fn close(&self, video: u32, room: &mut Room) -> Result<f32> {
        let rows = self.part.part.table().rows(video)?;
        let count = rows.end - rows.start;
        self.fill(Closeness::Close, rows, room)?;
        Ok(self.of_rows(room, video, 0..count))
    }

    /// Whether a row of the video is enough by itself, by what a single cosine or word score doesn't tell (`candidates`
    /// has it). Rows that may be are scored until one is.
    pub(super) fn is_sufficient(&self, video: u32, room: &mut Room) -> Result<bool> {
        let rows = self.part.part.table().rows(video)?;
        for (index, channel) in self.ask.channels.iter().enumerate() {
            if let [term] = channel.terms.as_slice()
                && term.kinds() == Kinds::One
            {
                continue;
            }
            self.fill_channel(index, Closeness::Close, rows.clone(), room)?;
            let reaching = rows.clone().zip(&room.channels[index]).filter(|(_, most)| self.is_enough(index, **most));
            let reaching: Vec<u32> = reaching.map(|(row, _)| row).collect();
            for run in reaching.chunk_by(|one, next| next - one <= NEAR_ROWS) {
                let (Some(&first), Some(&last)) = (run.first(), run.last()) else { continue };
                let found = evidence::of_rows(self.ask, channel, &self.part.part, self.words, &(first..last + 1))?;
                if found.iter().any(|one| one.is_sufficient) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Bounds what each of the rows says.
    fn fill(&self, closeness: Closeness, rows: Range<u32>, room: &mut Room) -> Result<()> {
        renew(&mut room.is_enough, rows.len(), !self.ask.needs_sufficient);
        for (index, channel) in self.ask.channels.iter().enumerate() {
            self.fill_channel(index, closeness, rows.clone(), room)?;
            if channel.channel != Channel::Metadata {
                for (is_enough, &one) in room.is_enough.iter_mut().zip(&room.channels[index]) {
                    *is_enough |= self.is_enough(index, one);
                }
            }
        }
        self.blend_rows(rows.len(), room);
        Ok(())
    }

    /// Bounds what each of the rows says on one channel.
    fn fill_channel(&self, index: usize, closeness: Closeness, rows: Range<u32>, room: &mut Room) -> Result<()> {
        let (count, channel) = (rows.len(), &self.ask.channels[index]);
        room.channels.resize_with(self.ask.channels.len(), Vec::new);
        let mut confidences = std::mem::take(&mut room.channels[index]);
        renew(&mut confidences, count, 0.0);
        let has_clauses = channel.terms.len() > 1;
        if has_clauses {
            renew(&mut room.silent, count, 1.0);
        }
        let terms = channel.terms.iter().zip(&self.estimators[index]).zip(&self.steps[index]);
        for (at, ((term, estimator), steps)) in terms.enumerate() {
            renew(&mut room.cosines, count, 0);
            renew(&mut room.found, count, 0.0);
            if let Some(estimator) = estimator {
                estimator.most(closeness, rows.clone(), |row, most| {
                    let (at, step) = ((row - rows.start) as usize, Steps::of_cosine(most));
                    if let (Some(known), Some(found)) = (room.cosines.get_mut(at), room.found.get_mut(at)) {
                        (*known, *found) = (step, steps.of_cosine_alone(step));
                    }
                })?;
            }
            if let Some(words) = &term.words {
                for &(row, score) in self.words.within(channel.channel, at, &rows) {
                    let at = (row - rows.start) as usize;
                    if let (Some(cosine), Some(found)) = (room.cosines.get(at), room.found.get_mut(at)) {
                        *found = steps.confidence(*cosine, Steps::of_ratio(words.ratio(score)));
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
        room.channels[index] = confidences;
        Ok(())
    }

    /// Whether a confidence on a channel makes a moment.
    fn is_enough(&self, index: usize, confidence: f32) -> bool {
        confidence > 0.0 && confidence >= self.ask.channels[index].calibration.sufficient * (1.0 - ROUNDING)
    }

    /// Blends what the rows hold on the channels with a time: `Blend::add` with the fusion chosen outside of the loop, since an
    /// exact answer takes half as long again where each row chooses.
    fn blend_rows(&self, count: usize, room: &mut Room) {
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

    /// The bound of a video whose rows are `rows` of those in the room.
    fn of_rows(&self, room: &Room, video: u32, rows: Range<u32>) -> f32 {
        let rows = rows.start as usize..rows.end as usize;
        let most = |values: &[f32]| values.get(rows.clone()).unwrap_or_default().iter().copied().fold(0.0, f32::max);
        let mut whole = PerChannel::default();
        let mut is_enough = !self.ask.needs_sufficient;
        for (index, (channel, confidences)) in self.ask.channels.iter().zip(&room.channels).enumerate() {
            let slot = &mut whole[channel.channel.index()];
            *slot = most(confidences);
            is_enough |= channel.channel == Channel::Metadata && self.is_enough(index, *slot);
        }
        let any_enough = room.is_enough.get(rows.clone()).unwrap_or_default();
        if !is_enough && !any_enough.contains(&true) {
            return 0.0;
        }
        let met = self.blend.score(&whole);
        if !self.apart.contains(video) {
            return met * (1.0 + ROUNDING);
        }
        let blended = room.blended.get(rows.clone()).unwrap_or_default().iter().zip(any_enough);
        let best = blended.filter(|(_, row)| is_enough || **row).map(|(one, _)| *one).fold(0.0, f32::max);
        self.blend.with_metadata(best, whole[Channel::Metadata.index()]).min(met) * (1.0 + ROUNDING)
    }
}

fn renew<T: Clone>(values: &mut Vec<T>, count: usize, value: T) {
    values.clear();
    values.resize(count, value);
}
