//! Temporal non-maximum suppression: of two spans that are nearly one, the better stays.
//!
//! Kept spans are filed on shelves by the binary order of their length, and there by start. Spans with an intersection over
//! union of at least one half differ in length by at most a factor of two and in start by no more than the length of
//! either, so only three shelves have to be searched; few spans stand there, since kept spans differ from each other. Time
//! is n log n. The first few are compared one by one, which is quicker.

use std::collections::BTreeSet;

use crate::catalog::video::Span;

/// Up to this many spans are kept without shelves.
const FEW: usize = 32;

/// Spans that were kept, best first.
pub(super) struct Kept {
    iou: f64,
    /// Empty once there are shelves.
    few: Vec<Span>,
    shelves: BTreeSet<(i32, i64, i64)>,
}

impl Kept {
    /// Suppresses at an intersection over union of `iou`, which is raised to one half where it is below.
    pub(super) fn new(iou: f64) -> Self {
        Self { iou: iou.max(0.5), few: Vec::new(), shelves: BTreeSet::new() }
    }

    /// Keeps `span` and says true, unless a kept one is nearly the same.
    pub(super) fn keep(&mut self, span: Span) -> bool {
        if !self.shelves.is_empty() {
            return self.shelve(span);
        }
        let is_same =
            |other: &Span| (other.start.to_bits(), other.end.to_bits()) == (span.start.to_bits(), span.end.to_bits());
        let is_alike = |other: &Span| other.overlap(span) > 0.0 && other.iou(span) >= self.iou;
        if self.few.iter().any(|other| is_alike(other) || is_same(other)) {
            return false;
        }
        self.few.push(span);
        if self.few.len() > FEW {
            self.shelves.extend(self.few.drain(..).map(place));
        }
        true
    }

    fn shelve(&mut self, span: Span) -> bool {
        let (own, length) = (place(span), span.duration());
        let shelf = own.0;
        if self.shelves.contains(&own) {
            return false;
        }
        for near in [shelf.saturating_sub(1), shelf, shelf.saturating_add(1)] {
            let from = (near, sortable(span.start - length), i64::MIN);
            let to = (near, sortable(span.start + length), i64::MAX);
            let alike = |&(_, start, end): &(i32, i64, i64)| {
                Span { start: unsortable(start), end: unsortable(end) }.iou(span) >= self.iou
            };
            if self.shelves.range(from..=to).any(alike) {
                return false;
            }
        }
        self.shelves.insert(own)
    }
}

/// Where a span is filed.
fn place(span: Span) -> (i32, i64, i64) {
    (shelf(span), sortable(span.start), sortable(span.end))
}

/// The exponent of the span's length; the least for no length at all.
fn shelf(span: Span) -> i32 {
    let length = span.duration();
    if length > 0.0 { length.log2().floor() as i32 } else { i32::MIN }
}

/// An integer ordered as the number is by `total_cmp`.
fn sortable(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn unsortable(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shelves_keep_what_comparing_all_pairs_keeps(
            spans in proptest::collection::vec((-20i32..60, 0u8..30), 0..60), iou in 0.5f64..1.0,
        ) {
            let mut kept = Kept::new(iou);
            let mut all: Vec<Span> = Vec::new();
            for (start, length) in spans {
                let span = Span { start: f64::from(start) / 4.0, end: (f64::from(start) + f64::from(length)) / 4.0 };
                let alike = all.iter().any(|other| *other == span || other.iou(span) >= iou);
                prop_assert_eq!(kept.keep(span), !alike);
                if !alike {
                    all.push(span);
                }
            }
        }

        #[test]
        fn sorting_keys_go_there_and_back(number in proptest::num::f64::NORMAL, other in proptest::num::f64::NORMAL) {
            prop_assert_eq!(unsortable(sortable(number)).to_bits(), number.to_bits());
            prop_assert_eq!(sortable(number).cmp(&sortable(other)), number.total_cmp(&other));
        }
    }
}
