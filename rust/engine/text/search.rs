//! Counts the words of a query in one part, and scores its rows.
//!
//! Postings are read in full for every clause and added up in the order of the clauses, so a row's score is the same
//! sum of the same numbers whatever else lies in the part. A clause gives a row the best of its ways to match:
//! - the word itself: rarity × saturation
//! - the word joined with its neighbours, or cut in two: `REJOINED` of that
//! - a word one edit away: `VARIANT` of that, and no more rarity than the other word has itself
//!
//! Costs a few nanoseconds a posting. A word forgiven a letter costs a walk through the dictionary when counting.

use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, SegmentReader, TERMINATED, Term};

use super::index::{ChannelFields, Lengths, TextIndex, guarded};
use super::query::{ClauseKind, Occur, TextQuery};
use super::stats::{ClauseStats, TextStats, saturate};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};

/// What words run together, or one word in two, are worth of the word itself.
const REJOINED: f32 = 0.8;
/// What a word with one wrong letter is worth.
const VARIANT: f32 = 0.5;
/// Allowed rows are looked up one by one in postings at least this many times as long.
const SEEK_RATIO: u32 = 32;

impl TextIndex {
    /// Adds what the live rows of this part hold of the query's words on a channel.
    ///
    /// # Errors
    /// `damaged` if the part is; `invalid_query` if the query is in another language than the part; `internal` if the
    /// statistics belong to another query or channel.
    pub fn collect(&self, query: &TextQuery, channel: Channel, live: &RowSet, stats: &mut TextStats) -> Result<()> {
        self.check(query)?;
        stats.prepare(channel, query.clauses.len())?;
        if self.head.lengths.get(channel.index()).is_none_or(|lengths| lengths.row_count == 0) {
            return Ok(());
        }
        let reader = self.reader()?;
        let all_live = live.count() >= self.head.row_count;
        let mut counted = vec![ClauseStats::default(); query.clauses.len()];
        let lengths = self.lengths(channel, live, all_live)?;
        let live = Allowed::new(live);
        guarded(&self.path(), || {
            let Some(words) = Words::open(reader, channel)? else { return Ok(()) };
            for (clause, counts) in query.clauses.iter().zip(&mut counted) {
                if clause.occur == Occur::MustNot {
                    continue;
                }
                match &clause.kind {
                    ClauseKind::Word { stem, fuzzy, .. } => {
                        let holding = words.count(stem, live, all_live)?;
                        counts.row_counts.push(holding);
                        // Pictures of words are misread all the time; elsewhere a wrong letter is the user's, and
                        // shows in that nothing has the word.
                        if *fuzzy && (channel == Channel::Screen || holding == 0) {
                            words.variants(stem, live, all_live, counts)?;
                        }
                    }
                    ClauseKind::Prefix { form } => {
                        let mut holding = RowSet::empty(self.head.row_count);
                        words.each_form(form, |postings| live.each_row(postings, |row, _| holding.insert(row)))?;
                        counts.row_counts.push(u64::from(holding.count()));
                    }
                    ClauseKind::Phrase { stems } => {
                        for stem in stems {
                            counts.row_counts.push(words.count(stem, live, all_live)?);
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

    /// Every allowed row that matches, with its score, ascending by row. `allowed` must hold live rows only, and
    /// `stats` must have been collected from every part of the snapshot.
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
        self.check(query)?;
        if query.is_empty() || self.head.lengths.get(channel.index()).is_none_or(|lengths| lengths.row_count == 0) {
            return Ok(Vec::new());
        }
        let mut stats_of = stats.clone();
        stats_of.prepare(channel, query.clauses.len())?;
        let reader = self.reader()?;
        guarded(&self.path(), || {
            let Some(words) = Words::open(reader, channel)? else { return Ok(Vec::new()) };
            let norms = reader.get_fieldnorms_reader(words.fields.stems)?;
            Scoring::new(query, &stats_of, &words, &norms, allowed).run()
        })
    }

    fn check(&self, query: &TextQuery) -> Result<()> {
        if query.language == self.head.language {
            return Ok(());
        }
        let (got, expected) = (query.language.name(), self.head.language.name());
        Err(Error::InvalidQuery { detail: format!("the query is in {got}, the library in {expected}") })
    }

    fn lengths(&self, channel: Channel, live: &RowSet, all_live: bool) -> Result<Lengths> {
        if all_live {
            return Ok(self.head.lengths.get(channel.index()).copied().unwrap_or_default());
        }
        if let Some((counted, lengths)) = self.live_lengths.lock().get(&channel)
            && counted == live
        {
            return Ok(*lengths);
        }
        let reader = self.reader()?;
        let lengths = guarded(&self.path(), || {
            let Some(fields) = Self::fields(reader, channel) else { return Ok(Lengths::default()) };
            let norms = reader.get_fieldnorms_reader(fields.stems)?;
            let rows = live.iter().filter(|row| *row < norms.num_docs());
            Ok(rows.fold(Lengths::default(), |sum, row| sum.plus(norms.fieldnorm(row))))
        })?;
        self.live_lengths.lock().insert(channel, (live.clone(), lengths));
        Ok(lengths)
    }
}

/// The postings of one channel.
struct Words {
    stems: Arc<InvertedIndexReader>,
    forms: Arc<InvertedIndexReader>,
    fields: ChannelFields,
}

impl Words {
    fn open(reader: &SegmentReader, channel: Channel) -> tantivy::Result<Option<Self>> {
        let Some(fields) = TextIndex::fields(reader, channel) else { return Ok(None) };
        let (stems, forms) = (reader.inverted_index(fields.stems)?, reader.inverted_index(fields.forms)?);
        Ok(Some(Self { stems, forms, fields }))
    }

    fn find(&self, stem: &str) -> tantivy::Result<Option<TermInfo>> {
        Ok(self.stems.terms().get(stem.as_bytes())?)
    }

    fn postings(&self, info: &TermInfo, option: IndexRecordOption) -> tantivy::Result<SegmentPostings> {
        Ok(self.stems.read_postings_from_terminfo(info, option)?)
    }

    /// Live rows that hold the stem.
    fn count(&self, stem: &str, live: Allowed<'_>, all_live: bool) -> tantivy::Result<u64> {
        match self.find(stem)? {
            Some(info) => self.count_term(&info, live, all_live),
            None => Ok(0),
        }
    }

    fn count_term(&self, info: &TermInfo, live: Allowed<'_>, all_live: bool) -> tantivy::Result<u64> {
        if all_live {
            return Ok(u64::from(info.doc_freq));
        }
        let mut count = 0;
        live.each_row(&mut self.postings(info, IndexRecordOption::Basic)?, |_, _| count += 1);
        Ok(count)
    }

    /// Counts the stems that are one edit away (a letter more, less, other, or two swapped).
    fn variants(&self, stem: &str, live: Allowed<'_>, all_live: bool, counts: &mut ClauseStats) -> tantivy::Result<()> {
        let automaton = FuzzyTermQuery::new(Term::from_field_text(self.fields.stems, stem), 1, true).automaton()?;
        let mut stream = self.stems.terms().search(automaton).into_stream()?;
        while stream.advance() {
            if let Ok(variant) = std::str::from_utf8(stream.key())
                && variant != stem
            {
                let holding = self.count_term(stream.value(), live, all_live)?;
                if holding > 0 {
                    counts.variants.insert(variant.to_owned(), holding);
                }
            }
        }
        Ok(())
    }

    fn each_form(&self, prefix: &str, mut take: impl FnMut(&mut SegmentPostings)) -> tantivy::Result<()> {
        let mut stream = self.forms.terms().range().ge(prefix.as_bytes()).into_stream()?;
        while stream.advance() && stream.key().starts_with(prefix.as_bytes()) {
            take(&mut self.forms.read_postings_from_terminfo(stream.value(), IndexRecordOption::WithFreqs)?);
        }
        Ok(())
    }
}

/// The rows that may be given back.
#[derive(Clone, Copy)]
struct Allowed<'a> {
    rows: &'a RowSet,
    count: u32,
}

impl<'a> Allowed<'a> {
    fn new(rows: &'a RowSet) -> Self {
        Self { rows, count: rows.count() }
    }

    /// Calls `take` with each allowed row of the postings, and how often it holds the word.
    fn each_row(self, postings: &mut SegmentPostings, mut take: impl FnMut(u32, u32)) {
        if self.count.saturating_mul(SEEK_RATIO) < postings.doc_freq() {
            for row in self.rows.iter() {
                if postings.doc() < row && postings.seek(row) == TERMINATED {
                    return;
                }
                if postings.doc() == row {
                    take(row, postings.term_freq());
                }
            }
            return;
        }
        let mut row = postings.doc();
        while row != TERMINATED {
            if self.rows.contains(row) {
                take(row, postings.term_freq());
            }
            row = postings.advance();
        }
    }
}

/// One query over one part.
struct Scoring<'a> {
    query: &'a TextQuery,
    stats: &'a TextStats,
    words: &'a Words,
    norms: Vec<f32>,
    lengths: &'a FieldNormReader,
    allowed: RowSet,
    /// By row: the sum of the clauses so far.
    scores: Vec<f32>,
    matched: RowSet,
    clause: Best,
}

/// The best that the rows have of the clause at hand.
struct Best {
    scores: Vec<f32>,
    rows: Vec<u32>,
}

impl Best {
    #[inline]
    fn offer(&mut self, row: u32, score: f32) {
        if let Some(best) = self.scores.get_mut(row as usize) {
            if *best == 0.0 {
                self.rows.push(row);
            }
            *best = best.max(score);
        }
    }
}

impl<'a> Scoring<'a> {
    fn new(
        query: &'a TextQuery,
        stats: &'a TextStats,
        words: &'a Words,
        lengths: &'a FieldNormReader,
        allowed: &RowSet,
    ) -> Self {
        let row_count = lengths.num_docs();
        let norms = (0..=u8::MAX).map(|id| stats.length_norm(FieldNormReader::id_to_fieldnorm(id))).collect();
        let mut known = RowSet::full(row_count);
        known.intersect(allowed);
        Self {
            query,
            stats,
            words,
            norms,
            lengths,
            allowed: known,
            scores: vec![0.0; row_count as usize],
            matched: RowSet::empty(row_count),
            clause: Best { scores: vec![0.0; row_count as usize], rows: Vec::new() },
        }
    }

    fn run(mut self) -> tantivy::Result<Vec<(u32, f32)>> {
        // The clauses are ordered: required ones and exclusions narrow the rows for those that only add to the score.
        for (index, clause) in self.query.clauses.iter().enumerate() {
            if clause.occur == Occur::MustNot {
                let mut gone = Vec::new();
                self.exact(&clause.kind, |row, _| gone.push(row))?;
                for row in gone {
                    self.allowed.remove(row);
                    self.matched.remove(row);
                }
                continue;
            }
            self.offer_clause(index, &clause.kind)?;
            if clause.occur == Occur::Must {
                let mut holding = RowSet::empty(self.allowed.universe());
                for &row in &self.clause.rows {
                    holding.insert(row);
                }
                self.allowed.intersect(&holding);
                self.matched.intersect(&holding);
            }
            for row in self.clause.rows.drain(..) {
                let at = row as usize;
                if let (Some(sum), Some(best)) = (self.scores.get_mut(at), self.clause.scores.get_mut(at)) {
                    *sum += std::mem::take(best);
                    self.matched.insert(row);
                }
            }
        }
        let score = |row: u32| self.scores.get(row as usize).map(|score| (row, *score));
        Ok(self.matched.iter().filter_map(score).collect())
    }

    fn offer_clause(&mut self, index: usize, kind: &ClauseKind) -> tantivy::Result<()> {
        let rarity = self.stats.weight(index, kind);
        let mut best = std::mem::replace(&mut self.clause, Best { scores: Vec::new(), rows: Vec::new() });
        self.exact(kind, |row, frequency| best.offer(row, rarity * saturate(frequency, self.norm(row))))?;
        if let ClauseKind::Word { halves, .. } = kind {
            let joins = self.query.joins.iter().filter(|join| join.clauses.contains(&index));
            for join in joins {
                self.word(&join.stem, |row, frequency| {
                    best.offer(row, REJOINED * rarity * saturate(frequency, self.norm(row)));
                })?;
            }
            for (left, right) in halves {
                self.phrase(&[left, right], |row, frequency| {
                    best.offer(row, REJOINED * rarity * saturate(frequency, self.norm(row)));
                })?;
            }
            self.variants(index, rarity, &mut best)?;
        }
        self.clause = best;
        Ok(())
    }

    fn variants(&self, index: usize, rarity: f32, best: &mut Best) -> tantivy::Result<()> {
        let Some(counts) = self.stats.clauses.get(index) else { return Ok(()) };
        let occurs = counts.row_counts.first().is_some_and(|count| *count > 0);
        if occurs && self.stats.channel != Some(Channel::Screen) {
            return Ok(());
        }
        for (variant, holding) in &counts.variants {
            let rarity = rarity.min(self.stats.rarity(*holding));
            self.word(variant, |row, frequency| {
                best.offer(row, VARIANT * rarity * saturate(frequency, self.norm(row)));
            })?;
        }
        Ok(())
    }

    fn norm(&self, row: u32) -> f32 {
        self.norms.get(usize::from(self.lengths.fieldnorm_id(row))).copied().unwrap_or(1.0)
    }

    /// Rows that match as the clause is written.
    fn exact(&self, kind: &ClauseKind, mut take: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        match kind {
            ClauseKind::Word { stem, .. } => self.word(stem, take),
            ClauseKind::Phrase { stems } => {
                let stems: Vec<&String> = stems.iter().collect();
                self.phrase(&stems, take)
            }
            ClauseKind::Prefix { form } => {
                let allowed = Allowed::new(&self.allowed);
                self.words.each_form(form, |postings| allowed.each_row(postings, &mut take))
            }
        }
    }

    fn word(&self, stem: &str, take: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        if let Some(info) = self.words.find(stem)? {
            let mut postings = self.words.postings(&info, IndexRecordOption::WithFreqs)?;
            Allowed::new(&self.allowed).each_row(&mut postings, take);
        }
        Ok(())
    }

    /// Rows that hold the stems one after another, and how often.
    fn phrase(&self, stems: &[&String], mut take: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        let mut infos = Vec::with_capacity(stems.len());
        for stem in stems {
            let Some(info) = self.words.find(stem)? else { return Ok(()) };
            infos.push(info);
        }
        let mut lists = Vec::with_capacity(infos.len());
        for (offset, info) in infos.iter().enumerate() {
            lists.push((offset as u32, self.words.postings(info, IndexRecordOption::WithFreqsAndPositions)?));
        }
        // The rarest first: it leads, the others are only looked at where it stands.
        lists.sort_by_key(|(_, postings)| postings.doc_freq());
        let Some(((lead_offset, lead), others)) = lists.split_first_mut() else { return Ok(()) };
        let (mut starts, mut positions) = (Vec::new(), Vec::new());
        let mut row = lead.doc();
        'rows: while row != TERMINATED {
            for (_, other) in others.iter_mut() {
                let at = if other.doc() < row { other.seek(row) } else { other.doc() };
                if at != row {
                    row = lead.seek(at);
                    continue 'rows;
                }
            }
            if self.allowed.contains(row) {
                lead.positions(&mut starts);
                starts.retain_mut(|start| {
                    let first = start.checked_sub(*lead_offset);
                    *start = first.unwrap_or(0);
                    first.is_some()
                });
                for (offset, other) in others.iter_mut() {
                    other.positions(&mut positions);
                    starts.retain(|start| positions.binary_search(&(start + *offset)).is_ok());
                }
                if !starts.is_empty() {
                    take(row, starts.len() as u32);
                }
            }
            row = lead.advance();
        }
        Ok(())
    }
}
