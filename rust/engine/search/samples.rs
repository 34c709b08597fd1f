//! Matches to test with.

use proptest::prelude::*;

use super::matches::Match;
use super::timeline::is_timed;
use crate::catalog::channel::Channel;
use crate::catalog::video::Span;

/// Matches of one video of about 40 s on all channels, on a coarse grid so that ends and strengths often coincide.
pub(super) fn matches(most: usize) -> impl Strategy<Value = Vec<Match>> {
    let one = (0usize..5, 0u8..80, 0u8..40, 0u8..=10);
    proptest::collection::vec(one, 0..most).prop_map(|given| {
        let matches = given.into_iter().enumerate().map(|(row, (channel, start, length, tenths))| Match {
            span: if Channel::ALL[channel] == Channel::Metadata {
                Span { start: 0.0, end: 40.0 }
            } else {
                Span { start: f64::from(start) / 2.0, end: f64::from(start + length) / 2.0 }
            },
            rank: Some(11 - u32::from(tenths)),
            ..sample(row as u32, Channel::ALL[channel], 0.0, 0.0, f32::from(tenths) / 10.0)
        });
        matches.collect()
    })
}

/// The same where no two matches of a channel with a time overlap, in time order or not.
pub(super) fn apart(most: usize) -> impl Strategy<Value = Vec<Match>> {
    (matches(most), any::<bool>()).prop_map(|(mut given, is_reversed)| {
        given.sort_by(|a, b| a.span.start.total_cmp(&b.span.start).then(a.span.end.total_cmp(&b.span.end)));
        let mut ends = [f64::NEG_INFINITY; Channel::ALL.len()];
        given.retain(|one| {
            let end = &mut ends[one.channel.index()];
            let is_after = *end < one.span.start || (*end == one.span.start && one.span.duration() > 0.0);
            if is_timed(one) && is_after {
                *end = one.span.end + if one.span.duration() > 0.0 { 0.0 } else { 0.5 };
            }
            is_after || !is_timed(one)
        });
        if is_reversed {
            given.reverse();
        }
        given
    })
}

pub(super) fn sample(row: u32, channel: Channel, start: f64, end: f64, confidence: f32) -> Match {
    Match {
        row,
        channel,
        span: Span { start, end },
        confidence,
        reported: confidence,
        is_sufficient: true,
        rank: None,
        clause: None,
        cosine: None,
        lexical: None,
        lexical_ratio: None,
    }
}
