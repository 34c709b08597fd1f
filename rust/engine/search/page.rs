//! Cuts one page out of the full list of hits.
//!
//! A position names the last hit that was returned, not how many there were. The next page holds what follows that hit, so
//! all pages together are the full list, whatever limits were used.

use std::cmp::Ordering;
use std::ops::Range;

use crate::catalog::video::VideoId;

/// Where a page ended: its last hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The hit's score; compared by all bits.
    pub score: f32,
    /// The hit's video.
    pub video: VideoId,
}

/// The order of hits: score descending, then video id.
#[must_use]
pub(crate) fn compare_hits(one: (f32, &VideoId), other: (f32, &VideoId)) -> Ordering {
    other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1))
}

/// The range of `hits` that follows `after`, at most `limit` long; and where it ends, if there is another page behind it.
///
/// `key` gives a hit's score and video, by which the hits are ordered (`compare_hits`).
pub(crate) fn cut_page<T>(
    hits: &[T],
    key: impl Fn(&T) -> (f32, &VideoId),
    after: Option<&Position>,
    limit: usize,
) -> (Range<usize>, Option<Position>) {
    let start = match after {
        None => 0,
        Some(Position { score, video }) => {
            hits.partition_point(|hit| compare_hits(key(hit), (*score, video)) != Ordering::Greater)
        }
    };
    let end = start.saturating_add(limit).min(hits.len());
    let last = hits[start..end].last().filter(|_| end < hits.len());
    let next = last.map(|hit| {
        let (score, video) = key(hit);
        Position { score, video: video.clone() }
    });
    (start..end, next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_union_of_pages_is_the_full_list(
            scores in proptest::collection::btree_map("[a-d]{1,3}", 0u8..4, 0..40),
            limits in proptest::collection::vec(1usize..9, 1..6),
        ) {
            let hits: crate::error::Result<Vec<_>> =
                scores.into_iter().map(|(id, score)| Ok((f32::from(score) / 4.0, VideoId::new(id)?))).collect();
            let mut hits = hits.map_err(|error| TestCaseError::fail(error.to_string()))?;
            hits.sort_by(|a, b| compare_hits((a.0, &a.1), (b.0, &b.1)));
            let mut seen = Vec::new();
            let mut position = None;
            for &limit in limits.iter().cycle() {
                let (page, next) = cut_page(&hits, |hit| (hit.0, &hit.1), position.as_ref(), limit);
                prop_assert!(page.len() <= limit && (page.len() == limit || next.is_none()));
                seen.extend_from_slice(&hits[page]);
                prop_assert!(seen.len() <= hits.len());
                position = next;
                if position.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, hits);
        }
    }

    #[test]
    fn a_position_past_the_end_gives_an_empty_page() -> crate::error::Result<()> {
        let hits = [(0.5, VideoId::new("a")?)];
        let after = Position { score: 0.1, video: VideoId::new("a")? };
        let (page, next) = cut_page(&hits, |hit| (hit.0, &hit.1), Some(&after), 3);
        assert!(page.is_empty() && next.is_none());
        Ok(())
    }

    #[test]
    fn hits_come_by_score_then_by_id() -> crate::error::Result<()> {
        let (a, b) = (VideoId::new("a")?, VideoId::new("b")?);
        assert_eq!(compare_hits((0.9, &b), (0.5, &a)), Ordering::Less);
        assert_eq!(compare_hits((0.5, &a), (0.5, &b)), Ordering::Less);
        Ok(())
    }
}
