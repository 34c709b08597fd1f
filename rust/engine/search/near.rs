//! Approximate answers: the best rows of each channel, and of their videos no more than the page needs.
//!
//! Each channel names its best rows, by vectors of all parts together. A row that was named is compared on all channels;
//! where the timed rows of a video lie apart, the best of those that were named is taken for its best, else all of its
//! rows are bounded. By that videos are scored, as for an exact answer (`rank`), until the page is full. So scores are
//! exact, and what may be missing is a video of which no channel named the row that speaks for it.

use super::ask::{Ask, ChannelAsk, Term};
use super::bounds::{self, Bounds, Room};
use super::calibrate::combine_clauses;
use super::execute::{Run, Scored};
use super::fuse::PerChannel;
use super::hit::{Plan, Way};
use super::page::Position;
use super::rank::Bounded;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::vector::{Asked, GraphMemory, Near as Nearest, Path, QueryVector, approximate_top_k};

/// Videos whose named rows are compared by one task.
const VIDEOS_A_PIECE: usize = 64;

/// Hits in order, at least those up to the end of the page; the videos that were named and may be hits; the way taken.
pub(super) struct Near {
    pub(super) hits: Vec<Scored>,
    pub(super) named: Vec<RowSet>,
    pub(super) plan: Plan,
}

/// The rows of all parts that the vector of a term is closest to.
struct Closest {
    /// By part, where it has vectors: which rows, best first, and how they were found.
    parts: Vec<Option<(Vec<u32>, Path)>>,
    /// What no other row exceeds.
    rest: Option<f32>,
}

/// What the channels name in one part.
struct Probed {
    videos: RowSet,
    /// Rows with a time, and their videos; ascending.
    rows: Vec<(u32, u32)>,
    /// What no other row exceeds, by term.
    rest: Vec<Most>,
    plan: Plan,
}

/// Raw scores that no row exceeds, for one term of a channel; none where there is no such evidence.
#[derive(Clone, Copy, Default)]
struct Most {
    cosine: Option<f32>,
    lexical: Option<f32>,
}

impl Run<'_> {
    pub(super) fn rank_near(&self, effort: usize, position: Option<&Position>, limit: usize) -> Result<Near> {
        let vectors: Vec<(Channel, &QueryVector)> = self.ask.channels.iter().flat_map(vectors_of).collect();
        let closest = self.spread.map(&vectors, 1, |_, &(channel, query)| self.closest(channel, query, effort))?;
        let probed =
            self.spread.map(&self.snapshot.parts, 1, |index, part| self.probe_near(index, part, effort, &closest))?;
        let mut plan = Plan::new();
        for (channel, way) in probed.iter().flat_map(|probed| &probed.plan) {
            let known = plan.entry(*channel).or_insert(*way);
            *known = (*way).max(*known);
        }
        let steps = bounds::steps(&self.ask);
        let bounds = self.bounds(&steps)?;
        let mut pieces = Vec::new();
        for (part, (probed, bounds)) in probed.iter().zip(&bounds).enumerate() {
            let videos: Vec<u32> = probed.videos.iter().collect();
            pieces.extend(videos.chunks(VIDEOS_A_PIECE).map(|videos| (part, probed, bounds, videos.to_vec())));
        }
        let order = self.spread.map(&pieces, 1, |_, (part, probed, bounds, videos)| {
            bound_named(&self.ask, *part, probed, bounds, videos)
        })?;
        let (hits, missed) = self.best_first(order.concat(), &bounds, position, limit)?;
        let mut named: Vec<RowSet> = probed.into_iter().map(|probed| probed.videos).collect();
        for one in missed {
            named.get_mut(one.part).into_iter().for_each(|videos| videos.remove(one.video));
        }
        Ok(Near { hits, named, plan })
    }

    /// The rows that a vector is closest to on a channel.
    fn closest(&self, channel: Channel, query: &QueryVector, effort: usize) -> Result<Closest> {
        let live = self.snapshot.parts.iter().zip(&self.ask.allowed).enumerate();
        let (places, asked): (Vec<usize>, Vec<Asked<'_>>) = live
            .filter_map(|(index, (part, allowed))| {
                let column = part.part.vectors(channel)?;
                Some((index, Asked { column, allowed: Some(&allowed.rows) }))
            })
            .unzip();
        let Nearest { best, work } = approximate_top_k(&asked, query, effort, effort, GraphMemory::of_process())?;
        let rest = best.get(effort.saturating_sub(1)).map(|&(.., cosine)| cosine);
        let mut parts = vec![None; self.snapshot.parts.len()];
        for (at, (&place, work)) in places.iter().zip(work).enumerate() {
            let rows = best.iter().filter(|(of, ..)| *of == at).map(|&(_, row, _)| row).collect();
            if let Some(part) = parts.get_mut(place) {
                *part = Some((rows, work.path));
            }
        }
        Ok(Closest { parts, rest })
    }

    fn probe_near(&self, index: usize, part: &LivePart, effort: usize, closest: &[Closest]) -> Result<Probed> {
        let table = part.part.table();
        let videos = RowSet::empty(table.video_count());
        let mut probed = Probed { videos, rows: Vec::new(), rest: Vec::new(), plan: Plan::new() };
        let (Some(allowed), Some(words)) = (self.ask.allowed.get(index), self.words.get(index)) else {
            return Ok(probed);
        };
        let is_filtered = allowed.videos != *part.videos;
        let mut closest = closest.iter();
        for channel in &self.ask.channels {
            let mut way = Way::Exact;
            let mut take = |row: u32| -> Result<()> {
                let video = table.video_of(row)?;
                probed.videos.insert(video);
                if channel.channel != Channel::Metadata {
                    probed.rows.push((row, video));
                }
                Ok(())
            };
            for (at, term) in channel.terms.iter().enumerate() {
                let mut rest = Most::default();
                if let Some(closest) = term.vector.as_ref().and_then(|_| closest.next())
                    && let Some(Some((rows, path))) = closest.parts.get(index)
                {
                    way = way.max(match path {
                        Path::Exact | Path::Allowed => Way::Exact,
                        Path::Codes => Way::Codes,
                        Path::Graph if is_filtered => Way::FilteredWalk,
                        Path::Graph => Way::Approximate,
                    });
                    rest.cosine = closest.rest;
                    rows.iter().try_for_each(|&row| take(row))?;
                }
                if let Some(all) = words.on(channel.channel).get(at) {
                    let best = best_of(all, effort);
                    rest.lexical = best.get(effort.saturating_sub(1)).map(|(_, score)| *score);
                    best.into_iter().try_for_each(|(row, _)| take(row))?;
                }
                probed.rest.push(rest);
            }
            probed.plan.insert(channel.channel, way);
        }
        probed.rows.sort_unstable();
        probed.rows.dedup();
        Ok(probed)
    }
}

/// The vectors that a channel is asked, in the order of its terms.
fn vectors_of(channel: &ChannelAsk) -> impl Iterator<Item = (Channel, &QueryVector)> {
    channel.terms.iter().filter_map(|term| Some((channel.channel, term.vector.as_ref()?)))
}

/// The videos with what the rows say that were named of them.
fn bound_named(ask: &Ask, part: usize, probed: &Probed, bounds: &Bounds<'_>, videos: &[u32]) -> Result<Vec<Bounded>> {
    let rest = confidences(ask, &probed.rest);
    let (mut room, mut rows) = (Room::default(), Vec::new());
    let of_video = |&video: &u32| {
        let start = probed.rows.partition_point(|(_, of)| *of < video);
        rows.clear();
        rows.extend(probed.rows.iter().skip(start).take_while(|(_, of)| *of == video).map(|(row, _)| *row));
        let named = bounds.of_named(video, &rows, &rest, &mut room)?;
        let is_close = named.is_some() && !rows.is_empty();
        Ok(Bounded { bound: named.unwrap_or(f32::INFINITY), part, video, is_close, is_hit: None })
    };
    videos.iter().map(of_video).collect()
}

/// The confidences that no row exceeds whose raw scores stay within `most`, term by term.
fn confidences(ask: &Ask, most: &[Most]) -> PerChannel {
    let mut confidences = PerChannel::default();
    let mut rest = most.iter();
    for channel in &ask.channels {
        let confidence = |(term, most): (&Term, &Most)| {
            let ratio = most.lexical.and_then(|score| term.words.as_ref().map(|words| words.ratio(score)));
            term.calibration.confidence(most.cosine, ratio)
        };
        let mut whole = 0.0_f32;
        let mut clauses = Vec::new();
        for (term, most) in channel.terms.iter().zip(rest.by_ref()) {
            match term.clause {
                None => whole = whole.max(confidence((term, most))),
                Some(_) => clauses.push(confidence((term, most))),
            }
        }
        confidences[channel.channel.index()] = combine_clauses(whole, clauses);
    }
    confidences
}

/// The `count` rows with the best scores, best first, of equal ones the first. `found` ascends by row.
fn best_of(found: &[(u32, f32)], count: usize) -> Vec<(u32, f32)> {
    let by_score = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count.min(found.len()).saturating_mul(2));
    let mut bar = f32::NEG_INFINITY;
    for &(row, score) in found {
        if score > bar {
            best.push((row, score));
            if best.len() >= count.saturating_mul(2).max(64) {
                bar = best.select_nth_unstable_by(count.saturating_sub(1), by_score).1.1;
                best.truncate(count);
            }
        }
    }
    best.sort_unstable_by(by_score);
    best.truncate(count);
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_of_sorting_everything(scores in prop::collection::vec(0_u8..20, 0..300), count in 1_usize..90) {
            let found: Vec<(u32, f32)> = (0..).zip(scores).map(|(row, score)| (row, f32::from(score))).collect();
            let mut sorted = found.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(count);
            prop_assert_eq!(best_of(&found, count), sorted);
        }
    }
}
