//! Which videos of a part are candidates: those of which a row may be above the bar on some channel.

use std::ops::Range;

use super::bounds::{Bounded, Bounds, Rough};
use super::reader::{ROUNDING, Room, renew};
use super::steps::Steps;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::search::ask::{Ask, ChannelAsk, Term};
use crate::search::evidence;
use crate::vector::{Closeness, Reach};

/// Where fewer than one in so many of a run's rows are wanted, each video is read by itself.
const FEW_WANTED: usize = 8;

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
pub(super) struct Floor {
    /// The confidence that it must have.
    confidence: f32,
    /// The cosine that has it without words, by term.
    cosines: Vec<f32>,
}

/// The floors of every channel.
pub(super) fn floors(ask: &Ask, bar: Bar) -> Vec<Floor> {
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
    ask.channels.iter().map(of_channel).collect()
}

impl<'a> Bounds<'a> {
    /// The videos of a run that are among `wanted`, are candidates and can score, each with a bound; `part` is the number of
    /// this part. If one row tells whether a video is a hit, also whether it is.
    pub(super) fn rough(
        &self,
        part: usize,
        run: Range<u32>,
        wanted: &RowSet,
        floors: &[Floor],
        one_row_tells: bool,
        room: &mut Room<'a>,
    ) -> Result<Rough> {
        let mut found = Rough::default();
        self.visit_candidates(run, wanted, floors, room, |video, rows, closeness, room| {
            self.reader.fill(rows.clone(), room);
            let bound = self.of_filled(room, video);
            if bound > 0.0 {
                let is_close = closeness == Closeness::Close;
                let is_hit = if one_row_tells { Some(self.has_sufficient(room, rows)?) } else { None };
                let rows_at = (!is_close && self.apart.contains(video)).then_some(found.rows.len());
                if rows_at.is_some() {
                    found.rows.extend_from_slice(&room.blended);
                }
                found.videos.push(Bounded { bound, part, video, rows_at, is_close, is_hit });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The videos of a run that are among `wanted` and are candidates.
    pub(super) fn candidates(
        &self,
        run: Range<u32>,
        wanted: &RowSet,
        floors: &[Floor],
        room: &mut Room<'a>,
    ) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        self.visit_candidates(run, wanted, floors, room, |video, _, _, _| {
            found.push(video);
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with each candidate and its rows, which the room holds, and how closely they were read.
    fn visit_candidates(
        &self,
        run: Range<u32>,
        wanted: &RowSet,
        floors: &[Floor],
        room: &mut Room<'a>,
        mut visit: impl FnMut(u32, Range<u32>, Closeness, &mut Room<'a>) -> Result<()>,
    ) -> Result<()> {
        let table = self.reader.part.part.table();
        let mut videos = Vec::new();
        for video in run.filter(|&video| wanted.contains(video)) {
            videos.push((video, table.rows(video)?));
        }
        let (Some((_, first)), Some((_, last))) = (videos.first(), videos.last()) else { return Ok(()) };
        let all = first.start..last.end;
        let wanted_rows: usize = videos.iter().map(|(_, rows)| rows.len()).sum();
        let reads_all = wanted_rows * FEW_WANTED >= all.len();
        // One video takes as long closely as roughly, and need not be read a second time.
        let closeness = if !reads_all && self.reader.has_close_codes() { Closeness::Close } else { Closeness::Rough };
        if reads_all {
            self.read_candidates(closeness, all, floors, room)?;
        }
        for (video, rows) in videos {
            if !reads_all {
                self.read_candidates(closeness, rows.clone(), floors, room)?;
            }
            let within = (rows.start - room.first_row) as usize..(rows.end - room.first_row) as usize;
            if room.reaching.get(within).unwrap_or_default().contains(&true) {
                visit(video, rows, closeness, room)?;
            }
        }
        Ok(())
    }

    /// Reads rows, those that may be above a floor by rough bounds more closely, and marks those that still may.
    fn read_candidates(
        &self,
        closeness: Closeness,
        rows: Range<u32>,
        floors: &[Floor],
        room: &mut Room<'a>,
    ) -> Result<()> {
        self.reader.read(closeness, rows.clone(), room)?;
        renew(&mut room.reaching, rows.len(), false);
        room.reaches.resize_with(self.reader.ask.channels.len(), Vec::new);
        for (index, (channel, floor)) in self.reader.ask.channels.iter().zip(floors).enumerate() {
            let least = floor.confidence * (1.0 - ROUNDING);
            renew(&mut room.reaches[index], channel.terms.len(), Reach::Unknown);
            for (at, (term, &least_cosine)) in channel.terms.iter().zip(&floor.cosines).enumerate() {
                let (cosines, steps) = (&mut room.cosines[index][at], &self.reader.steps[index][at]);
                if let Some(estimator) = &self.reader.estimators[index][at] {
                    room.reaches[index][at] = match closeness {
                        Closeness::Rough => estimator.sharpen(rows.clone(), least_cosine, cosines)?,
                        Closeness::Close | Closeness::Likely => estimator.reach(closeness),
                    };
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

    /// Whether a row of the video, of which the room holds bounds, is enough by itself: where the bounds don't say that one is,
    /// rows that may be are scored until one is, the likeliest of each channel first.
    fn has_sufficient(&self, room: &Room<'a>, rows: Range<u32>) -> Result<bool> {
        if self.is_surely_sufficient(room, &rows) {
            return Ok(true);
        }
        for (index, confidences) in room.channels.iter().enumerate() {
            let bounded = rows.clone().zip(confidences.iter().copied());
            let reaching = bounded.filter(|(_, most)| self.reader.is_enough(index, *most));
            let likeliest = reaching.clone().max_by(|(_, one), (_, other)| one.total_cmp(other));
            let Some((likeliest, _)) = likeliest else { continue };
            let others = reaching.map(|(row, _)| row).filter(|row| *row != likeliest);
            for row in std::iter::once(likeliest).chain(others) {
                let channel = &self.reader.ask.channels[index];
                let confidence = evidence::confidence_of(channel, &self.reader.part.part, &room.words[index], row)?;
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
}
