//! Finds the rows of a part that probably score best, by the postings of rare words alone.
//!
//! The more rows hold a word, the less it is worth and the more it costs to read. So a row that scores high holds one of
//! the rarer words of a query, and only these are read: the rarest first, until the next has too many postings.

use super::index::TextIndex;
use super::places::Places;
use super::query::{Clause, ClauseKind, Occur, TextQuery};
use super::search::{PartQuery, Scoring};
use super::stats::TextStats;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::Result;

impl TextIndex {
    /// About the `count` rows that `search` would score best, best first, and of equal scores the first row.
    ///
    /// Only the rarest words of the query are read: at least one, and no more than have `postings` postings together. Words
    /// in the query's order add nothing here. So, apart from rounding, a score is no higher than that of `search`. A query
    /// that has anything but plain words is answered by `search`.
    ///
    /// # Errors
    /// As `collect`.
    pub fn likely(
        &self,
        query: &TextQuery,
        channel: Channel,
        stats: &TextStats,
        allowed: &RowSet,
        (count, postings): (usize, usize),
    ) -> Result<Vec<(u32, f32)>> {
        let is_word = |kind: &ClauseKind| matches!(kind, ClauseKind::Word { .. });
        if !query.clauses.iter().all(|clause| clause.occur == Occur::Should && is_word(&clause.kind)) {
            return Ok(best_of(self.search(query, channel, stats, allowed)?, count));
        }
        let all = Places::all(self.row_count());
        self.read(query, channel, stats, |asked| {
            // Of all rows the place is the row.
            let scoring = Scoring::new(asked, &all, allowed);
            let (mut found, mut left) = (Vec::new(), postings);
            for (at, word) in words_of(asked)?.into_iter().enumerate() {
                if at > 0 && word.posting_count > left {
                    break;
                }
                left = left.saturating_sub(word.posting_count);
                found = added(&found, &scoring.worth(word.index, word.clause)?);
            }
            Ok(best_of(found, count))
        })
    }
}

/// A word of the query.
struct AskedWord<'a> {
    index: usize,
    clause: &'a Clause,
    posting_count: usize,
}

/// The words of a query that has nothing else, the rarest first.
fn words_of(asked: PartQuery<'_>) -> tantivy::Result<Vec<AskedWord<'_>>> {
    let mut words = Vec::with_capacity(asked.query.clauses.len());
    for (index, clause) in asked.query.clauses.iter().enumerate() {
        if let ClauseKind::Word { stem, .. } = &clause.kind {
            words.push(AskedWord { index, clause, posting_count: asked.words.posting_count(stem)? as usize });
        }
    }
    words.sort_by_key(|word| word.posting_count);
    Ok(words)
}

/// The rows of two ascending lists, each with the sum of its scores. Adding up in one number for each row of a large part
/// would miss the cache at every posting.
fn added(one: &[(u32, f32)], other: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut sums = Vec::with_capacity(one.len() + other.len());
    let (mut at, mut there) = (0, 0);
    while let (Some(&(row, score)), Some(&(other_row, other_score))) = (one.get(at), other.get(there)) {
        let (here, is_there) = (row <= other_row, other_row <= row);
        let sum = if here { score } else { 0.0 } + if is_there { other_score } else { 0.0 };
        sums.push((row.min(other_row), sum));
        at += usize::from(here);
        there += usize::from(is_there);
    }
    sums.extend(one.get(at..).into_iter().flatten());
    sums.extend(other.get(there..).into_iter().flatten());
    sums
}

/// The `count` rows with the best scores, best first, of equal ones the first. `found` ascends by row.
fn best_of(found: impl IntoIterator<Item = (u32, f32)>, count: usize) -> Vec<(u32, f32)> {
    let mut leaders = Leaders::new(count);
    found.into_iter().for_each(|(row, score)| leaders.offer(row, score));
    leaders.finish()
}

/// The best rows so far, and some others that have not been sorted out yet.
struct Leaders {
    count: usize,
    best: Vec<(u32, f32)>,
    /// The score that the next row must exceed to be among the best.
    bar: f32,
}

impl Leaders {
    fn new(count: usize) -> Self {
        Self { count, best: Vec::new(), bar: f32::NEG_INFINITY }
    }

    #[inline]
    fn offer(&mut self, row: u32, score: f32) {
        if score > self.bar {
            self.best.push((row, score));
            if self.best.len() >= self.count.saturating_mul(2).max(64) {
                let last = self.best.select_nth_unstable_by(self.count.saturating_sub(1), by_score).1;
                self.bar = last.1;
                self.best.truncate(self.count);
            }
        }
    }

    fn finish(mut self) -> Vec<(u32, f32)> {
        self.best.sort_unstable_by(by_score);
        self.best.truncate(self.count);
        self.best
    }
}

fn by_score(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}
