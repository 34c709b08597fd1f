//! The evidence for a query: what its words match in a part, and everything that speaks for one video.
//!
//! A video that any channel names as a candidate is scored on every requested channel from what is stored (completion):
//! what one channel's bounds left out is looked up, never taken for absent. Where the question has clauses, each of them
//! is scored beside the whole, and one row's confidences are combined.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ask::{Ask, ChannelAsk, Term, Words};
use super::calibrate::combine_clauses;
use super::matches::Match;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::Span;
use crate::error::Result;
use crate::part::Part;
use crate::text::index::TextIndex;
use crate::vector::QueryVector;

/// Ranks of rows on one channel, for reciprocal rank fusion: `(part, row)` to rank.
pub(super) type Ranks = BTreeMap<(usize, u32), u32>;

/// What evidence on a channel with a weight above this adds to a score is never rounded to 0.
const LEAST_SURE_WEIGHT: f32 = 1e-6;

/// Where fewer than one in this many of a part's rows are allowed, words are looked up in the allowed rows alone.
const FEW_ROWS: usize = 16;
/// Where the likeliest matches are wanted, this many postings may be read for each of them.
const POSTINGS_A_MATCH: usize = 50;

/// Rows with BM25 scores, ascending by row.
type RowScores = Vec<(u32, f32)>;

/// What a query's words match in one part, by channel and by term: few enough to be kept.
#[derive(Default)]
pub(super) struct WordMatches {
    by_channel: [Vec<RowScores>; Channel::ALL.len()],
}

impl WordMatches {
    /// All matches among `rows`.
    pub(super) fn find(ask: &Ask, part: &Part, rows: &RowSet) -> Result<Self> {
        if (rows.count() as usize).saturating_mul(FEW_ROWS) < part.table().row_count() as usize {
            return Self::find_within(ask, part, rows, &runs(rows));
        }
        Self::by_term(ask, part, |index, channel, words| index.search(&words.query, channel, &words.stats, rows))
    }

    /// About the `count` best matches of each term among `rows`, found by its rarer words.
    pub(super) fn find_likely(ask: &Ask, part: &Part, rows: &RowSet, count: usize) -> Result<Self> {
        let most = (count, count.saturating_mul(POSTINGS_A_MATCH));
        Self::by_term(ask, part, |index, channel, words| {
            let mut likely = index.likely(&words.query, channel, &words.stats, rows, most)?;
            likely.sort_unstable_by_key(|(row, _)| *row);
            Ok(likely)
        })
    }

    /// The matches among those of `rows` that lie in some ascending ranges.
    pub(super) fn find_within(ask: &Ask, part: &Part, rows: &RowSet, ranges: &[Range<u32>]) -> Result<Self> {
        Self::by_term(ask, part, |index, channel, words| {
            index.score_rows(&words.query, channel, &words.stats, rows, ranges)
        })
    }

    fn by_term(
        ask: &Ask,
        part: &Part,
        find: impl Fn(&TextIndex, Channel, &Words) -> Result<RowScores>,
    ) -> Result<Self> {
        let mut found = Self::default();
        let Some(index) = part.text() else { return Ok(found) };
        for channel in &ask.channels {
            let find = |term: &Term| match &term.words {
                Some(words) => find(index, channel.channel, words),
                None => Ok(Vec::new()),
            };
            if let Some(slot) = found.by_channel.get_mut(channel.channel.index()) {
                *slot = channel.terms.iter().map(find).collect::<Result<_>>()?;
            }
        }
        Ok(found)
    }

    /// What was found of each term.
    pub(super) fn on(&self, channel: Channel) -> &[RowScores] {
        self.by_channel.get(channel.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether any term was found in any of the rows.
    pub(super) fn any_within(&self, channel: Channel, rows: &Range<u32>) -> bool {
        (0..self.on(channel).len()).any(|term| !self.within(channel, term, rows).is_empty())
    }

    /// The places, among some ascending rows, of those in which a term was found, with its scores.
    pub(super) fn of_rows(&self, channel: Channel, term: usize, rows: &[u32]) -> Vec<(usize, f32)> {
        let mut found = self.on(channel).get(term).map_or(&[][..], Vec::as_slice);
        let mut placed = Vec::new();
        for (place, &row) in rows.iter().enumerate() {
            if found.first().is_some_and(|(of, _)| *of < row) {
                found = found.get(below(found, row)..).unwrap_or_default();
            }
            placed.extend(found.first().filter(|(of, _)| *of == row).map(|(_, score)| (place, *score)));
        }
        placed
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

/// The rows of a set, as ranges.
fn runs(rows: &RowSet) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for row in rows.iter() {
        match runs.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

/// How many of `found`, ascending by row, lie below a row that is probably near the front: looked for in steps that grow,
/// then by halving.
fn below(found: &[(u32, f32)], row: u32) -> usize {
    let is_below = |at: usize| found.get(at).is_some_and(|(of, _)| *of < row);
    let (mut low, mut step) = (0, 1);
    while is_below(low + step - 1) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(found.len());
    low + found.get(low..high).unwrap_or_default().partition_point(|(of, _)| *of < row)
}

/// Whether evidence on the channel lifts every score that it has a part in above 0.
pub(super) fn counts(ask: &Ask, channel: &ChannelAsk) -> bool {
    ask.fuser.weights().get(channel.channel) > LEAST_SURE_WEIGHT
}

/// All evidence of one video on all requested channels.
pub(super) fn of_video(ask: &Ask, part: &Part, words: &WordMatches, video: u32) -> Result<Vec<Match>> {
    let rows = part.table().rows(video)?;
    let (mut of_channel, mut matches) = (ChannelEvidence::default(), Vec::new());
    for channel in &ask.channels {
        of_channel.find(channel, part, words, &rows)?;
        matches.reserve(of_channel.found.len());
        for of_row in of_channel.found.chunk_by(|one, other| one.row == other.row) {
            matches.extend(combine(ask, channel, part, of_row)?);
        }
    }
    Ok(matches)
}

/// What was found of a video on one channel. Used for one channel after the other, so that its lists are made once.
#[derive(Default)]
struct ChannelEvidence<'a> {
    /// Which terms have a vector, and their vectors.
    places: Vec<usize>,
    queries: Vec<&'a QueryVector>,
    /// By term.
    cosines: Vec<Vec<(u32, f32)>>,
    /// By row.
    found: Vec<TermMatch>,
}

impl<'a> ChannelEvidence<'a> {
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

/// Adds what a term found: walks its cosines and its words together, in the order of rows.
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

/// One row's match, combined from what its terms found. Its raw scores are those of the surest term.
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
        // Vectors are stored rounded, so their product may be a little more than 1.
        cosine: best.cosine.map(|cosine| cosine.clamp(-1.0, 1.0)),
        lexical: best.lexical,
        lexical_ratio: best.lexical_ratio,
    }))
}

/// The spans of a video's shots, which are its rows that carry a picture.
pub(super) fn shots(part: &Part, video: u32) -> Result<Vec<Span>> {
    let Some(column) = part.vectors(Channel::Frame) else { return Ok(Vec::new()) };
    let rows = column.rows()?;
    let range = part.table().rows(video)?;
    range.filter(|&row| rows.position(row).is_some()).map(|row| part.table().span(row)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_of_rows_here_and_there_are_those_of_looking_for_each(
            held in prop::collection::btree_map(0_u32..300, 0.1_f32..9.0, 0..90),
            rows in prop::collection::btree_set(0_u32..320, 0..60),
        ) {
            let mut words = WordMatches::default();
            words.by_channel[Channel::Speech.index()] = vec![held.iter().map(|(row, score)| (*row, *score)).collect()];
            let rows: Vec<u32> = rows.into_iter().collect();
            let of_row = |(place, row): (usize, &u32)| Some((place, *held.get(row)?));
            let expected: Vec<(usize, f32)> = rows.iter().enumerate().filter_map(of_row).collect();
            prop_assert_eq!(words.of_rows(Channel::Speech, 0, &rows), expected);
            let mut set = RowSet::empty(320);
            rows.iter().for_each(|row| set.insert(*row));
            let runs = runs(&set);
            prop_assert!(runs.is_sorted_by(|one, next| one.end < next.start));
            prop_assert_eq!(runs.into_iter().flatten().collect::<Vec<u32>>(), rows);
        }
    }
}
