//! The text index of one part: built once, never changed, document number = row.
//!
//! Four sections, none of them present if the part has no text:
//! - `text/head`: a version (u32, little endian), then a postcard record (`Head`): rows, language, per channel the rows
//!   with words and their words, the number of texts, and where each of tantivy's files lies in `text/index`.
//! - `text/index`: tantivy's files, one after another (see `postings` for what is in them).
//! - `text/lengths`: for each channel with words, in the order of channels, a byte for each row: how many words it has,
//!   0 for none, exact up to 40, then in tantivy's steps (`FieldNormReader::id_to_fieldnorm`).
//! - `text/stored`: the texts (see `stored`).
//!
//! Opening reads only `text/head`; tantivy's reader is made at the first search. Deletes belong to the part: a deleted row
//! stays in the index and is passed over. Equal texts give equal bytes.
//!
//! tantivy trusts its files. Checksums find damage before tantivy reads it; whatever a forged file could still make it do
//! is caught (`guarded`) and reported as damage.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tantivy::SegmentReader;
use tantivy::fieldnorm::FieldNormReader;

use super::directory::SectionDirectory;
use super::language::Language;
use super::lookup::{ChannelWords, Dictionary};
use super::postings;
use super::stored::{self, StoredTexts};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, Sections};

const VERSION: u32 = 1;
const HEAD: &str = "text/head";
const INDEX: &str = "text/index";
const LENGTHS: &str = "text/lengths";
const STORED: &str = "text/stored";

/// What `text/head` has after its version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) row_count: u32,
    pub(super) language: Language,
    /// By channel: rows with words, and their words.
    pub(super) lengths: Vec<Lengths>,
    text_count: u64,
    /// Extension, start and end of each of tantivy's files in `text/index`.
    files: Vec<(String, u64, u64)>,
}

/// How many rows have words on a channel, and how many words that is (as field norms count them).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lengths {
    pub(super) row_count: u64,
    pub(super) word_count: u64,
}

/// The words of one part.
pub struct TextIndex {
    pub(super) head: Head,
    index: Section,
    lengths: Section,
    stored: StoredTexts,
    dictionary: OnceLock<Dictionary>,
    /// The lengths of the live rows that were asked for last, by channel.
    pub(super) counted_lengths: Mutex<BTreeMap<Channel, (RowSet, Lengths)>>,
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextIndex").field("head", &self.head).finish_non_exhaustive()
    }
}

impl TextIndex {
    /// Indexes English texts: (row, channel, text), ascending by row and channel, rows below `row_count`. Appends the
    /// sections to `out`, or nothing if there is no text.
    ///
    /// # Errors
    /// `internal` if rows don't ascend or don't fit.
    pub fn build(row_count: u32, texts: &[(u32, Channel, &str)], out: &mut SectionBytes) -> Result<()> {
        Self::build_in(Language::default(), row_count, texts, out)
    }

    /// As `build`, for texts in another language.
    ///
    /// # Errors
    /// As `build`.
    pub(crate) fn build_in(
        language: Language,
        row_count: u32,
        texts: &[(u32, Channel, &str)],
        out: &mut SectionBytes,
    ) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let ascending = texts.windows(2).all(|pair| matches!(pair, [a, b] if (a.0, a.1) < (b.0, b.1)));
        if !ascending || texts.last().is_none_or(|(row, ..)| *row >= row_count) {
            return Err(Error::Internal { detail: format!("texts don't ascend below {row_count} rows") });
        }
        let written = postings::write(language, row_count, texts)
            .map_err(|error| Error::Internal { detail: format!("the text index can't be built: {error}") })?;
        let mut head = Head {
            row_count,
            language,
            lengths: vec![Lengths::default(); Channel::ALL.len()],
            text_count: texts.len() as u64,
            files: Vec::new(),
        };
        let mut length_bytes = Vec::new();
        for (channel, rows) in written.lengths {
            if let Some(lengths) = head.lengths.get_mut(channel.index()) {
                *lengths = rows.iter().fold(Lengths::default(), |sum, &row| sum.plus(row));
            }
            length_bytes.extend(rows);
        }
        let mut index = Vec::new();
        for (extension, file) in written.files {
            let start = index.len() as u64;
            index.extend(file);
            head.files.push((extension.to_owned(), start, index.len() as u64));
        }
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend(
            postcard::to_allocvec(&head)
                .map_err(|error| Error::Internal { detail: format!("the text head can't be written: {error}") })?,
        );
        out.push((HEAD.to_owned(), bytes));
        out.push((INDEX.to_owned(), index));
        out.push((LENGTHS.to_owned(), length_bytes));
        out.push((STORED.to_owned(), stored::pack(texts)));
        Ok(())
    }

    /// Opens the index of a part; `None` if it has no text. Reads the head alone.
    ///
    /// # Errors
    /// `damaged` if a section is missing, cut or contradicts the head; `format_unsupported` for another version.
    pub fn open(sections: &dyn Sections) -> Result<Option<Self>> {
        let Some(section) = sections.get(HEAD) else { return Ok(None) };
        let path = section.path();
        let missing = |name: &str| Error::damaged(&path, format!("section {name} is missing"));
        let index = sections.get(INDEX).ok_or_else(|| missing(INDEX))?;
        let lengths = sections.get(LENGTHS).ok_or_else(|| missing(LENGTHS))?;
        let stored = sections.get(STORED).ok_or_else(|| missing(STORED))?;
        let head = read_head(&section)?;
        for (name, start, end) in &head.files {
            if start > end || *end > index.len() as u64 {
                return Err(Error::damaged(&path, format!("file {name} of the text index lies outside its section")));
            }
        }
        let with_words = head.lengths.iter().filter(|lengths| lengths.row_count > 0).count();
        if lengths.len() as u64 != with_words as u64 * u64::from(head.row_count) {
            let detail = format!("section {LENGTHS} has {} bytes for {with_words} channels", lengths.len());
            return Err(Error::damaged(&path, detail));
        }
        let stored = StoredTexts::open(stored, head.text_count)?;
        Ok(Some(Self { head, index, lengths, stored, dictionary: OnceLock::new(), counted_lengths: Mutex::default() }))
    }

    /// The language of the texts.
    #[must_use]
    pub fn language(&self) -> Language {
        self.head.language
    }

    /// Rows of the part, with or without text.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.head.row_count
    }

    /// Rows with words on a channel, deleted ones too.
    #[must_use]
    pub(crate) fn text_count(&self, channel: Channel) -> u64 {
        self.head.lengths.get(channel.index()).map_or(0, |lengths| lengths.row_count)
    }

    /// The rows with words on a channel, deleted ones too.
    ///
    /// # Errors
    /// `damaged` if the section is.
    pub(crate) fn rows_with_words(&self, channel: Channel) -> Result<impl Iterator<Item = u32>> {
        let lengths = self.row_lengths(channel)?.unwrap_or_default();
        Ok(lengths.iter().zip(0_u32..).filter(|(length, _)| **length > 0).map(|(_, row)| row))
    }

    /// The text of a row on a channel, as it was given.
    ///
    /// # Errors
    /// `damaged` if the section is.
    pub fn text(&self, row: u32, channel: Channel) -> Result<Option<String>> {
        self.stored.get(row, channel)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.index.path()
    }

    /// The dictionary and the postings of a channel.
    pub(super) fn words_of(&self, channel: Channel) -> Result<ChannelWords<'_>> {
        Ok(self.dictionary()?.words(channel))
    }

    fn dictionary(&self) -> Result<&Dictionary> {
        if let Some(dictionary) = self.dictionary.get() {
            return Ok(dictionary);
        }
        let made = guarded(&self.path(), || {
            let place = |&(ref name, start, end): &(String, u64, u64)| (name.clone(), start as usize..end as usize);
            let files: BTreeMap<String, Range<usize>> = self.head.files.iter().map(place).collect();
            let directory = SectionDirectory::new(self.index.clone(), files);
            let segment = postings::segment(directory, self.head.row_count)?;
            SegmentReader::open(&segment)?.inverted_index(postings::schema().1)
        })?;
        Ok(self.dictionary.get_or_init(|| Dictionary::new(made)))
    }

    /// A byte for each row: how many words it has on the channel (`Lengths::word_count`), 0 where it has none. `None`
    /// if no row has any.
    pub(super) fn row_lengths(&self, channel: Channel) -> Result<Option<&[u8]>> {
        let has_words = |index: usize| self.head.lengths.get(index).is_some_and(|lengths| lengths.row_count > 0);
        if !has_words(channel.index()) {
            return Ok(None);
        }
        let before = (0..channel.index()).filter(|index| has_words(*index)).count();
        let row_count = self.head.row_count as usize;
        self.lengths.slice(before * row_count..(before + 1) * row_count).map(Some)
    }
}

/// Runs what reads tantivy's bytes; an error or a panic in there means that the bytes are not what was written.
pub(super) fn guarded<T>(path: &Path, read: impl FnOnce() -> tantivy::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::damaged(path, format!("text index: {error}"))),
        Err(panic) => {
            let told = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
            Err(Error::damaged(path, format!("text index: {}", told.unwrap_or("unreadable"))))
        }
    }
}

fn read_head(section: &Section) -> Result<Head> {
    let bytes = section.all()?;
    let damaged = |detail: &str| Error::damaged(section.path(), detail);
    let (version, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| damaged("section text/head was cut"))?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Error::FormatUnsupported { path: section.path(), got: version, oldest: VERSION, newest: VERSION });
    }
    let head: Head = postcard::from_bytes(rest).map_err(|_| damaged("section text/head can't be read"))?;
    if head.lengths.len() != Channel::ALL.len() {
        return Err(damaged("section text/head has the wrong number of channels"));
    }
    Ok(head)
}

impl Lengths {
    /// With one more row of so many words (as a field norm); a row without words does not count.
    pub(super) fn plus(self, length: u8) -> Self {
        let word_count = u64::from(FieldNormReader::id_to_fieldnorm(length));
        Self { row_count: self.row_count + u64::from(word_count > 0), word_count: self.word_count + word_count }
    }
}
