//! The evidence for a query: words' matches of a part, and all of one video's.
//!
//! A video that any channel names as a candidate is scored on every requested channel from what is stored (completion):
//! what one channel's bounds left out is looked up, never taken for absent. Where the question has clauses, each of them
//! is scored beside the whole, and one row's confidences are combined.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ask::{Ask, ChannelAsk, Term};
use super::calibrate::combine_clauses;
use super::moments::Match;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::Span;
use crate::error::Result;
use crate::part::Part;
use crate::vector::QueryVector;

/// Ranks of rows on one channel, for reciprocal rank fusion: `(part, row)` to rank.
pub(super) type Ranks = BTreeMap<(usize, u32), u32>;

/// A weight above this leaves no score that it has a part in at 0.
const LEAST_SURE_WEIGHT: f32 = 1e-6;

/// Rows with BM25 scores, ascending by row.
type Found = Vec<(u32, f32)>;

/// All words' matches of one part, which are few enough to be kept, by channel and by term.
#[derive(Default)]
pub(super) struct WordMatches {
    by_channel: [Vec<Found>; Channel::ALL.len()],
}

impl WordMatches {
    pub(super) fn find(ask: &Ask, part: &Part, rows: &RowSet) -> Result<Self> {
        let mut found = Self::default();
        let Some(index) = part.text() else { return Ok(found) };
        for channel in &ask.channels {
            let find = |term: &Term| match &term.words {
                Some(words) => index.search(&words.query, channel.channel, &words.stats, rows),
                None => Ok(Vec::new()),
            };
            if let Some(slot) = found.by_channel.get_mut(channel.channel.index()) {
                *slot = channel.terms.iter().map(find).collect::<Result<_>>()?;
            }
        }
        Ok(found)
    }

    /// What was found of each term.
    pub(super) fn on(&self, channel: Channel) -> &[Found] {
        self.by_channel.get(channel.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether any term was found in any of the rows.
    pub(super) fn any_within(&self, channel: Channel, rows: &Range<u32>) -> bool {
        (0..self.on(channel).len()).any(|term| !self.within(channel, term, rows).is_empty())
    }

    /// The rows among `rows` in which a term was found.
    pub(super) fn within(&self, channel: Channel, term: usize, rows: &Range<u32>) -> &[(u32, f32)] {
        self.on(channel).get(term).map_or(&[], |all| within(all, rows))
    }
}

/// Those of `found`, ascending by row, that lie among `rows`.
pub(super) fn within<'a>(found: &'a [(u32, f32)], rows: &Range<u32>) -> &'a [(u32, f32)] {
    let start = found.partition_point(|(row, _)| *row < rows.start);
    let end = found.partition_point(|(row, _)| *row < rows.end);
    found.get(start..end).unwrap_or_default()
}

/// Whether no score is 0 that evidence on the channel has a part in.
pub(super) fn counts(ask: &Ask, channel: &ChannelAsk) -> bool {
    ask.fuser.weights().get(channel.channel) > LEAST_SURE_WEIGHT
}

/// All evidence of one video on all requested channels.
pub(super) fn of_video(ask: &Ask, part: &Part, words: &WordMatches, video: u32) -> Result<Vec<Match>> {
    let rows = part.table().rows(video)?;
    let (mut room, mut matches) = (Room::default(), Vec::new());
    for channel in &ask.channels {
        room.find(channel, part, words, &rows)?;
        matches.reserve(room.found.len());
        for of_row in room.found.chunk_by(|one, other| one.row == other.row) {
            matches.extend(combine(ask, channel, part, of_row)?);
        }
    }
    Ok(matches)
}

/// What was found on one channel; the next one takes its place.
#[derive(Default)]
struct Room<'a> {
    /// The terms with a vector, and their vectors.
    places: Vec<usize>,
    queries: Vec<&'a QueryVector>,
    /// By term.
    cosines: Vec<Vec<(u32, f32)>>,
    /// By row.
    found: Vec<TermMatch>,
}

impl<'a> Room<'a> {
    fn find(&mut self, channel: &'a ChannelAsk, part: &Part, words: &WordMatches, rows: &Range<u32>) -> Result<()> {
        let Self { places, queries, cosines, found } = self;
        places.clear();
        queries.clear();
        found.clear();
        cosines.resize_with(channel.terms.len(), Vec::new);
        cosines.iter_mut().for_each(Vec::clear);
        if let Some(column) = part.vectors(channel.channel) {
            for (at, term) in channel.terms.iter().enumerate() {
                if let Some(query) = &term.vector {
                    places.push(at);
                    queries.push(query);
                }
            }
            column.score_rows_by_each(queries, rows.clone(), |query, row, cosine| {
                if let Some(of_term) = places.get(query).and_then(|&at| cosines.get_mut(at)) {
                    of_term.push((row, cosine));
                }
            })?;
        }
        for (at, (term, cosines)) in channel.terms.iter().zip(cosines.iter()).enumerate() {
            join(term, cosines, words.within(channel.channel, at, rows), found);
        }
        if channel.terms.len() > 1 {
            // Stable: of one row the whole comes first, then the clauses in order.
            found.sort_by_key(|one| one.row);
        }
        Ok(())
    }
}

/// The confidence of one row's match on one channel, 0 without one; `words` are those found near it, by term.
pub(super) fn confidence_of(channel: &ChannelAsk, part: &Part, words: &[&[(u32, f32)]], row: u32) -> Result<f32> {
    let column = part.vectors(channel.channel);
    let of_term = |(term, words): (&Term, &&[(u32, f32)])| {
        let mut cosine = None;
        if let (Some(query), Some(column)) = (&term.vector, column) {
            column.score_rows_by_each(&[query], row..row + 1, |_, _, found| cosine = Some(found))?;
        }
        let lexical = words.binary_search_by_key(&row, |(row, _)| *row).ok().and_then(|at| words.get(at));
        Ok(term.confidence(cosine, lexical.and_then(|(_, score)| term.ratio(*score))))
    };
    let mut terms = channel.terms.iter().zip(words).map(of_term);
    let whole = terms.next().transpose()?.unwrap_or_default();
    Ok(combine_clauses(whole, terms.collect::<Result<Vec<f32>>>()?))
}

/// What one term found in one row.
struct TermMatch {
    row: u32,
    clause: Option<u32>,
    confidence: f32,
    cosine: Option<f32>,
    lexical: Option<f32>,
    lexical_ratio: Option<f32>,
}

/// Walks two lists in order of rows.
fn join(term: &Term, cosines: &[(u32, f32)], words: &[(u32, f32)], found: &mut Vec<TermMatch>) {
    found.reserve(cosines.len());
    let (mut cosines, mut words) = (cosines.iter().peekable(), words.iter().peekable());
    loop {
        let row = match (cosines.peek(), words.peek()) {
            (None, None) => return,
            (Some((row, _)), None) | (None, Some((row, _))) => *row,
            (Some((one, _)), Some((other, _))) => *one.min(other),
        };
        let cosine = cosines.next_if(|(at, _)| *at == row).map(|(_, cosine)| *cosine);
        let lexical = words.next_if(|(at, _)| *at == row).map(|(_, score)| *score);
        let lexical_ratio = lexical.and_then(|score| term.ratio(score));
        let confidence = term.confidence(cosine, lexical_ratio);
        if confidence > 0.0 {
            found.push(TermMatch { row, clause: term.clause, confidence, cosine, lexical, lexical_ratio });
        }
    }
}

/// One row's match from what its terms found: the raw scores are those of the surest.
fn combine(ask: &Ask, channel: &ChannelAsk, part: &Part, found: &[TermMatch]) -> Result<Option<Match>> {
    let Some(best) = found.iter().reduce(|best, one| if one.confidence > best.confidence { one } else { best }) else {
        return Ok(None);
    };
    let of = |is_clause: bool| found.iter().filter(move |one| one.clause.is_some() == is_clause);
    let whole = of(false).map(|one| one.confidence).fold(0.0, f32::max);
    let confidence = combine_clauses(whole, of(true).map(|one| one.confidence));
    // Examples of the channel's own medium are the question itself, never a clause.
    let asked = channel.terms.first().map_or(channel.calibration, |term| term.calibration);
    Ok(Some(Match {
        row: best.row,
        channel: channel.channel,
        span: part.table().span(best.row)?,
        confidence,
        reported: asked.reported(confidence),
        is_sufficient: !ask.needs_sufficient || confidence >= channel.calibration.sufficient,
        rank: None,
        clause: best.clause,
        cosine: best.cosine,
        lexical: best.lexical,
        lexical_ratio: best.lexical_ratio,
    }))
}

/// The spans of a video's shots: of its rows that carry a picture.
pub(super) fn shots(part: &Part, video: u32) -> Result<Vec<Span>> {
    let Some(column) = part.vectors(Channel::Frame) else { return Ok(Vec::new()) };
    let rows = column.rows()?;
    let range = part.table().rows(video)?;
    range.filter(|&row| rows.position(row).is_some()).map(|row| part.table().span(row)).collect()
}
