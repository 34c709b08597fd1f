//! Finds, for every match of a video, what else is evidenced at the same instant.
//!
//! Two matches count together where they overlap by at least half of the shorter, which is: the centre of the shorter
//! lies within the longer. So it is enough to look at the instants that are centres of matches, and at each of them at
//! the strongest match of every other channel that holds the instant. Of three matches that overlap pairwise by half of
//! the shorter, the centre of the shortest lies in all: nothing simultaneous is missed, and a long match can't gather
//! what happened at different times within it.
//!
//! Instants are looked at in order of time. Where the matches of a channel come one after another, as shots and sentences
//! mostly do, the one that holds an instant is found by walking along them, otherwise by a heap: n log n for n matches,
//! however long they are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::fuse::PerChannel;
use super::matches::Match;
use crate::catalog::channel::Channel;
use crate::catalog::video::Span;

const CHANNELS: usize = Channel::ALL.len();

/// The strongest match of each channel at one instant, as positions in the list of matches.
pub(super) type Together = [Option<u32>; CHANNELS];

/// The evidence of one video, with the strength of each match.
pub(super) struct Timeline<'a> {
    matches: Vec<(&'a Match, f32)>,
    lanes: Lanes,
}

impl<'a> Timeline<'a> {
    /// Takes the matches with a strength above zero and a proper span, in canonical order.
    pub(super) fn new(matches: &'a [Match], strength: impl Fn(&Match) -> f32) -> Self {
        let mut matches = counting(matches, strength);
        matches.sort_unstable_by(by_time);
        let lanes = Lanes::of(&matches);
        Self { matches, lanes }
    }

    /// The same, in the given order: positions say nothing of time.
    pub(super) fn in_any_order(matches: &'a [Match], strength: impl Fn(&Match) -> f32) -> Self {
        let matches = counting(matches, strength);
        let lanes = Lanes::of(&matches);
        Self { matches, lanes }
    }

    /// How many matches there are.
    pub(super) fn len(&self) -> usize {
        self.matches.len()
    }

    /// The match at a position.
    pub(super) fn get(&self, position: u32) -> &Match {
        self.matches[position as usize].0
    }

    /// The strengths of matches that count together.
    pub(super) fn strengths(&self, together: &Together) -> PerChannel {
        together.map(|position| position.map_or(0.0, |position| self.matches[position as usize].1))
    }

    /// Calls `found` for each timed match, in no particular order, with its position and the entry: the match itself and
    /// the strongest of every other channel at its centre. Of equally strong ones the shorter, then the earlier. Metadata
    /// belongs to no time: its strongest match joins every entry, and stands alone where there is no timed one.
    pub(super) fn each_together(&self, mut found: impl FnMut(u32, Together)) {
        let everywhere = self.strongest_metadata();
        let mut lone = Together::default();
        lone[Channel::Metadata.index()] = everywhere;
        let timed = Channel::ALL.into_iter().filter(|channel| *channel != Channel::Metadata);
        let anchors = timed.flat_map(|channel| self.lanes.lane(channel));
        let instants = anchors.map(|&position| (self.get(position).span.center(), position));
        if self.lanes.positions.len() == self.lanes.lane(Channel::Metadata).len() {
            if let Some(position) = everywhere {
                found(position, lone);
            }
        } else if self.lanes.are_apart.iter().all(|is_apart| *is_apart) {
            self.follow(instants, lone, found);
        } else {
            let mut instants: Vec<(f64, u32)> = instants.collect();
            instants.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            self.follow(instants.into_iter(), lone, found);
        }
    }

    fn strongest_metadata(&self) -> Option<u32> {
        let order = |position: &u32| &self.matches[*position as usize];
        self.lanes.lane(Channel::Metadata).iter().copied().max_by(|a, b| {
            let (a, b) = (order(a), order(b));
            a.1.total_cmp(&b.1).then_with(|| by_time(b, a))
        })
    }

    /// Calls `found` for each instant. The walk begins anew at an instant that lies before the one that came last.
    fn follow(&self, instants: impl Iterator<Item = (f64, u32)>, lone: Together, mut found: impl FnMut(u32, Together)) {
        let begin = || Channel::ALL.map(|channel| Present::begin(&self.lanes, channel));
        let (mut present, mut last) = (begin(), f64::NEG_INFINITY);
        for (instant, anchor) in instants {
            if instant < last {
                present = begin();
            }
            last = instant;
            let mut entry = lone;
            for (slot, present) in entry.iter_mut().zip(&mut present) {
                if let Some(position) = present.at(instant, &self.matches) {
                    *slot = Some(position);
                }
            }
            entry[self.get(anchor).channel.index()] = Some(anchor);
            found(anchor, entry);
        }
    }
}

/// Positions by channel, those of each in canonical order.
struct Lanes {
    positions: Vec<u32>,
    ends: [usize; CHANNELS],
    /// Whether the matches of a channel come one after another, so that at most one holds an instant.
    are_apart: [bool; CHANNELS],
}

impl Lanes {
    fn of(matches: &[(&Match, f32)]) -> Self {
        let mut ends = [0; CHANNELS];
        for (one, _) in matches {
            ends[one.channel.index()] += 1;
        }
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        // Until all are placed, `ends` says where the next one goes.
        let mut positions = vec![0; matches.len()];
        for (position, (one, _)) in (0_u32..).zip(matches) {
            let end = &mut ends[one.channel.index()];
            positions[*end] = position;
            *end += 1;
        }
        let mut start = 0;
        let are_apart = ends.map(|end| {
            let lane = &mut positions[std::mem::replace(&mut start, end)..end];
            are_apart(lane, matches) || {
                lane.sort_unstable_by(|&a, &b| by_time(&matches[a as usize], &matches[b as usize]));
                are_apart(lane, matches)
            }
        });
        Self { positions, ends, are_apart }
    }

    fn lane(&self, channel: Channel) -> &[u32] {
        let start = channel.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.positions[start..self.ends[channel.index()]]
    }
}

/// Whether each begins after the one before it and not before that ends. Metadata belongs to no time.
fn are_apart(lane: &[u32], matches: &[(&Match, f32)]) -> bool {
    let one = |position: u32| matches[position as usize].0;
    lane.windows(2).all(|pair| {
        let &[before, after] = pair else { return true };
        let (before, after) = (one(before), one(after));
        // The centre of an endless span is no instant.
        let end = before.span.end.max(before.span.center());
        !is_timed(before) || (before.span.start < after.span.start && end <= after.span.start)
    })
}

/// The matches of a channel that may hold an instant, for instants that ascend.
enum Present<'a> {
    Apart(&'a [u32]),
    Overlapping { coming: &'a [u32], strongest: BinaryHeap<(u32, Reverse<u64>, Reverse<u32>, u32)> },
}

impl<'a> Present<'a> {
    fn begin(lanes: &'a Lanes, channel: Channel) -> Self {
        match channel {
            Channel::Metadata => Self::Apart(&[]),
            _ if lanes.are_apart[channel.index()] => Self::Apart(lanes.lane(channel)),
            _ => Self::Overlapping { coming: lanes.lane(channel), strongest: BinaryHeap::new() },
        }
    }

    /// The strongest match that holds the instant, of equally strong ones the shorter, then the earlier.
    fn at(&mut self, instant: f64, matches: &[(&Match, f32)]) -> Option<u32> {
        let span = |position: u32| matches[position as usize].0.span;
        match self {
            Self::Apart(rest) => {
                while let [first, after @ ..] = *rest {
                    if span(*first).start > instant {
                        return None;
                    }
                    if holds(span(*first), instant) {
                        return Some(*first);
                    }
                    // What doesn't hold this instant holds no later one.
                    *rest = after;
                }
                None
            }
            Self::Overlapping { coming, strongest } => {
                while let [first, after @ ..] = *coming
                    && span(*first).start <= instant
                {
                    let strength = matches[*first as usize].1;
                    // Neither strengths nor lengths are negative, and such numbers are ordered as their bits. The fewer
                    // are still to come, the later it is.
                    let (length, place) = (span(*first).duration().to_bits(), u32::MAX - coming.len() as u32);
                    strongest.push((strength.to_bits(), Reverse(length), Reverse(place), *first));
                    *coming = after;
                }
                while let Some(&(.., position)) = strongest.peek() {
                    if holds(span(position), instant) {
                        return Some(position);
                    }
                    strongest.pop();
                }
                None
            }
        }
    }
}

/// The matches that count, with their strengths.
fn counting(matches: &[Match], strength: impl Fn(&Match) -> f32) -> Vec<(&Match, f32)> {
    let mut counting = Vec::with_capacity(matches.len());
    for one in matches {
        let is_span = one.span.start.is_finite() && one.span.end.is_finite() && one.span.start <= one.span.end;
        let strength = strength(one);
        if is_span && strength > 0.0 {
            counting.push((one, strength));
        }
    }
    counting
}

/// The canonical order.
fn by_time((one, a): &(&Match, f32), (other, b): &(&Match, f32)) -> Ordering {
    (one.span.start.total_cmp(&other.span.start))
        .then(one.span.end.total_cmp(&other.span.end))
        .then(one.channel.cmp(&other.channel))
        .then(one.row.cmp(&other.row))
        .then(b.total_cmp(a))
}

/// Whether a match says when. Metadata speaks of the whole video.
pub(super) fn is_timed(one: &Match) -> bool {
    one.channel != Channel::Metadata
}

/// Whether the instant lies in the span; a span without length holds its start.
pub(super) fn holds(span: Span, instant: f64) -> bool {
    span.start <= instant && (instant < span.end || instant == span.start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{apart, matches};
    use super::*;

    impl Timeline<'_> {
        fn together(&self) -> Vec<Together> {
            let mut entries = Vec::new();
            self.each_together(|_, together| entries.push(together));
            entries
        }
    }

    proptest! {
        #[test]
        fn walking_finds_what_heaps_find(given in apart(40)) {
            let entries = |timeline: &Timeline<'_>| {
                let mut entries = Vec::new();
                timeline.each_together(|anchor, entry| entries.push((anchor, entry)));
                entries.sort_unstable();
                entries
            };
            let mut timeline = Timeline::new(&given, |one| one.confidence);
            prop_assert_eq!(timeline.lanes.are_apart, [true; CHANNELS]);
            let walked = entries(&timeline);
            timeline.lanes.are_apart = [false; CHANNELS];
            prop_assert_eq!(walked, entries(&timeline));
        }

        #[test]
        fn any_order_gives_the_same_strengths(given in prop_oneof![matches(40), apart(40)]) {
            let entries = |timeline: Timeline<'_>| {
                let of = |entry: &Together| (timeline.strengths(entry).map(f32::to_bits), entry.map(|at| at.map(|at| timeline.get(at).row)));
                let mut all: Vec<_> = timeline.together().iter().map(of).collect();
                all.sort_unstable();
                all
            };
            let strength = |one: &Match| one.confidence;
            prop_assert_eq!(entries(Timeline::in_any_order(&given, strength)), entries(Timeline::new(&given, strength)));
        }

        #[test]
        fn the_sweep_finds_what_a_search_through_all_pairs_finds(given in matches(40)) {
            let timeline = Timeline::new(&given, |one| one.confidence);
            let all: Vec<u32> = (0..timeline.matches.len() as u32).collect();
            let strength = |position: u32| timeline.matches[position as usize].1;
            let mut expected: Vec<PerChannel> = all
                .iter()
                .filter(|&&anchor| is_timed(timeline.get(anchor)))
                .map(|&anchor| {
                    std::array::from_fn(|channel| {
                        let own = timeline.get(anchor).channel.index() == channel;
                        let at = timeline.get(anchor).span.center();
                        all.iter()
                            .filter(|&&other| timeline.get(other).channel.index() == channel)
                            .filter(|&&other| !own || other == anchor)
                            .filter(|&&other| other == anchor || !is_timed(timeline.get(other)) || holds(timeline.get(other).span, at))
                            .map(|&other| strength(other))
                            .fold(0.0, f32::max)
                    })
                })
                .collect();
            if expected.is_empty() {
                return Ok(());
            }
            let mut got: Vec<_> = timeline.together().iter().map(|entry| timeline.strengths(entry)).collect();
            let order = |a: &PerChannel, b: &PerChannel| a.map(f32::to_bits).cmp(&b.map(f32::to_bits));
            expected.sort_unstable_by(order);
            got.sort_unstable_by(order);
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn a_center_within_the_longer_is_an_overlap_of_half_the_shorter(
            (a, b, c, d) in (0u16..40, 1u16..40, 0u16..40, 1u16..40),
        ) {
            let one = Span { start: f64::from(a), end: f64::from(a + b) };
            let other = Span { start: f64::from(c), end: f64::from(c + d) };
            let (short, long) = if b <= d { (one, other) } else { (other, one) };
            // Exactly half, at the very end of a span, belongs to what follows.
            if short.center() != long.end {
                prop_assert_eq!(holds(long, short.center()), short.overlap(long) >= short.duration() / 2.0);
            }
        }
    }
}
