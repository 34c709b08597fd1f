//! Counts the words of a query in one part, and scores its rows.
//!
//! The postings of all rows, or of those asked for, are read for every clause and added up in the order of the clauses, so
//! a row's score is the same sum of the same numbers whatever else is in the part or is asked for. A clause counts for a
//! row by the best of the ways in which the row matches it:
//! - the word itself: rarity × saturation
//! - the word joined with its neighbours, or cut in two: `REJOINED` of that
//! - a word one edit away: `VARIANT` of that, and no more rarity than the other word has itself
//!
//! Words that are neighbours both in the query and in the row add `ORDERED` of the best score of the commoner one, so that
//! of two rows with the same words the one with the same phrase comes first (the ordered bigrams of Metzler & Croft 2005,
//! "A Markov random field model for term dependencies").
//!
//! Costs a few nanoseconds a posting. A word forgiven a letter costs a walk through the dictionary when counting,
//! unless it was asked for not long ago (`lookup_cache`).

use std::borrow::Cow;
use std::ops::Range;

use tantivy::fieldnorm::FieldNormReader;

use super::index::{Lengths, TextIndex, guarded};
use super::lookup::{AllowedPlaces, ChannelWords};
use super::places::Places;
use super::query::{Clause, ClauseKind, Occur, Pair, TextQuery};
use super::stats::{ClauseStats, TextStats, saturate};
use super::zeros;
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};

/// What words written together, or a word written as two, are worth compared with the word itself.
const REJOINED: f32 = 0.8;
/// What a word with one wrong letter is worth compared with the word itself.
const VARIANT: f32 = 0.5;

impl TextIndex {
    /// Adds what the live rows of this part hold of the query's words on a channel.
    ///
    /// # Errors
    /// `damaged` if the part is; `invalid_query` if the query is in another language than the part; `internal` if the
    /// statistics belong to another query or channel.
    pub fn collect(&self, query: &TextQuery, channel: Channel, live: &RowSet, stats: &mut TextStats) -> Result<()> {
        self.check(query)?;
        stats.prepare(channel, query.clauses.len())?;
        let Some(row_lengths) = self.row_lengths(channel)? else { return Ok(()) };
        let words = self.words_of(channel)?;
        let mut counted = vec![ClauseStats::default(); query.clauses.len()];
        let places = Places::all(self.head.row_count);
        let live = AllowedPlaces::new(&places, live);
        let lengths = self.live_lengths(channel, row_lengths, live);
        guarded(&self.path(), || {
            for (clause, counts) in query.clauses.iter().zip(&mut counted) {
                if clause.occur == Occur::MustNot {
                    continue;
                }
                match &clause.kind {
                    ClauseKind::Word { stem, .. } => counts.row_counts.push(words.count(stem, live)?),
                    ClauseKind::Prefix { form } => {
                        let mut holding = RowSet::empty(self.head.row_count);
                        words
                            .each_with_prefix(form, |postings| live.each_row(postings, |row, _| holding.insert(row)))?;
                        counts.row_counts.push(u64::from(holding.count()));
                    }
                    ClauseKind::Phrase { stems } => {
                        for stem in stems {
                            counts.row_counts.push(words.count(stem, live)?);
                        }
                    }
                }
            }
            Ok(())
        })?;
        stats.merge(&TextStats {
            channel: Some(channel),
            row_count: lengths.row_count,
            word_count: lengths.word_count,
            clauses: counted,
        })
    }

    /// Counts, in the live rows of this part, the words that are one letter away from a word of the query that may be
    /// misspelled (`TextStats::forgives`). To be merged with `stats`, which must have been collected from every part.
    ///
    /// # Errors
    /// As `collect`.
    pub fn collect_variants(
        &self,
        query: &TextQuery,
        channel: Channel,
        live: &RowSet,
        stats: &TextStats,
    ) -> Result<TextStats> {
        self.check(query)?;
        let mut found = TextStats::default();
        found.prepare(channel, query.clauses.len())?;
        if self.row_lengths(channel)?.is_none() {
            return Ok(found);
        }
        let words = self.words_of(channel)?;
        let places = Places::all(self.head.row_count);
        let live = AllowedPlaces::new(&places, live);
        guarded(&self.path(), || {
            for (index, (clause, counts)) in query.clauses.iter().zip(&mut found.clauses).enumerate() {
                if let Some(stem) = stats.forgives(index, clause) {
                    words.each_variant(stem, live, |variant, rows| {
                        counts.variants.insert(variant.to_owned(), rows);
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Every allowed row that matches, with its score, ascending by row. `allowed` must hold live rows only, and
    /// `stats` must have been collected from every part of the snapshot, the variants too.
    ///
    /// # Errors
    /// As `collect`.
    pub fn search(
        &self,
        query: &TextQuery,
        channel: Channel,
        stats: &TextStats,
        allowed: &RowSet,
    ) -> Result<Vec<(u32, f32)>> {
        self.score(query, channel, stats, allowed, &Places::all(self.head.row_count))
    }

    /// What `search` finds in `rows`, ranges that ascend and don't overlap. Reads the postings of these rows alone, except
    /// that for a prefix every word has to be opened.
    ///
    /// # Errors
    /// As `collect`.
    pub fn score_rows(
        &self,
        query: &TextQuery,
        channel: Channel,
        stats: &TextStats,
        allowed: &RowSet,
        rows: &[Range<u32>],
    ) -> Result<Vec<(u32, f32)>> {
        self.score(query, channel, stats, allowed, &Places::of(rows.iter().cloned(), self.head.row_count))
    }

    fn score(
        &self,
        query: &TextQuery,
        channel: Channel,
        stats: &TextStats,
        allowed: &RowSet,
        places: &Places,
    ) -> Result<Vec<(u32, f32)>> {
        self.read(query, channel, stats, |of| Scoring::new(of, places, allowed).run())
    }

    /// Calls `read` with what rows are scored by, unless no row can match.
    pub(super) fn read<T: Default>(
        &self,
        query: &TextQuery,
        channel: Channel,
        stats: &TextStats,
        read: impl FnOnce(PartQuery<'_>) -> tantivy::Result<T>,
    ) -> Result<T> {
        self.check(query)?;
        if query.is_empty() {
            return Ok(T::default());
        }
        let Some(row_lengths) = self.row_lengths(channel)? else { return Ok(T::default()) };
        let mut stats_of = stats.clone();
        stats_of.prepare(channel, query.clauses.len())?;
        let words = self.words_of(channel)?;
        guarded(&self.path(), || read(PartQuery { query, stats: &stats_of, words, row_lengths }))
    }

    fn check(&self, query: &TextQuery) -> Result<()> {
        if query.language == self.head.language {
            return Ok(());
        }
        let (got, expected) = (query.language.name(), self.head.language.name());
        Err(Error::InvalidQuery { detail: format!("the query is in {got}, the library in {expected}") })
    }

    /// The lengths of the live rows; the last answer is kept, since deletes are rare and queries are not.
    fn live_lengths(&self, channel: Channel, row_lengths: &[u8], live: AllowedPlaces<'_>) -> Lengths {
        if live.is_everything() {
            return self.head.lengths.get(channel.index()).copied().unwrap_or_default();
        }
        // Of all rows the place is the row.
        let live = live.set();
        if let Some((counted, lengths)) = self.counted_lengths.lock().get(&channel)
            && counted == live
        {
            return *lengths;
        }
        let rows = row_lengths.iter().zip(0..).filter(|(_, row)| live.contains(*row));
        let lengths = rows.fold(Lengths::default(), |sum, (length, _)| sum.plus(*length));
        self.counted_lengths.lock().insert(channel, (live.clone(), lengths));
        lengths
    }
}

/// A query on one channel of one part: what its rows are scored by.
#[derive(Clone, Copy)]
pub(super) struct PartQuery<'a> {
    pub(super) query: &'a TextQuery,
    pub(super) stats: &'a TextStats,
    pub(super) words: ChannelWords<'a>,
    pub(super) row_lengths: &'a [u8],
}

/// One query over rows of one part. All sets and lists are by place.
pub(super) struct Scoring<'a> {
    query: &'a TextQuery,
    stats: &'a TextStats,
    words: ChannelWords<'a>,
    places: &'a Places,
    row_lengths: Cow<'a, [u8]>,
    /// By the length of a row: what it adds to the denominator of the saturation.
    norms: [f32; 256],
    allowed: Cow<'a, RowSet>,
    /// By place: the sum of the clauses so far, and those with one. Empty until `run`.
    scores: Vec<f32>,
    matched: RowSet,
    clause: Best,
}

/// The best score that each row has from the clause at hand.
#[derive(Default)]
struct Best {
    /// By place, 0 where the clause was not found. Empty until a clause needs it.
    scores: Vec<f32>,
    /// Those with a score.
    places: Vec<u32>,
}

impl Best {
    #[inline]
    fn offer(&mut self, place: u32, score: f32) {
        if let Some(best) = self.scores.get_mut(place as usize) {
            if *best == 0.0 {
                self.places.push(place);
            }
            *best = best.max(score);
        }
    }
}

impl<'a> Scoring<'a> {
    pub(super) fn new(asked: PartQuery<'a>, places: &'a Places, allowed: &'a RowSet) -> Self {
        let PartQuery { query, stats, words, row_lengths } = asked;
        let norm = |id: usize| stats.length_norm(FieldNormReader::id_to_fieldnorm(id as u8));
        Self {
            query,
            stats,
            words,
            places,
            row_lengths: places.of_bytes(row_lengths),
            norms: std::array::from_fn(norm),
            allowed: places.of_set(allowed),
            scores: Vec::new(),
            matched: RowSet::default(),
            clause: Best::default(),
        }
    }

    /// The rows that match, with their scores.
    pub(super) fn run(mut self) -> tantivy::Result<Vec<(u32, f32)>> {
        self.scores = zeros::take(self.places.len() as usize);
        self.matched = RowSet::empty(self.places.len());
        // The clauses are ordered: required ones and exclusions narrow the rows for those that only add to the score.
        for (index, clause) in self.query.clauses.iter().enumerate() {
            self.apply(index, clause)?;
        }
        for pair in &self.query.pairs {
            self.add_pair(pair)?;
        }
        Ok(self.finish())
    }

    /// The rows that matched so far, with their scores.
    fn finish(mut self) -> Vec<(u32, f32)> {
        let score =
            |(place, row): (u32, u32)| self.scores.get_mut(place as usize).map(|sum| (row, std::mem::take(sum)));
        let found: Vec<(u32, f32)> = self.places.rows(&self.matched).filter_map(score).collect();
        if self.query.clauses.iter().all(|clause| clause.occur == Occur::Should) {
            // Every row that has a score matched, so there are only zeros left.
            zeros::give_back(self.scores);
            zeros::give_back(self.clause.scores);
        }
        found
    }

    /// Adds what a clause is worth to the rows that match it, or narrows the rows by it.
    fn apply(&mut self, index: usize, clause: &Clause) -> tantivy::Result<()> {
        if clause.occur == Occur::MustNot {
            let mut gone = Vec::new();
            self.exact(&clause.kind, |place, _| gone.push(place))?;
            for place in gone {
                self.allowed.to_mut().remove(place);
                self.matched.remove(place);
            }
            return Ok(());
        }
        let others = self.other_ways(index, &clause.kind)?;
        let is_once = !matches!(clause.kind, ClauseKind::Prefix { .. });
        if clause.occur == Occur::Should && is_once && others.is_empty() {
            return self.add_clause(index, &clause.kind);
        }
        self.offer_clause(index, &clause.kind, &others)?;
        if clause.occur == Occur::Must {
            let mut holding = RowSet::empty(self.allowed.universe());
            for &place in &self.clause.places {
                holding.insert(place);
            }
            self.allowed.to_mut().intersect(&holding);
            self.matched.intersect(&holding);
        }
        for place in self.clause.places.drain(..) {
            let at = place as usize;
            if let (Some(sum), Some(best)) = (self.scores.get_mut(at), self.clause.scores.get_mut(at)) {
                *sum += std::mem::take(best);
                self.matched.insert(place);
            }
        }
        Ok(())
    }

    /// What a clause is worth to the places that match it, ascending.
    pub(super) fn worth(&self, index: usize, clause: &Clause) -> tantivy::Result<Vec<(u32, f32)>> {
        let (rarity, others) = (self.stats.weight(index, &clause.kind), self.other_ways(index, &clause.kind)?);
        let mut found = Vec::new();
        self.exact(&clause.kind, |place, frequency| {
            found.push((place, rarity * saturate(frequency, self.norm(place))));
        })?;
        if !others.is_empty() {
            found.extend(others);
            found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            found.dedup_by_key(|(place, _)| *place);
        }
        Ok(found)
    }

    /// Adds a clause that a row matches as it is written or not at all, and only once.
    fn add_clause(&mut self, index: usize, kind: &ClauseKind) -> tantivy::Result<()> {
        let rarity = self.stats.weight(index, kind);
        let (mut scores, mut matched) = (std::mem::take(&mut self.scores), std::mem::take(&mut self.matched));
        let (row_lengths, norms): (&[u8], &[f32; 256]) = (&self.row_lengths, &self.norms);
        self.exact(kind, |place, frequency| {
            let at = place as usize;
            if let (Some(sum), Some(&length)) = (scores.get_mut(at), row_lengths.get(at)) {
                let norm = norms.get(usize::from(length)).copied().unwrap_or(1.0);
                *sum += rarity * saturate(frequency, norm);
                matched.insert(place);
            }
        })?;
        (self.scores, self.matched) = (scores, matched);
        Ok(())
    }

    /// Places of rows that match a word written otherwise, with what that is worth; one may come several times.
    fn other_ways(&self, index: usize, kind: &ClauseKind) -> tantivy::Result<Vec<(u32, f32)>> {
        let mut found = Vec::new();
        let ClauseKind::Word { halves, .. } = kind else { return Ok(found) };
        let rarity = self.stats.weight(index, kind);
        for join in self.query.joins.iter().filter(|join| join.clauses.contains(&index)) {
            self.word(&join.stem, |place, frequency| {
                found.push((place, REJOINED * rarity * saturate(frequency, self.norm(place))));
            })?;
        }
        for (left, right) in halves {
            self.words.each_phrase(&[(0, left), (1, right)], self.places, &self.allowed, |place, frequency| {
                found.push((place, REJOINED * rarity * saturate(frequency, self.norm(place))));
            })?;
        }
        self.variants(index, rarity, &mut found)?;
        Ok(found)
    }

    fn offer_clause(&mut self, index: usize, kind: &ClauseKind, others: &[(u32, f32)]) -> tantivy::Result<()> {
        let rarity = self.stats.weight(index, kind);
        let mut best = self.take_best();
        self.exact(kind, |place, frequency| best.offer(place, rarity * saturate(frequency, self.norm(place))))?;
        for &(place, score) in others {
            best.offer(place, score);
        }
        self.clause = best;
        Ok(())
    }

    fn take_best(&mut self) -> Best {
        let mut best = std::mem::take(&mut self.clause);
        if best.scores.is_empty() {
            best.scores = zeros::take(self.places.len() as usize);
        }
        best
    }

    fn add_pair(&mut self, pair: &Pair) -> tantivy::Result<()> {
        let (worth, [first, second]) = (self.stats.pair_weight(self.query, pair), pair.clauses);
        if worth <= 0.0 {
            return Ok(());
        }
        let mut best = self.take_best();
        for one in self.ways(first) {
            for other in self.ways(second) {
                let phrase = [(0, one), (pair.distance, other)];
                self.words.each_phrase(&phrase, self.places, &self.matched, |place, _| best.offer(place, worth))?;
            }
        }
        for join in &self.query.joins {
            if join.clauses.contains(&first) && join.clauses.contains(&second) {
                self.words.each_row(&join.stem, self.places, &self.matched, |place, _| best.offer(place, worth))?;
            }
        }
        for place in best.places.drain(..) {
            let at = place as usize;
            if let (Some(sum), Some(best)) = (self.scores.get_mut(at), best.scores.get_mut(at)) {
                *sum += std::mem::take(best);
            }
        }
        self.clause = best;
        Ok(())
    }

    /// The spellings of a clause's word that count.
    fn ways(&self, index: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let (query, stats) = (self.query, self.stats);
        let stem = query.clauses.get(index).and_then(|clause| match &clause.kind {
            ClauseKind::Word { stem, .. } => Some(stem.as_str()),
            ClauseKind::Prefix { .. } | ClauseKind::Phrase { .. } => None,
        });
        let variants = stats.clauses.get(index).into_iter().flat_map(|counts| counts.variants.keys());
        stem.into_iter().chain(variants.map(String::as_str))
    }

    fn variants(&self, index: usize, rarity: f32, found: &mut Vec<(u32, f32)>) -> tantivy::Result<()> {
        let Some(counts) = self.stats.clauses.get(index) else { return Ok(()) };
        for (variant, holding) in &counts.variants {
            let rarity = rarity.min(self.stats.rarity(*holding));
            self.word(variant, |place, frequency| {
                found.push((place, VARIANT * rarity * saturate(frequency, self.norm(place))));
            })?;
        }
        Ok(())
    }

    fn norm(&self, place: u32) -> f32 {
        let length = self.row_lengths.get(place as usize).copied().unwrap_or_default();
        self.norms.get(usize::from(length)).copied().unwrap_or(1.0)
    }

    /// Rows that match as the clause is written.
    fn exact(&self, kind: &ClauseKind, mut take: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        match kind {
            ClauseKind::Word { stem, .. } => self.word(stem, take),
            ClauseKind::Phrase { stems } => {
                let stems: Vec<(u32, &str)> = (0..).zip(stems.iter().map(String::as_str)).collect();
                self.words.each_phrase(&stems, self.places, &self.allowed, take)
            }
            ClauseKind::Prefix { form } => {
                let allowed = AllowedPlaces::new(self.places, &self.allowed);
                self.words.each_with_prefix(form, |postings| allowed.each_row(postings, &mut take))
            }
        }
    }

    fn word(&self, stem: &str, take: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        self.words.each_row(stem, self.places, &self.allowed, take)
    }
}
