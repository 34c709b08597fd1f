//! The text index of one part: built once, never changed, document number = row.
//!
//! Three sections, none of them present if the part has no text:
//! - `text/head`: a version (u32, little endian), then a postcard record (`Head`): rows, language, per channel the rows
//!   with text and their words, the number of texts, tantivy's description of the index and where each of its files
//!   lies in `text/index`.
//! - `text/index`: tantivy's files, one after another. Each channel that occurs has two fields: `speech` holds stems
//!   with frequencies, positions and lengths; `speech.forms` holds the words as written, for prefixes.
//! - `text/stored`: the texts (see `stored`).
//!
//! Opening reads `text/head` alone; tantivy's reader is made at the first search. Deletes are the part's: a row that is
//! gone stays in the index and is passed over. Equal texts give equal bytes.
//!
//! tantivy trusts its files. Checksums find damage before tantivy reads it; what a forged file could still do is caught
//! (`guarded`) and reported as damage.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tantivy::directory::{Directory, RamDirectory};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{Index, IndexSettings, SegmentReader, SingleSegmentIndexWriter, TantivyDocument};

use super::directory::{META_FILE, SectionDirectory};
use super::language::Language;
use super::stored::{self, StoredTexts};
use super::words::{WordSide, WordTokenizer};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, Sections};

const VERSION: u32 = 1;
const HEAD: &str = "text/head";
const INDEX: &str = "text/index";
const STORED: &str = "text/stored";
/// What the files of an index are called here, so that equal texts give equal bytes.
const FIXED_SEGMENT: &str = "00000000000000000000000000000001";

/// The files that tantivy makes of a segment.
const FILE_EXTENSIONS: [&str; 6] = ["fast", "fieldnorm", "idx", "pos", "store", "term"];

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) row_count: u32,
    pub(super) language: Language,
    /// By channel: rows with words, and their words.
    pub(super) lengths: Vec<Lengths>,
    text_count: u64,
    meta: String,
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
    stored: StoredTexts,
    pub(super) reader: OnceLock<SegmentReader>,
    /// The lengths of the live rows that were asked for last, by channel.
    pub(super) live_lengths: Mutex<BTreeMap<Channel, (RowSet, Lengths)>>,
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
    pub fn build_in(
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
        let built = build_index(language, row_count, texts)
            .map_err(|error| Error::Internal { detail: format!("the text index can't be built: {error}") })?;
        let (mut head, index) = built;
        head.text_count = texts.len() as u64;
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend(
            postcard::to_allocvec(&head)
                .map_err(|error| Error::Internal { detail: format!("the text head can't be written: {error}") })?,
        );
        out.push((HEAD.to_owned(), bytes));
        out.push((INDEX.to_owned(), index));
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
        let stored = sections.get(STORED).ok_or_else(|| missing(STORED))?;
        let head = read_head(&section)?;
        for (name, start, end) in &head.files {
            if start > end || *end > index.len() as u64 {
                return Err(Error::damaged(&path, format!("file {name} of the text index lies outside its section")));
            }
        }
        let stored = StoredTexts::open(stored, head.text_count)?;
        Ok(Some(Self { head, index, stored, reader: OnceLock::new(), live_lengths: Mutex::default() }))
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

    pub(super) fn reader(&self) -> Result<&SegmentReader> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let made = guarded(&self.path(), || self.make_reader())?;
        Ok(self.reader.get_or_init(|| made))
    }

    fn make_reader(&self) -> tantivy::Result<SegmentReader> {
        let place = |&(ref name, start, end): &(String, u64, u64)| (name.clone(), start as usize..end as usize);
        let files: BTreeMap<String, Range<usize>> = self.head.files.iter().map(place).collect();
        let directory = SectionDirectory::new(self.index.clone(), self.head.meta.as_bytes(), files);
        let index = Index::open(directory)?;
        let segments = index.searchable_segments()?;
        let [segment] = segments.as_slice() else {
            return Err(tantivy::TantivyError::InternalError(format!("{} segments, expected 1", segments.len())));
        };
        let reader = SegmentReader::open(segment)?;
        if reader.max_doc() != self.head.row_count {
            let detail = format!("{} documents for {} rows", reader.max_doc(), self.head.row_count);
            return Err(tantivy::TantivyError::InternalError(detail));
        }
        Ok(reader)
    }

    /// The fields of a channel, if any text of the part is on it.
    pub(super) fn fields(reader: &SegmentReader, channel: Channel) -> Option<ChannelFields> {
        let stems = reader.schema().get_field(channel.name()).ok()?;
        let forms = reader.schema().get_field(&forms_name(channel)).ok()?;
        Some(ChannelFields { stems, forms })
    }
}

/// Where a channel's words are.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChannelFields {
    pub(super) stems: Field,
    pub(super) forms: Field,
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

fn forms_name(channel: Channel) -> String {
    format!("{}.forms", channel.name())
}

fn build_index(language: Language, row_count: u32, texts: &[(u32, Channel, &str)]) -> tantivy::Result<(Head, Vec<u8>)> {
    let mut schema = Schema::builder();
    let options = |tokenizer: &str, option: IndexRecordOption, lengths: bool| {
        let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(option);
        TextOptions::default().set_indexing_options(indexing.set_fieldnorms(lengths))
    };
    let mut fields: BTreeMap<Channel, ChannelFields> = BTreeMap::new();
    for channel in Channel::ALL {
        if texts.iter().any(|(_, used, _)| *used == channel) {
            let stems = options("stem", IndexRecordOption::WithFreqsAndPositions, true);
            let forms = options("form", IndexRecordOption::WithFreqs, false);
            let stems = schema.add_text_field(channel.name(), stems);
            let forms = schema.add_text_field(&forms_name(channel), forms);
            fields.insert(channel, ChannelFields { stems, forms });
        }
    }
    let tokenizers = TokenizerManager::new();
    for (name, side) in [("stem", WordSide::Stem), ("form", WordSide::Form)] {
        tokenizers.register(name, TextAnalyzer::from(WordTokenizer::new(language, side)));
    }
    let settings = IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let directory = RamDirectory::create();
    let text_bytes: usize = texts.iter().map(|(.., text)| text.len()).sum();
    // Only the first size of the table of terms follows from the budget; it grows if need be.
    let budget = (text_bytes * 4).clamp(128 * 1024, 64 * 1024 * 1024);
    let mut writer: SingleSegmentIndexWriter = Index::builder()
        .schema(schema.build())
        .tokenizers(tokenizers)
        .settings(settings)
        .single_segment_index_writer(directory.clone(), budget)?;
    let mut texts = texts.iter().peekable();
    for row in 0..row_count {
        let mut document = TantivyDocument::default();
        while let Some((_, channel, text)) = texts.next_if(|(of, ..)| *of == row) {
            if let Some(fields) = fields.get(channel) {
                document.add_text(fields.stems, text);
                document.add_text(fields.forms, text);
            }
        }
        writer.add_document(document)?;
    }
    let index = writer.finalize()?;
    let segments = index.searchable_segments()?;
    let mut head = Head {
        row_count,
        language,
        lengths: vec![Lengths::default(); Channel::ALL.len()],
        text_count: 0,
        meta: String::new(),
        files: Vec::new(),
    };
    let mut bytes = Vec::new();
    for segment in &segments {
        let reader = SegmentReader::open(segment)?;
        for (channel, fields) in &fields {
            let norms = reader.get_fieldnorms_reader(fields.stems)?;
            if let Some(lengths) = head.lengths.get_mut(channel.index()) {
                *lengths = (0..row_count).fold(Lengths::default(), |sum, row| sum.plus(norms.fieldnorm(row)));
            }
        }
        let id = segment.id().uuid_string();
        for extension in FILE_EXTENSIONS {
            let file = PathBuf::from(format!("{id}.{extension}"));
            if !directory.exists(&file)? {
                continue;
            }
            let start = bytes.len() as u64;
            bytes.extend_from_slice(&directory.open_read(&file)?.read_bytes()?);
            head.files.push((extension.to_owned(), start, bytes.len() as u64));
        }
        let meta = directory.atomic_read(Path::new(META_FILE))?;
        let meta = String::from_utf8_lossy(&meta).replace(&hyphenated(&id), &hyphenated(FIXED_SEGMENT));
        head.meta = meta.replace(&id, FIXED_SEGMENT);
    }
    Ok((head, bytes))
}

/// A UUID of 32 digits as it is usually written.
fn hyphenated(digits: &str) -> String {
    let mut written = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            written.push('-');
        }
        written.push(digit);
    }
    written
}

impl Lengths {
    /// With one more row of so many words; a row without words does not count.
    pub(super) fn plus(self, word_count: u32) -> Self {
        Self {
            row_count: self.row_count + u64::from(word_count > 0),
            word_count: self.word_count + u64::from(word_count),
        }
    }
}
