//! Which moments of two questions belong together in time: one after the other, or at once.
//!
//! Every moment of either side gets its best partner on the other, so no list grows longer than both sides together, and
//! the best pair of a video is always among them. Time is n log n for n moments, however long they are and however many
//! overlap.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::timeline::holds;
use crate::catalog::video::Span;

/// A second moment may begin this long before the first one ends, as long as no more than half of it lies before that end.
const OVERLAP_SECONDS: f64 = 1.0;

/// A moment as far as relating needs it: when, and how sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    pub(super) span: Span,
    /// Not negative.
    pub(super) score: f32,
}

/// Pairs of a moment of `first` and one of `second` that begins at most `within_seconds` after it ends. Every moment of
/// either side is paired with its best partner, of equally good ones with the nearest. Without repeats, ascending.
pub(super) fn following(first: &[Placed], second: &[Placed], within_seconds: f64) -> Vec<(usize, usize)> {
    let mut pairs = Vec::with_capacity(first.len() + second.len());
    let ends = Ranges::new(first, |one| one.span.end, Prefer::Later);
    for (at, later) in second.iter().enumerate() {
        let earlier = ends.best(later.span.start - within_seconds, onset(later), UpperEnd::Included);
        pairs.extend(earlier.map(|earlier| (earlier, at)));
    }
    let starts = Ranges::new(second, |one| one.span.start, Prefer::Earlier);
    let instants: Vec<f64> = first.iter().map(|one| one.span.end).collect();
    let begun = standing(second, &instants, |one| (one.span.start, onset(one)), UpperEnd::Included);
    for (at, (earlier, begun)) in first.iter().zip(begun).enumerate() {
        let end = earlier.span.end;
        let later = starts.best(end, end + within_seconds, UpperEnd::Included);
        pairs.extend(better(second, later, begun).map(|later| (at, later)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// For each of `anchors` the best of `others` at the same time, which is where the two overlap by at least half of the
/// shorter.
pub(super) fn at_once(anchors: &[Placed], others: &[Placed]) -> Vec<Option<usize>> {
    let instants: Vec<f64> = anchors.iter().map(|one| one.span.center()).collect();
    let around = standing(others, &instants, |one| (one.span.start, one.span.end), UpperEnd::Excluded);
    let centers = Ranges::new(others, |one| one.span.center(), Prefer::Earlier);
    let find = |(anchor, around): (&Placed, Option<usize>)| {
        better(others, around, centers.best(anchor.span.start, anchor.span.end, UpperEnd::Excluded))
    };
    anchors.iter().zip(around).map(find).collect()
}

/// The latest end that another moment may have for this one to follow it.
fn onset(one: &Placed) -> f64 {
    one.span.start + OVERLAP_SECONDS.min(one.span.duration() / 2.0)
}

/// The better of two by score, then the earlier.
fn better(all: &[Placed], one: Option<usize>, other: Option<usize>) -> Option<usize> {
    let key = |&at: &usize| all.get(at).map(|placed| (placed.score, Reverse(at)));
    one.into_iter().chain(other).max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(Ordering::Equal))
}

/// Whether the upper end of a range belongs to it.
#[derive(Clone, Copy, PartialEq)]
enum UpperEnd {
    Included,
    /// Not, unless the range has no length.
    Excluded,
}

/// Which of two equally good ones is taken.
#[derive(Clone, Copy)]
enum Prefer {
    Earlier,
    Later,
}

/// Finds the best by score of those whose key lies in a range, in a table of maxima over runs of 1, 2, 4, … of them.
struct Ranges<'a> {
    placed: &'a [Placed],
    keys: Vec<(f64, usize)>,
    runs: Vec<Vec<usize>>,
    prefer: Prefer,
}

impl<'a> Ranges<'a> {
    fn new(placed: &'a [Placed], key: impl Fn(&Placed) -> f64, prefer: Prefer) -> Self {
        let mut keys: Vec<(f64, usize)> = placed.iter().map(key).zip(0..).collect();
        keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut ranges = Self { placed, runs: vec![(0..keys.len()).collect()], keys, prefer };
        while let Some(last) = ranges.runs.last()
            && let step = 1 << (ranges.runs.len() - 1)
            && last.len() > step
        {
            let next = last.iter().zip(last.iter().skip(step)).map(|(&a, &b)| ranges.better(a, b)).collect();
            ranges.runs.push(next);
        }
        ranges
    }

    /// The index of the best with a key from `from` to `to`.
    fn best(&self, from: f64, to: f64, upper_end: UpperEnd) -> Option<usize> {
        let start = self.keys.partition_point(|(key, _)| *key < from);
        let end = match upper_end {
            UpperEnd::Excluded if to > from => self.keys.partition_point(|(key, _)| *key < to),
            UpperEnd::Excluded | UpperEnd::Included => self.keys.partition_point(|(key, _)| *key <= to),
        };
        let length = end.checked_sub(start).filter(|length| *length > 0)?;
        let level = length.ilog2() as usize;
        let run = self.runs.get(level)?;
        let place = self.better(*run.get(start)?, *run.get(end - (1 << level))?);
        self.keys.get(place).map(|(_, index)| *index)
    }

    /// The better of two places in the order of keys, of which `one` is not the later.
    fn better(&self, one: usize, other: usize) -> usize {
        let score =
            |place: usize| self.keys.get(place).and_then(|(_, at)| self.placed.get(*at)).map_or(0.0, |p| p.score);
        match score(one).total_cmp(&score(other)) {
            Ordering::Greater => one,
            Ordering::Less => other,
            Ordering::Equal => match self.prefer {
                Prefer::Earlier => one.min(other),
                Prefer::Later => one.max(other),
            },
        }
    }
}

/// For each instant the best of those whose interval holds it, found in one sweep with a heap.
fn standing(
    placed: &[Placed],
    instants: &[f64],
    interval: impl Fn(&Placed) -> (f64, f64),
    upper_end: UpperEnd,
) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..instants.len()).collect();
    order.sort_unstable_by(|&a, &b| instants[a].total_cmp(&instants[b]));
    let mut coming: Vec<(f64, f64, usize)> =
        placed.iter().map(interval).zip(0..).map(|((a, b), at)| (a, b, at)).collect();
    coming.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
    let mut coming = coming.into_iter().peekable();
    let mut present = BinaryHeap::new();
    let mut found = vec![None; instants.len()];
    for at in order {
        let instant = instants[at];
        while let Some((start, end, index)) = coming.next_if(|one| one.0 <= instant) {
            // Scores are not negative, and such numbers are ordered as their bits.
            present.push((placed[index].score.to_bits(), Reverse(index), start.to_bits(), end.to_bits()));
        }
        // What doesn't hold this instant holds no later one.
        let holds_it = |start: f64, end: f64| match upper_end {
            UpperEnd::Included => instant <= end,
            UpperEnd::Excluded => holds(Span { start, end }, instant),
        };
        while present.peek().is_some_and(|&(_, _, start, end)| !holds_it(f64::from_bits(start), f64::from_bits(end))) {
            present.pop();
        }
        found[at] = present.peek().map(|&(_, Reverse(index), _, _)| index);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(most: usize) -> impl Strategy<Value = Vec<Placed>> {
        let one = (0u8..60, 0u8..20, 0u8..=8).prop_map(|(start, length, eighths)| Placed {
            span: Span { start: f64::from(start) / 2.0, end: f64::from(start + length) / 2.0 },
            score: f32::from(eighths) / 8.0,
        });
        proptest::collection::vec(one, 0..most)
    }

    fn follows(one: &Placed, other: &Placed, within: f64) -> bool {
        one.span.end <= onset(other) && other.span.start - one.span.end <= within
    }

    fn is_at_once(one: &Placed, other: &Placed) -> bool {
        let inside = |span: Span, at: f64| holds(span, at) || (span.start == span.end && span.start == at);
        inside(one.span, other.span.center()) || inside(other.span, one.span.center())
    }

    proptest! {
        #[test]
        fn every_moment_gets_the_best_that_follows_it(
            first in placed(30), second in placed(30), within in prop_oneof![Just(0.0), Just(3.0), Just(100.0)],
        ) {
            let pairs = following(&first, &second, within);
            prop_assert!(pairs.len() <= first.len() + second.len());
            for &(a, b) in &pairs {
                prop_assert!(follows(&first[a], &second[b], within), "{:?} {:?}", first[a], second[b]);
            }
            for (a, one) in first.iter().enumerate() {
                let best = second.iter().filter(|other| follows(one, other, within)).map(|other| other.score).fold(-1.0, f32::max);
                let got = pairs.iter().filter(|pair| pair.0 == a).map(|pair| second[pair.1].score).fold(-1.0, f32::max);
                prop_assert_eq!(got, best);
            }
            for (b, other) in second.iter().enumerate() {
                let best = first.iter().filter(|one| follows(one, other, within)).map(|one| one.score).fold(-1.0, f32::max);
                let got = pairs.iter().filter(|pair| pair.1 == b).map(|pair| first[pair.0].score).fold(-1.0, f32::max);
                prop_assert_eq!(got, best);
            }
        }

        #[test]
        fn every_moment_gets_the_best_at_once(anchors in placed(30), others in placed(30)) {
            for (anchor, got) in anchors.iter().zip(at_once(&anchors, &others)) {
                let best = others.iter().filter(|other| is_at_once(anchor, other)).map(|other| other.score).fold(-1.0, f32::max);
                prop_assert_eq!(got.map_or(-1.0, |at| others[at].score), best);
                prop_assert!(got.is_none_or(|at| is_at_once(anchor, &others[at])));
            }
        }
    }

    #[test]
    fn the_nearest_of_equals_follows() {
        let at = |start: f64| Placed { span: Span { start, end: start + 2.0 }, score: 0.5 };
        let pairs = following(&[at(0.0), at(4.0)], &[at(6.0), at(8.0)], 10.0);
        assert_eq!(pairs, [(0, 0), (1, 0), (1, 1)]);
    }
}
