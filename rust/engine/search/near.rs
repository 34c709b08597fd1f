//! Approximate answers: the best rows of each channel, and of their videos no more than the page needs.
//!
//! Each channel names the videos of its best rows. What such a video can score at most follows: on a channel that named
//! it, from the best of its rows there; on any other, from the last row that the channel named. What its own words and
//! the codes of its own rows say bounds it closer. Videos are completed and scored in the order of that bound, until the
//! page is full and no video left can enter it. So scores are exact, and the page is that of all named videos, but where
//! a code errs by more than four standard errors; what may be missing is a video that no channel named.

use super::ask::{Ask, Term};
use super::calibrate::combine_clauses;
use super::execute::{Run, Scored};
use super::fuse::PerChannel;
use super::hit::{Plan, Way};
use super::page::{Position, compare_hits, cut_page};
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::vector::{Estimator, Path};

/// Videos that are scored before looking again whether the page is full.
const SCORED_TOGETHER: usize = 16;

/// Hits in order, at least those up to the end of the page; the videos that were named and may be hits; the way taken.
pub(super) struct Near {
    pub(super) hits: Vec<Scored>,
    pub(super) named: Vec<RowSet>,
    pub(super) plan: Plan,
}

/// Raw scores that no row of a video exceeds, for one term of a channel; none where there is no such evidence.
#[derive(Clone, Copy, Default)]
struct Most {
    cosine: Option<f32>,
    lexical: Option<f32>,
}

/// A video with the score that it can't exceed, and the raw scores from which that follows, term by term.
struct Named {
    part: usize,
    video: u32,
    bound: f32,
    most: Vec<Most>,
}

/// What the channels name in one part.
struct Probed {
    named: Vec<Named>,
    plan: Plan,
}

/// What compares the rows of one part with each term's vector, where it has one.
type Estimators<'a> = Vec<Option<Estimator<'a>>>;

impl Run<'_> {
    pub(super) fn rank_near(&self, effort: usize, position: Option<&Position>, limit: usize) -> Result<Near> {
        let probed = self.spread.map(&self.snapshot.parts, 1, |index, part| self.probe_near(index, part, effort))?;
        let mut plan = Plan::new();
        let mut order = Vec::new();
        let mut named = self.no_videos();
        for (probed, videos) in probed.into_iter().zip(&mut named) {
            for (channel, way) in probed.plan {
                let known = plan.entry(channel).or_insert(way);
                *known = way.max(*known);
            }
            for one in probed.named {
                videos.insert(one.video);
                order.push(one);
            }
        }
        if order.len() > limit.saturating_add(SCORED_TOGETHER) {
            let parts = self.snapshot.parts.iter();
            let estimators: Vec<Estimators<'_>> = parts.map(|part| self.estimators(part)).collect::<Result<_>>()?;
            let bounds = self.spread.map(&order, 16, |_, one| self.bound_closer(one, &estimators))?;
            order.iter_mut().zip(bounds).for_each(|(one, bound)| one.bound = bound);
        }
        order.sort_unstable_by(|a, b| b.bound.total_cmp(&a.bound).then((a.part, a.video).cmp(&(b.part, b.video))));
        let mut hits: Vec<Scored> = Vec::new();
        for together in order.chunks(SCORED_TOGETHER) {
            let is_full = |floor: f32| together.first().is_some_and(|next| next.bound < floor);
            if page_floor(&hits, position, limit).is_some_and(is_full) {
                break;
            }
            let scored =
                self.spread.map(together, 2, |_, one| self.score(one.part, one.video, self.ask.min_score, true))?;
            for (one, scored) in together.iter().zip(scored) {
                match scored {
                    Some(hit) => hits.push(hit),
                    None => named.get_mut(one.part).into_iter().for_each(|videos| videos.remove(one.video)),
                }
            }
            hits.sort_unstable_by(|a, b| compare_hits((a.score, &a.id), (b.score, &b.id)));
        }
        Ok(Near { hits, named, plan })
    }

    fn probe_near(&self, index: usize, part: &LivePart, effort: usize) -> Result<Probed> {
        let mut probed = Probed { named: Vec::new(), plan: Plan::new() };
        let (Some(allowed), Some(words)) = (self.ask.allowed.get(index), self.words.get(index)) else {
            return Ok(probed);
        };
        let table = part.part.table();
        let is_filtered = allowed.videos != *part.videos;
        let mut least: Vec<Most> = Vec::new();
        let mut found: Vec<(u32, usize, Most)> = Vec::new();
        for channel in &self.ask.channels {
            let mut way = Way::Exact;
            for (at, term) in channel.terms.iter().enumerate() {
                let slot = least.len();
                let mut most = Most::default();
                if let (Some(query), Some(column)) = (&term.vector, part.part.vectors(channel.channel)) {
                    let (best, work) =
                        column.approximate_top_k_with_work(query, effort, effort, Some(&allowed.rows))?;
                    if work.path == Path::Graph {
                        way = way.max(if is_filtered { Way::FilteredWalk } else { Way::Approximate });
                    }
                    most.cosine = best.get(effort.saturating_sub(1)).map(|(_, cosine)| *cosine);
                    for (row, cosine) in best {
                        found.push((table.video_of(row)?, slot, Most { cosine: Some(cosine), lexical: None }));
                    }
                }
                if let Some(all) = words.on(channel.channel).get(at) {
                    let best = best_of(all, effort);
                    most.lexical = best.get(effort.saturating_sub(1)).map(|(_, score)| *score);
                    for (row, score) in best {
                        found.push((table.video_of(row)?, slot, Most { cosine: None, lexical: Some(score) }));
                    }
                }
                least.push(most);
            }
            probed.plan.insert(channel.channel, way);
        }
        found.sort_by_key(|(video, ..)| *video);
        for of_video in found.chunk_by(|one, other| one.0 == other.0) {
            let mut most = least.clone();
            for (_, slot, one) in of_video {
                if let Some(known) = most.get_mut(*slot) {
                    known.cosine = greater(known.cosine, one.cosine);
                    known.lexical = greater(known.lexical, one.lexical);
                }
            }
            let bound = bound(&self.ask, &most);
            if let Some((video, ..)) = of_video.first()
                && bound > 0.0
                && bound >= self.ask.min_score
            {
                probed.named.push(Named { part: index, video: *video, bound, most });
            }
        }
        Ok(probed)
    }
}

impl Run<'_> {
    fn estimators<'a>(&'a self, part: &'a LivePart) -> Result<Estimators<'a>> {
        let mut estimators = Estimators::new();
        for channel in &self.ask.channels {
            let column = part.part.vectors(channel.channel);
            for term in &channel.terms {
                estimators.push(match (&term.vector, column) {
                    (Some(query), Some(column)) => Some(column.estimator(query)?),
                    _ => None,
                });
            }
        }
        Ok(estimators)
    }

    /// The bound of a video, from its own words and the codes of its own rows.
    fn bound_closer(&self, one: &Named, estimators: &[Estimators<'_>]) -> Result<f32> {
        let rows = self.part(one.part)?.part.table().rows(one.video)?;
        let words = self.words.get(one.part);
        let mut most = one.most.clone();
        let mut slots = most.iter_mut().zip(estimators.get(one.part).into_iter().flatten());
        for channel in &self.ask.channels {
            for (at, (slot, estimator)) in (0..channel.terms.len()).zip(slots.by_ref()) {
                slot.lexical = words.and_then(|words| words.most(channel.channel, at, &rows));
                if let (Some(known), Some(estimator)) = (slot.cosine, estimator) {
                    slot.cosine = estimator.most(rows.clone())?.map(|most| most.min(known));
                }
            }
        }
        Ok(bound(&self.ask, &most).min(one.bound))
    }
}

/// The score of the page's last hit, once a hit behind the page is known as well.
fn page_floor(hits: &[Scored], position: Option<&Position>, limit: usize) -> Option<f32> {
    let (range, _) = cut_page(hits, |hit| (hit.score, &hit.id), position, limit);
    let last = hits.get(range.end.checked_sub(1)?)?;
    (range.len() == limit && range.end < hits.len()).then_some(last.score)
}

/// The score that no moment exceeds whose rows stay within `most`, term by term.
fn bound(ask: &Ask, most: &[Most]) -> f32 {
    let mut strengths = PerChannel::default();
    let mut is_enough = !ask.needs_sufficient;
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
        let confidence = combine_clauses(whole, clauses);
        is_enough |= confidence >= channel.calibration.sufficient;
        if let Some(strength) = strengths.get_mut(channel.channel.index()) {
            *strength = ask.fuser.strength(confidence, None);
        }
    }
    if is_enough { ask.fuser.score(&strengths) } else { 0.0 }
}

fn greater(one: Option<f32>, other: Option<f32>) -> Option<f32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

/// The `count` rows with the best scores, best first, of equal ones the first. `found` ascends by row.
pub(super) fn best_of(found: &[(u32, f32)], count: usize) -> Vec<(u32, f32)> {
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
