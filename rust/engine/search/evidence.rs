//! The evidence for a query: which rows may have some, and all of one video's.
//!
//! A video that any channel names as a candidate is scored on every requested channel from what is stored (completion):
//! what one channel's scan left out is looked up, never taken for absent.

use std::collections::BTreeMap;

use super::ask::{Ask, ChannelAsk};
use super::moments::Match;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::Span;
use crate::error::Result;
use crate::part::Part;

/// Ranks of rows on one channel, for reciprocal rank fusion: `(part, row)` to rank.
pub(super) type Ranks = BTreeMap<(usize, u32), u32>;

/// All words' matches of one part, which are few enough to be kept: `(row, BM25 score)`, ascending, by channel.
#[derive(Default)]
pub(super) struct WordMatches {
    by_channel: [Vec<(u32, f32)>; Channel::ALL.len()],
}

impl WordMatches {
    pub(super) fn find(ask: &Ask, part: &Part, rows: &RowSet) -> Result<Self> {
        let mut found = Self::default();
        let Some(index) = part.text() else { return Ok(found) };
        for channel in &ask.channels {
            if let (Some(words), Some(slot)) = (&channel.words, found.by_channel.get_mut(channel.channel.index())) {
                *slot = index.search(&words.query, channel.channel, &words.stats, rows)?;
            }
        }
        Ok(found)
    }

    pub(super) fn on(&self, channel: Channel) -> &[(u32, f32)] {
        self.by_channel.get(channel.index()).map_or(&[], Vec::as_slice)
    }

    fn within(&self, channel: Channel, rows: &std::ops::Range<u32>) -> &[(u32, f32)] {
        let all = self.on(channel);
        let start = all.partition_point(|(row, _)| *row < rows.start);
        let end = all.partition_point(|(row, _)| *row < rows.end);
        all.get(start..end).unwrap_or_default()
    }
}

/// The videos of a part of which some row may reach `confidence` on some channel; a superset, never less.
pub(super) fn candidates(
    ask: &Ask,
    part: &Part,
    rows: &RowSet,
    words: &WordMatches,
    confidence: f32,
) -> Result<RowSet> {
    let table = part.table();
    let mut videos = RowSet::empty(table.video_count());
    for channel in &ask.channels {
        let needed = confidence.max(channel.calibration.least());
        if let (Some(query), Some(column)) = (&channel.vector, part.vectors(channel.channel)) {
            let floor = channel.calibration.cosine_floor(needed, channel.kinds());
            for (row, _) in column.at_least(query, floor, Some(rows))? {
                videos.insert(table.video_of(row)?);
            }
        }
        if let Some(asked) = &channel.words {
            let floor = channel.calibration.lexical_floor(needed, channel.kinds());
            for &(row, score) in words.on(channel.channel) {
                if asked.ratio(score) >= floor {
                    videos.insert(table.video_of(row)?);
                }
            }
        }
    }
    Ok(videos)
}

/// All evidence of one video on all requested channels.
pub(super) fn of_video(ask: &Ask, part: &Part, words: &WordMatches, video: u32) -> Result<Vec<Match>> {
    let rows = part.table().rows(video)?;
    let mut matches = Vec::new();
    let mut cosines = Vec::new();
    for channel in &ask.channels {
        cosines.clear();
        if let (Some(query), Some(column)) = (&channel.vector, part.vectors(channel.channel)) {
            column.score_rows(query, rows.clone(), &mut cosines)?;
        }
        let words = words.within(channel.channel, &rows);
        join(channel, part, &cosines, words, &mut matches)?;
    }
    Ok(matches)
}

/// Walks two lists in order of rows.
fn join(
    channel: &ChannelAsk,
    part: &Part,
    cosines: &[(u32, f32)],
    words: &[(u32, f32)],
    matches: &mut Vec<Match>,
) -> Result<()> {
    let (mut cosines, mut words) = (cosines.iter().peekable(), words.iter().peekable());
    loop {
        let row = match (cosines.peek(), words.peek()) {
            (None, None) => return Ok(()),
            (Some((row, _)), None) | (None, Some((row, _))) => *row,
            (Some((one, _)), Some((other, _))) => *one.min(other),
        };
        let cosine = cosines.next_if(|(at, _)| *at == row).map(|(_, cosine)| *cosine);
        let lexical = words.next_if(|(at, _)| *at == row).map(|(_, score)| *score);
        let ratio = lexical.and_then(|score| channel.words.as_ref().map(|words| words.ratio(score)));
        let confidence = channel.calibration.confidence(cosine, ratio);
        if confidence > 0.0 {
            matches.push(Match {
                row,
                channel: channel.channel,
                span: part.table().span(row)?,
                confidence,
                rank: None,
                cosine,
                lexical,
                lexical_ratio: ratio,
            });
        }
    }
}

/// The spans of a video's shots: of its rows that carry a picture.
pub(super) fn shots(part: &Part, video: u32) -> Result<Vec<Span>> {
    let Some(column) = part.vectors(Channel::Frame) else { return Ok(Vec::new()) };
    let rows = column.rows()?;
    let range = part.table().rows(video)?;
    range.filter(|&row| rows.position(row).is_some()).map(|row| part.table().span(row)).collect()
}
