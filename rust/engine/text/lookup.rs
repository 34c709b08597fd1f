//! Reads the dictionary and the postings of one channel.

use std::sync::Arc;

use tantivy::index::InvertedIndexReader;
use tantivy::postings::{BlockSegmentPostings, Postings, SegmentPostings, TermInfo};
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED, Term};

use super::lookup_cache::LookupCache;
use super::places::Places;
use super::postings::{Side, schema, term, term_prefix};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;

/// AllowedPlaces rows are looked up one by one in postings that are more than this many times as many.
const SEEK_RATIO: u32 = 32;
/// How many terms, and of how many terms the variants, are kept: a question of ten words asks each of four channels for
/// some sixty.
const KEPT_TERMS: usize = 1024;
const KEPT_VARIANTS: usize = 512;

/// The places of the rows that a search may find.
#[derive(Clone, Copy)]
pub(super) struct AllowedPlaces<'a> {
    places: &'a Places,
    set: &'a RowSet,
    count: u32,
}

impl<'a> AllowedPlaces<'a> {
    pub(super) fn new(places: &'a Places, set: &'a RowSet) -> Self {
        Self { places, set, count: set.count() }
    }

    /// Whether every place is allowed.
    pub(super) fn is_everything(self) -> bool {
        self.count >= self.places.len()
    }

    /// The allowed places.
    pub(super) fn set(self) -> &'a RowSet {
        self.set
    }

    /// Calls `take` with the place of each allowed row of the postings, and how often it holds the word (once, where
    /// that was not read). Reads the postings of the places alone.
    pub(super) fn each_row(self, postings: &mut BlockSegmentPostings, mut take: impl FnMut(u32, u32)) {
        if self.count.saturating_mul(SEEK_RATIO) < postings.doc_freq().min(self.places.len()) {
            for (place, row) in self.places.rows(self.set) {
                let at = postings.seek(row);
                if postings.docs().is_empty() {
                    return;
                }
                if postings.docs().get(at) == Some(&row) {
                    take(place, postings.freqs().get(at).copied().unwrap_or(1));
                }
            }
            return;
        }
        for span in self.places.spans() {
            let (mut from, shift) = (postings.seek(span.rows.start), span.shift());
            loop {
                let rows = postings.docs().get(from..).unwrap_or_default();
                if rows.is_empty() {
                    return;
                }
                let frequencies = postings.freqs().get(from..).unwrap_or_default();
                let within = rows.partition_point(|row| *row < span.rows.end);
                #[cfg(test)]
                tests::READ.set(tests::READ.get() + within);
                for (at, &row) in rows.iter().take(within).enumerate() {
                    let place = row.wrapping_add(shift);
                    if self.set.contains(place) {
                        take(place, frequencies.get(at).copied().unwrap_or(1));
                    }
                }
                if within < rows.len() {
                    break;
                }
                postings.advance();
                from = 0;
            }
        }
    }
}

/// A word and where its postings lie.
type Variant = (String, TermInfo);

/// The words of all channels, and what was asked for last.
pub(super) struct Dictionary {
    reader: Arc<InvertedIndexReader>,
    terms: LookupCache<Option<TermInfo>>,
    /// The words one letter away from a term.
    variants: LookupCache<Arc<[Variant]>>,
}

impl Dictionary {
    pub(super) fn new(reader: Arc<InvertedIndexReader>) -> Self {
        let (terms, variants) = (LookupCache::new(KEPT_TERMS), LookupCache::new(KEPT_VARIANTS));
        Self { reader, terms, variants }
    }

    pub(super) fn words(&self, channel: Channel) -> ChannelWords<'_> {
        ChannelWords { dictionary: self, reader: &self.reader, channel }
    }
}

/// The words of one channel.
#[derive(Clone, Copy)]
pub(super) struct ChannelWords<'a> {
    dictionary: &'a Dictionary,
    reader: &'a InvertedIndexReader,
    channel: Channel,
}

impl ChannelWords<'_> {
    fn find(self, stem: &str) -> tantivy::Result<Option<TermInfo>> {
        let look_up = |term: &str| Ok(self.reader.terms().get(term.as_bytes())?);
        self.dictionary.terms.of(term(self.channel, Side::Stem, stem), look_up)
    }

    fn postings(self, info: &TermInfo, option: IndexRecordOption) -> tantivy::Result<SegmentPostings> {
        Ok(self.reader.read_postings_from_terminfo(info, option)?)
    }

    /// Postings read a block at a time, which costs a third of one by one.
    fn blocks(self, info: &TermInfo, option: IndexRecordOption) -> tantivy::Result<BlockSegmentPostings> {
        Ok(self.reader.read_block_postings_from_terminfo(info, option)?)
    }

    /// Calls `take` with the places of the allowed rows that hold the stem, and how often.
    pub(super) fn each_row(
        self,
        stem: &str,
        places: &Places,
        allowed: &RowSet,
        take: impl FnMut(u32, u32),
    ) -> tantivy::Result<()> {
        if let Some(info) = self.find(stem)? {
            let mut postings = self.blocks(&info, IndexRecordOption::WithFreqs)?;
            AllowedPlaces::new(places, allowed).each_row(&mut postings, take);
        }
        Ok(())
    }

    /// Rows that hold the stem, deleted ones too.
    pub(super) fn posting_count(self, stem: &str) -> tantivy::Result<u32> {
        Ok(self.find(stem)?.map_or(0, |info| info.doc_freq))
    }

    /// Live rows that hold the stem.
    pub(super) fn count(self, stem: &str, live: AllowedPlaces<'_>) -> tantivy::Result<u64> {
        match self.find(stem)? {
            Some(info) => self.count_term(&info, live),
            None => Ok(0),
        }
    }

    fn count_term(self, info: &TermInfo, live: AllowedPlaces<'_>) -> tantivy::Result<u64> {
        if live.is_everything() {
            return Ok(u64::from(info.doc_freq));
        }
        let mut count = 0;
        live.each_row(&mut self.blocks(info, IndexRecordOption::Basic)?, |_, _| count += 1);
        Ok(count)
    }

    /// Calls `take` with the stems one edit away (a letter more, less, other, or two swapped) that live rows hold, and
    /// how many.
    pub(super) fn each_variant(
        self,
        stem: &str,
        live: AllowedPlaces<'_>,
        mut take: impl FnMut(&str, u64),
    ) -> tantivy::Result<()> {
        let find = |wanted: &str| self.find_variants(wanted).map(Arc::from);
        let variants = self.dictionary.variants.of(term(self.channel, Side::Stem, stem), find)?;
        for (variant, info) in variants.iter() {
            let holding = self.count_term(info, live)?;
            if holding > 0 {
                take(variant, holding);
            }
        }
        Ok(())
    }

    /// The stems one edit away from that of a term of the channel, in any row.
    fn find_variants(self, wanted: &str) -> tantivy::Result<Vec<Variant>> {
        let prefix = term_prefix(self.channel, Side::Stem);
        let automaton = FuzzyTermQuery::new(Term::from_field_text(schema().1, wanted), 1, true).automaton()?;
        // Among the words of the channel alone: their first letter must not be edited.
        let within = term(self.channel, Side::Stem, "");
        let behind = within.bytes().map(|letter| letter + 1).collect::<Vec<u8>>();
        let mut stream = self.reader.terms().search(automaton).ge(within).lt(behind).into_stream()?;
        let mut found = Vec::new();
        while stream.advance() {
            let other = std::str::from_utf8(stream.key()).ok().filter(|key| *key != wanted);
            if let Some(variant) = other.and_then(|key| key.strip_prefix(prefix)) {
                found.push((variant.to_owned(), stream.value().clone()));
            }
        }
        Ok(found)
    }

    /// Calls `take` with the postings of every word that starts with `prefix`. A form that equals its stem is among the
    /// stems alone.
    pub(super) fn each_with_prefix(
        self,
        prefix: &str,
        mut take: impl FnMut(&mut BlockSegmentPostings),
    ) -> tantivy::Result<()> {
        for side in [Side::Stem, Side::Form] {
            let prefix = term(self.channel, side, prefix);
            let mut stream = self.reader.terms().range().ge(prefix.as_bytes()).into_stream()?;
            while stream.advance() && stream.key().starts_with(prefix.as_bytes()) {
                take(&mut self.blocks(stream.value(), IndexRecordOption::WithFreqs)?);
            }
        }
        Ok(())
    }

    /// Calls `take` with the places of the allowed rows that hold a phrase, and how often. The phrase is given as stems,
    /// each with how many words after its beginning it stands.
    pub(super) fn each_phrase(
        self,
        stems: &[(u32, &str)],
        places: &Places,
        allowed: &RowSet,
        mut take: impl FnMut(u32, u32),
    ) -> tantivy::Result<()> {
        let mut words = self.phrase_words(stems)?;
        let Some((lead, others)) = words.split_first_mut() else { return Ok(()) };
        let mut room = PhraseRoom::default();
        let mut spans = places.spans();
        let mut row = lead.postings.doc();
        while row != TERMINATED {
            let Some((span, behind)) = spans.split_first() else { return Ok(()) };
            if row >= span.rows.end {
                spans = behind;
                continue;
            }
            if row < span.rows.start {
                row = lead.postings.seek(span.rows.start);
                continue;
            }
            if let Some(later) = others.iter_mut().find_map(|other| other.later_than(row)) {
                row = lead.postings.seek(later);
                continue;
            }
            let place = span.place(row);
            if allowed.contains(place) {
                let count = room.count(lead, others);
                if count > 0 {
                    take(place, count);
                }
            }
            row = lead.postings.advance();
        }
        Ok(())
    }

    /// The words of a phrase, the rarest first: it leads, and the others are looked at only where it stands. None if some
    /// stem is in no row.
    fn phrase_words(self, stems: &[(u32, &str)]) -> tantivy::Result<Vec<PhraseWord>> {
        let mut infos = Vec::with_capacity(stems.len());
        for (offset, stem) in stems {
            let Some(info) = self.find(stem)? else { return Ok(Vec::new()) };
            infos.push((*offset, info));
        }
        let mut words = Vec::with_capacity(infos.len());
        for (offset, info) in infos {
            let postings = self.postings(&info, IndexRecordOption::WithFreqsAndPositions)?;
            words.push(PhraseWord { offset, postings });
        }
        words.sort_by_key(|word| word.postings.doc_freq());
        Ok(words)
    }
}

/// A word of a phrase.
struct PhraseWord {
    /// How many words after the beginning of the phrase it stands.
    offset: u32,
    postings: SegmentPostings,
}

impl PhraseWord {
    /// The first row from `row` on that holds the word, if that is a later one.
    fn later_than(&mut self, row: u32) -> Option<u32> {
        let at = if self.postings.doc() < row { self.postings.seek(row) } else { self.postings.doc() };
        (at != row).then_some(at)
    }
}

/// Room for the positions of words in one row.
#[derive(Default)]
struct PhraseRoom {
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl PhraseRoom {
    /// How often the phrase stands in the row at which all its words are.
    fn count(&mut self, lead: &mut PhraseWord, others: &mut [PhraseWord]) -> u32 {
        let Self { starts, positions } = self;
        lead.postings.positions(starts);
        starts.retain_mut(|start| {
            let first = start.checked_sub(lead.offset);
            *start = first.unwrap_or(0);
            first.is_some()
        });
        for other in others {
            other.postings.positions(positions);
            starts.retain(|start| positions.binary_search(&(start + other.offset)).is_ok());
        }
        starts.len() as u32
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    thread_local! {
        /// How many postings this thread has read, but those that were looked up one by one.
        pub(in super::super) static READ: Cell<usize> = const { Cell::new(0) };
    }
}
