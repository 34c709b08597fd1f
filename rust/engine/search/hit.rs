//! What a search returns.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::moments::{Moment, ScoredMatch};
use crate::catalog::channel::Channel;
use crate::catalog::facets::Counts;
use crate::catalog::video::{Span, Video};
use crate::error::Result;

/// Whether a number was counted or estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Counted.
    Exact,
    /// Estimated.
    Estimated,
}

/// In which way a channel's candidates were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Among all allowed rows.
    Exact,
    /// By the codes of all allowed rows, the best of which were looked at closely: there is no graph, or it is not in memory.
    Codes,
    /// By a walk through a graph that passes over what the filter leaves out.
    FilteredWalk,
    /// By a walk through a graph.
    Approximate,
}

/// The way of each channel; where parts went different ways, the least exact.
pub type Plan = BTreeMap<Channel, Way>;

/// Text with the words that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// The text, or a part of it.
    pub text: String,
    /// `[start, end)` of each matching word in Unicode code points (not bytes), ascending.
    pub highlights: Vec<[u32; 2]>,
}

/// Evidence for a moment, with the numbers that made its part of the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HitMatch {
    /// The kind of evidence.
    pub channel: Channel,
    /// First instant in seconds.
    pub start: f64,
    /// First instant after.
    pub end: f64,
    /// How often such evidence is right, in (0, 1]; where that was not fitted, the confidence that it was ranked by.
    pub confidence: f32,
    /// The channel's weight, in (0, 1].
    pub weight: f32,
    /// Its part of the moment's score; the parts of all matches add up to it.
    pub contribution: f32,
    /// Which question of a compound it answers, counted in the order in which they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Which clause of the question it answers best; none for the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clause: Option<u32>,
    /// The raw cosine, where vectors were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
    /// The raw BM25 score, where words matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexical: Option<f32>,
    /// The BM25 score over the best that the query could have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexical_ratio: Option<f32>,
    /// The rank on the channel, where ranks were fused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// What the segment says: a part of its text, or its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
}

/// A span of a video with the evidence for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HitMoment {
    /// First instant in seconds.
    pub start: f64,
    /// First instant after.
    pub end: f64,
    /// The instant to show, within the moment.
    pub peak: f64,
    /// In (0, 1].
    pub score: f32,
    /// The evidence; contributions add up to the score.
    pub matches: Vec<HitMatch>,
}

/// A video with its moments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The video.
    pub video: Video,
    /// The score of its best moment.
    pub score: f32,
    /// Best first.
    pub moments: Vec<HitMoment>,
}

/// How long a search took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Timing {
    /// All of it.
    pub seconds: f64,
    /// The part of it that went only into the total and the facets.
    pub counting_seconds: f64,
}

/// One page of hits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchResult {
    /// By score, the best first.
    pub hits: Vec<Hit>,
    /// Videos that the query returns without a limit.
    pub total: u64,
    /// Whether `total` is exact.
    pub total_relation: Relation,
    /// Counts by column.
    pub facets: BTreeMap<String, Counts>,
    /// For the next page; none after the last.
    pub next_cursor: Option<String>,
    /// What was searched.
    pub snapshot: u64,
    /// How it was searched.
    pub plan: Plan,
    /// How long it took.
    pub timing: Timing,
}

impl Snippet {
    /// Highlights given as byte ranges of `text`; those that don't fall on characters are left out.
    #[must_use]
    pub(crate) fn from_byte_ranges(text: String, ranges: &[Range<usize>]) -> Self {
        let mut ranges: Vec<_> = ranges.iter().filter(|range| text.get((*range).clone()).is_some()).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let (mut bytes, mut points) = (0, 0);
        let mut highlights = Vec::with_capacity(ranges.len());
        for range in ranges {
            let count = |from: usize, to: usize| text.get(from..to).map_or(0, |part| part.chars().count() as u32);
            points += count(bytes, range.start);
            bytes = range.start;
            highlights.push([points, points + count(range.start, range.end)]);
        }
        Self { text, highlights }
    }
}

impl HitMatch {
    /// A match with what it says.
    pub(super) fn new(scored: ScoredMatch, snippet: Option<Snippet>) -> Self {
        let ScoredMatch { evidence, weight, contribution } = scored;
        Self {
            channel: evidence.channel,
            start: evidence.span.start,
            end: evidence.span.end,
            confidence: evidence.reported,
            weight,
            contribution,
            part: None,
            clause: evidence.clause,
            cosine: evidence.cosine,
            lexical: evidence.lexical,
            lexical_ratio: evidence.lexical_ratio,
            rank: evidence.rank,
            snippet,
        }
    }
}

impl HitMoment {
    /// A moment with the words of its matches: `describe` gives what each says.
    ///
    /// # Errors
    /// Whatever `describe` returns.
    pub fn new(moment: Moment, mut describe: impl FnMut(&ScoredMatch) -> Result<Option<Snippet>>) -> Result<Self> {
        let Span { start, end } = moment.span;
        let matches = moment.matches.into_iter().map(|scored| {
            let snippet = describe(&scored)?;
            Ok(HitMatch::new(scored, snippet))
        });
        let matches = matches.collect::<Result<_>>()?;
        Ok(Self { start, end, peak: moment.peak_seconds, score: moment.score, matches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_count_code_points() {
        let snippet = Snippet::from_byte_ranges("über Öfen".to_owned(), &[6..11, 0..5]);
        assert_eq!(snippet.highlights, [[0, 4], [5, 9]]);
        let words: Vec<String> = snippet
            .highlights
            .iter()
            .map(|&[from, to]| snippet.text.chars().skip(from as usize).take((to - from) as usize).collect())
            .collect();
        assert_eq!(words, ["über", "Öfen"]);
    }

    #[test]
    fn highlights_that_split_a_character_are_left_out() {
        let snippet = Snippet::from_byte_ranges("über".to_owned(), &[1..3, 0..99, 2..3]);
        assert_eq!(snippet.highlights, [[1, 2]]);
    }
}
