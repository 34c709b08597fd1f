//! BM25, with statistics of the whole snapshot instead of one index.
//!
//! The statistics of a query are counted over the live rows of every part: how many rows have text on the channel, how
//! long they are, and how many of them hold each word. Only then is anything scored, so a score is the same however the
//! rows are spread over parts, and whatever was deleted. All counts are integers, so their order does not matter.
//!
//! `K1` and `B` are below the textbook's 1.2 and 0.75, which are for long documents: a caption or a spoken sentence
//! either mentions a thing or does not, and one that mentions it once is no third of a match. With `K1` = 0.3 and
//! `B` = 0.4 a text of average length that holds every word once reaches 0.77 of the ideal, one of a fifth of that
//! length 0.83, one five times as long 0.56, and one ten times as long 0.42.

use std::collections::BTreeMap;

use super::query::{Clause, ClauseKind, Occur, Pair, TextQuery};
use crate::catalog::channel::Channel;
use crate::error::{Error, Result};

/// How soon further repetitions of a word stop adding to a score.
pub const K1: f32 = 0.3;
/// How much long texts are held back, 0 to 1.
pub const B: f32 = 0.4;

/// What two words in the query's order are worth beside the words themselves.
pub(super) const ORDERED: f32 = 0.15;

/// Neighbours are looked for only where the rarer word is in at most this many rows: finding them costs as much as reading
/// every position of that word, and for common words it says little.
const PAIRED_ROWS: u64 = 10_000;

/// What is known of a query's words on one channel over all live rows.
///
/// It starts empty (`TextStats::default()`). First every part adds its counts (`TextIndex::collect`), or parts are counted
/// apart and merged. Then the same is done for the variants of words that no row holds (`TextIndex::collect_variants`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextStats {
    pub(super) channel: Option<Channel>,
    pub(super) row_count: u64,
    /// Lengths above 40 words are counted in steps (tantivy's field norms).
    pub(super) word_count: u64,
    pub(super) clauses: Vec<ClauseStats>,
}

/// The counts of one clause.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ClauseStats {
    /// Rows that hold the word, or any word with the prefix, or each word of the phrase.
    pub(super) row_counts: Vec<u64>,
    /// Words one edit away that occur, with the rows that hold them.
    pub(super) variants: BTreeMap<String, u64>,
}

impl TextStats {
    /// Live rows with text on the channel.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Adds what was counted elsewhere for the same query and channel.
    ///
    /// # Errors
    /// `internal` if it was another query or channel.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let Some(channel) = other.channel else { return Ok(()) };
        self.prepare(channel, other.clauses.len())?;
        self.row_count += other.row_count;
        self.word_count += other.word_count;
        for (mine, theirs) in self.clauses.iter_mut().zip(&other.clauses) {
            mine.row_counts.resize(mine.row_counts.len().max(theirs.row_counts.len()), 0);
            for (mine, theirs) in mine.row_counts.iter_mut().zip(&theirs.row_counts) {
                *mine += theirs;
            }
            for (variant, count) in &theirs.variants {
                *mine.variants.entry(variant.clone()).or_default() += count;
            }
        }
        Ok(())
    }

    /// The highest score that any text could reach: every clause that counts repeated without end, and every pair. A score
    /// divided by it lies in [0, 1]. Words that occur nowhere weigh the most, so they hold down every score of the query.
    /// Zero only for a query without a clause that counts.
    #[must_use]
    pub fn ideal(&self, query: &TextQuery) -> f32 {
        let mut sum = 0.0;
        for (index, clause) in query.clauses.iter().enumerate() {
            if clause.occur != Occur::MustNot {
                sum += self.weight(index, &clause.kind) * (K1 + 1.0);
            }
        }
        sum + query.pairs.iter().map(|pair| self.pair_weight(query, pair)).sum::<f32>()
    }

    /// What a row gains by holding two words in the query's order; 0 where both are too common to be looked for.
    pub(super) fn pair_weight(&self, query: &TextQuery, pair: &Pair) -> f32 {
        let holding = |index: usize| {
            let clause = self.clauses.get(index);
            clause.and_then(|clause| clause.row_counts.first()).copied().unwrap_or(0)
        };
        if pair.clauses.into_iter().all(|index| holding(index) > PAIRED_ROWS) {
            return 0.0;
        }
        let weight = |index: usize| query.clauses.get(index).map_or(0.0, |clause| self.weight(index, &clause.kind));
        ORDERED * (K1 + 1.0) * weight(pair.clauses[0]).min(weight(pair.clauses[1]))
    }

    pub(super) fn prepare(&mut self, channel: Channel, clause_count: usize) -> Result<()> {
        let expected = *self.channel.get_or_insert(channel);
        if self.clauses.is_empty() {
            self.clauses.resize(clause_count, ClauseStats::default());
        }
        if expected != channel || self.clauses.len() != clause_count {
            return Err(Error::Internal {
                detail: format!(
                    "statistics of channel {} and {} clauses were used for channel {} and {clause_count}",
                    expected.name(),
                    self.clauses.len(),
                    channel.name()
                ),
            });
        }
        Ok(())
    }

    /// The stem of a clause's word if a text may have it with a wrong letter. Words in pictures are misread all the time; on
    /// other channels a wrong letter is the user's, which shows when no text has the word.
    pub(super) fn forgives<'a>(&self, index: usize, clause: &'a Clause) -> Option<&'a str> {
        let ClauseKind::Word { stem, fuzzy: true, .. } = &clause.kind else { return None };
        let holding = self.clauses.get(index).and_then(|counts| counts.row_counts.first()).copied().unwrap_or(0);
        let is_wrong = self.channel == Some(Channel::Screen) || holding == 0;
        (clause.occur != Occur::MustNot && is_wrong).then_some(stem.as_str())
    }

    /// Whether words one letter away have to be looked for (`TextIndex::collect_variants`).
    #[must_use]
    pub(crate) fn forgives_any(&self, query: &TextQuery) -> bool {
        query.clauses.iter().enumerate().any(|(index, clause)| self.forgives(index, clause).is_some())
    }

    /// The inverse document frequency of a clause; of a phrase, the sum over its words.
    pub(super) fn weight(&self, index: usize, kind: &ClauseKind) -> f32 {
        let counts = self.clauses.get(index).map_or(&[][..], |clause| &clause.row_counts);
        let word_count = match kind {
            ClauseKind::Word { .. } | ClauseKind::Prefix { .. } => 1,
            ClauseKind::Phrase { stems } => stems.len(),
        };
        (0..word_count).map(|word| self.rarity(counts.get(word).copied().unwrap_or(0))).sum()
    }

    /// ln(1 + (N - n + 0.5) / (n + 0.5)), always above zero.
    pub(super) fn rarity(&self, holding: u64) -> f32 {
        let without = self.row_count.saturating_sub(holding) as f32;
        ((without + 0.5) / (holding as f32 + 0.5)).ln_1p()
    }

    /// K1 (1 - B + B length / average) for a row of so many words.
    pub(super) fn length_norm(&self, word_count: u32) -> f32 {
        let average = if self.row_count == 0 { 1.0 } else { (self.word_count as f64 / self.row_count as f64) as f32 };
        K1 * (1.0 - B + B * word_count as f32 / average.max(1.0))
    }
}

/// (K1 + 1) f / (f + norm): grows with the frequency, never above K1 + 1.
#[inline]
pub(super) fn saturate(frequency: u32, length_norm: f32) -> f32 {
    let frequency = frequency as f32;
    (K1 + 1.0) * (frequency / (frequency + length_norm))
}
