//! Reads what rows say to a question, as far as codes and words tell: no confidence that comes out is too low.
//!
//! Each row's evidence is bounded by the codes of its vectors and the words that it holds (exactly), and mapped to a
//! confidence by `steps`.

use std::ops::Range;

use super::steps::Steps;
use crate::catalog::channel::Channel;
use crate::error::Result;
use crate::part::LivePart;
use crate::search::ask::{Ask, Term};
use crate::search::evidence::{self, WordMatches};
use crate::search::fuse::Blend;
use crate::vector::{Closeness, Estimator, Reach};

/// Covers the rounding of sums in f32.
pub(super) const ROUNDING: f32 = 1e-5;

/// What a question asks of the rows of one part.
pub(super) struct Reader<'a> {
    pub(super) ask: &'a Ask,
    pub(super) part: &'a LivePart,
    pub(super) words: &'a WordMatches,
    pub(super) steps: &'a [Vec<Steps>],
    /// By channel and term, as the query has them.
    pub(super) estimators: Vec<Vec<Option<Estimator<'a>>>>,
    pub(super) blend: Blend,
}

/// What was read of rows that follow one another, and room for what it says of one video.
#[derive(Default)]
pub(super) struct Room<'a> {
    pub(super) first_row: u32,
    /// By channel and term: cosines that the rows don't exceed.
    pub(super) cosines: Vec<Vec<Vec<f32>>>,
    /// By channel and term: how far those that were sharpened are above them.
    pub(super) reaches: Vec<Vec<Reach>>,
    /// By channel and term: rows that hold words.
    pub(super) words: Vec<Vec<&'a [(u32, f32)]>>,
    /// By row: whether it may be above a floor on some channel.
    pub(super) reaching: Vec<bool>,
    /// By channel, in the query's order: confidences that the video's rows don't exceed.
    pub(super) channels: Vec<Vec<f32>>,
    /// The same of one term of a channel, while that is read.
    pub(super) found: Vec<f32>,
    /// By row: what the clauses of a channel say together.
    pub(super) clauses: Vec<f32>,
    /// By row: what the channels with a time score together, before metadata are added.
    pub(super) blended: Vec<f32>,
    /// By row: whether it may be enough by itself for a hit, on some channel with a time.
    pub(super) is_enough: Vec<bool>,
}

/// The steps of every term, by channel and term.
pub(super) fn steps(ask: &Ask) -> Vec<Vec<Steps>> {
    let of_term = |term: &Term| Steps::new(&term.calibration, term.vector.is_some(), term.words.is_some());
    ask.channels.iter().map(|channel| channel.terms.iter().map(of_term).collect()).collect()
}

impl<'a> Reader<'a> {
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
        Ok(Self { ask, part, words, steps, estimators, blend: ask.fuser.blend() })
    }

    /// The same with what these words found.
    pub(super) fn with_words(self, words: &'a WordMatches) -> Self {
        Self { words, ..self }
    }

    /// Whether closer codes of all rows with a time are in memory.
    pub(super) fn has_close_codes(&self) -> bool {
        let timed = self.estimators.iter().enumerate().filter(|(index, _)| self.is_timed(*index));
        timed.flat_map(|(_, of_channel)| of_channel.iter().flatten()).all(Estimator::has_close_codes)
    }

    pub(super) fn is_timed(&self, index: usize) -> bool {
        self.ask.channels.get(index).is_some_and(|channel| channel.channel != Channel::Metadata)
    }

    /// The place in the query of the channel without a time, metadata, if that is asked.
    pub(super) fn untimed(&self) -> Option<usize> {
        (0..self.ask.channels.len()).find(|&index| !self.is_timed(index))
    }

    pub(super) fn is_metadata_enough(&self, confidence: f32) -> bool {
        self.untimed().is_some_and(|index| self.is_enough(index, confidence))
    }

    /// Bounds what each of some ascending rows, here and there, says on one channel.
    pub(super) fn read_rows(
        &self,
        index: usize,
        closeness: Closeness,
        rows: &[u32],
        room: &mut Room<'a>,
    ) -> Result<()> {
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

    /// Reads what the rows hold on every channel.
    pub(super) fn read(&self, closeness: Closeness, rows: Range<u32>, room: &mut Room<'a>) -> Result<()> {
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

    pub(super) fn make_room(&self, room: &mut Room<'a>) {
        let channels = self.ask.channels.len();
        room.cosines.resize_with(channels, Vec::new);
        room.words.resize_with(channels, Vec::new);
        room.channels.resize_with(channels, Vec::new);
    }

    /// Bounds what each of the rows, which the room holds, says.
    pub(super) fn fill(&self, rows: Range<u32>, room: &mut Room<'a>) {
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
            renew(&mut room.clauses, count, 0.0);
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
                room.clauses.iter_mut().zip(&room.found).for_each(|(any, one)| *any += one.min(1.0) * (1.0 - *any));
            } else {
                confidences.iter_mut().zip(&room.found).for_each(|(whole, one)| *whole = whole.max(*one));
            }
        }
        if has_clauses {
            for (whole, any) in confidences.iter_mut().zip(&room.clauses) {
                *whole = whole.max(any * (1.0 + ROUNDING));
            }
        }
    }

    /// Notes which rows say enough on a channel, where it takes something to be enough.
    pub(super) fn note_enough(&self, index: usize, room: &mut Room<'a>) {
        if self.ask.needs_sufficient {
            for (is_enough, &one) in room.is_enough.iter_mut().zip(&room.channels[index]) {
                *is_enough |= self.is_enough(index, one);
            }
        }
    }

    /// Whether a confidence on a channel makes a moment.
    pub(super) fn is_enough(&self, index: usize, confidence: f32) -> bool {
        confidence > 0.0 && confidence >= self.ask.channels[index].calibration.sufficient * (1.0 - ROUNDING)
    }

    /// Blends what the rows hold on the channels with a time: `Blend::add` with the fusion chosen outside of the loop, since an
    /// exact answer takes half as long again where each row chooses.
    pub(super) fn blend_rows(&self, count: usize, room: &mut Room<'a>) {
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
                    *together += weight * one * (1.0 - *together);
                }),
                Blend::Max { .. } => {
                    room.blended.iter_mut().zip(confidences).for_each(|(most, one)| *most = most.max(weight * one));
                }
            }
        }
    }
}

pub(super) fn renew<T: Clone>(values: &mut Vec<T>, count: usize, value: T) {
    values.clear();
    values.resize(count, value);
}
