//! Finds, for every match of a video, what else is evidenced at the same instant.
//!
//! Two matches count together where they overlap by at least half of the shorter, which is: the centre of the shorter
//! lies within the longer. So it is enough to look at the instants that are centres of matches, and at each of them at
//! the strongest match of every other channel that holds the instant. Of three matches that overlap pairwise by half of
//! the shorter, the centre of the shortest lies in all: nothing simultaneous is missed, and a long match can't gather
//! what happened at different times within it.
//!
//! One sweep over time with a heap a channel: n log n for n matches, however long they are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fuse::PerChannel;
use super::moments::Match;
use crate::catalog::channel::Channel;
use crate::catalog::video::Span;

/// The strongest match of each channel at one instant, as positions in the list of matches.
pub(super) type Together = [Option<u32>; Channel::ALL.len()];

/// The evidence of one video in canonical order, with the strength of each match.
pub(super) struct Timeline<'a> {
    matches: Vec<(&'a Match, f32)>,
}

impl<'a> Timeline<'a> {
    /// Takes the matches whose strength is above zero and whose span is one.
    pub(super) fn new(matches: &'a [Match], strength: impl Fn(&Match) -> f32) -> Self {
        let mut matches: Vec<_> = matches
            .iter()
            .filter(|one| one.span.start.is_finite() && one.span.end.is_finite() && one.span.start <= one.span.end)
            .map(|one| (one, strength(one)))
            .filter(|(_, strength)| *strength > 0.0)
            .collect();
        matches.sort_unstable_by(|(one, a), (other, b)| {
            (one.span.start.total_cmp(&other.span.start))
                .then(one.span.end.total_cmp(&other.span.end))
                .then(one.channel.cmp(&other.channel))
                .then(one.row.cmp(&other.row))
                .then(b.total_cmp(a))
        });
        Self { matches }
    }

    /// The match at a position.
    pub(super) fn get(&self, position: u32) -> &Match {
        self.matches[position as usize].0
    }

    /// The strengths of matches that count together.
    pub(super) fn strengths(&self, together: &Together) -> PerChannel {
        together.map(|position| position.map_or(0.0, |position| self.matches[position as usize].1))
    }

    /// One entry a timed match: the match itself and the strongest of every other channel at its centre. Of equally
    /// strong ones the shorter, then the earlier. Metadata belongs to no time: its strongest match joins every entry, and
    /// stands alone where there is no timed one.
    pub(super) fn together(&self) -> Vec<Together> {
        let everywhere = (0..self.matches.len())
            .filter(|&position| !is_timed(self.matches[position].0))
            .max_by(|&a, &b| self.matches[a].1.total_cmp(&self.matches[b].1).then(b.cmp(&a)))
            .map(|position| position as u32);
        let timed: Vec<u32> = (0..self.matches.len() as u32).filter(|&position| is_timed(self.get(position))).collect();
        let mut lone = Together::default();
        lone[Channel::Metadata.index()] = everywhere;
        if timed.is_empty() {
            return everywhere.map(|_| lone).into_iter().collect();
        }
        let mut instants: Vec<(f64, u32)> =
            timed.iter().map(|&position| (center(self.get(position).span), position)).collect();
        instants.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));

        let mut coming = timed.iter().copied().peekable();
        let mut present: [BinaryHeap<_>; Channel::ALL.len()] = Default::default();
        let mut entries = Vec::with_capacity(instants.len());
        for (instant, anchor) in instants {
            while let Some(position) = coming.next_if(|&position| self.get(position).span.start <= instant) {
                let (one, strength) = self.matches[position as usize];
                // Neither strengths nor lengths are negative, and such numbers are ordered as their bits.
                let key = (strength.to_bits(), Reverse(one.span.duration().to_bits()), Reverse(position));
                present[one.channel.index()].push(key);
            }
            let mut entry = lone;
            for (channel, heap) in present.iter_mut().enumerate() {
                // What doesn't hold this instant holds no later one.
                while heap.peek().is_some_and(|&(_, _, Reverse(position))| !holds(self.get(position).span, instant)) {
                    heap.pop();
                }
                if let Some(&(_, _, Reverse(position))) = heap.peek() {
                    entry[channel] = Some(position);
                }
            }
            entry[self.get(anchor).channel.index()] = Some(anchor);
            entries.push(entry);
        }
        entries
    }
}

/// Whether a match says when. Metadata speaks of the whole video.
pub(super) fn is_timed(one: &Match) -> bool {
    one.channel != Channel::Metadata
}

pub(super) fn center(span: Span) -> f64 {
    span.start + (span.end - span.start) / 2.0
}

/// Whether the instant lies in the span; a span without length holds its start.
pub(super) fn holds(span: Span, instant: f64) -> bool {
    span.start <= instant && (instant < span.end || instant == span.start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::moments::samples::matches;
    use super::*;

    proptest! {
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
                        let at = center(timeline.get(anchor).span);
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
            if center(short) != long.end {
                prop_assert_eq!(holds(long, center(short)), short.overlap(long) >= short.duration() / 2.0);
            }
        }
    }
}
