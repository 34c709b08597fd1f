//! Sorts the words of a part and has tantivy write them down.
//!
//! tantivy's own writer takes several megabytes of fresh memory whatever it is given, which costs milliseconds even for the
//! thirty sentences of one video. Here words are gathered in plain vectors and only tantivy's serializer is used: the files
//! are tantivy's, and the cost of a small part is that of its words.
//!
//! All words are in one field, because each field has a dictionary, which costs something. A term is a capital letter
//! (which no word has), then the word: `A` the stems of the first channel, `B` its forms, `C` the stems of the second …
//! A form is written only where it differs from its stem. Stems have positions; those of forms are all 0.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use tantivy::directory::{Directory, RamDirectory};
use tantivy::fieldnorm::{FieldNormReader, FieldNormsSerializer};
use tantivy::index::{SegmentComponent, SegmentId};
use tantivy::postings::InvertedIndexSerializer;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::{Index, IndexSettings, Segment, SingleSegmentIndexWriter, TantivyDocument, TantivyError};

use super::language::Language;
use super::words::WordCutter;
use crate::catalog::channel::Channel;

/// The files that tantivy makes of a segment.
pub(super) const FILE_EXTENSIONS: [&str; 6] = ["fast", "fieldnorm", "idx", "pos", "store", "term"];
/// The name of the only segment of every part, always the same so that equal texts give equal bytes.
const SEGMENT: &str = "00000000000000000000000000000001";

/// Which side of a word a term holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Stem,
    Form,
}

/// The capital letter before the words of a channel.
pub(super) fn term_prefix(channel: Channel, side: Side) -> char {
    char::from(b'A' + 2 * channel.index() as u8 + u8::from(side == Side::Form))
}

/// A word as it stands in the dictionary.
pub(super) fn term(channel: Channel, side: Side, word: &str) -> String {
    let mut term = String::with_capacity(word.len() + 1);
    term.push(term_prefix(channel, side));
    term.push_str(word);
    term
}

/// The only schema there is, and its only field.
pub(super) fn schema() -> (Schema, Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut builder = Schema::builder();
    let field = builder.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
    (builder.build(), field)
}

/// The segment of `row_count` documents that a directory holds, or is to hold.
pub(super) fn segment(directory: impl Into<Box<dyn Directory>>, row_count: u32) -> tantivy::Result<Segment> {
    let index = Index::create(directory, schema().0, settings())?;
    let id = SegmentId::from_uuid_string(SEGMENT)
        .map_err(|error| TantivyError::InternalError(format!("segment id: {error:?}")))?;
    Ok(index.segment(index.new_segment_meta(id, row_count)))
}

fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

/// What is to be written of a part's texts.
pub(super) struct Written {
    /// tantivy's files by extension, in the order of `FILE_EXTENSIONS`.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    /// For each channel with words a byte for each row: how many words it has, in tantivy's steps.
    pub(super) lengths: Vec<(Channel, Vec<u8>)>,
}

/// The row and position of each occurrence of a term.
type Occurrences = Vec<(u32, u32)>;

/// Writes the texts of `row_count` rows, ascending by row.
pub(super) fn write(language: Language, row_count: u32, texts: &[(u32, Channel, &str)]) -> tantivy::Result<Written> {
    let mut cutter = WordCutter::new(language);
    let mut terms: HashMap<String, Occurrences> = HashMap::new();
    let mut lengths: Vec<(Channel, Vec<u8>)> = Vec::new();
    let mut word_total = 0_u64;
    for &(row, channel, text) in texts {
        let words = cutter.cut(text);
        if words.is_empty() {
            continue;
        }
        word_total += words.len() as u64;
        let known = lengths.iter().position(|(of, _)| *of == channel).unwrap_or_else(|| {
            lengths.push((channel, vec![0; row_count as usize]));
            lengths.len() - 1
        });
        if let Some(length) = lengths.get_mut(known).and_then(|(_, lengths)| lengths.get_mut(row as usize)) {
            *length = FieldNormReader::fieldnorm_to_id(u32::try_from(words.len()).unwrap_or(u32::MAX));
        }
        for word in words {
            let position = u32::try_from(word.position).unwrap_or(u32::MAX);
            if word.form != word.stem {
                terms.entry(term(channel, Side::Form, &word.form)).or_default().push((row, 0));
            }
            terms.entry(term(channel, Side::Stem, &word.stem)).or_default().push((row, position));
        }
    }
    lengths.sort_by_key(|(channel, _)| *channel);
    let mut terms: Vec<(String, Occurrences)> = terms.into_iter().collect();
    terms.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let files = write_files(row_count, word_total, &terms)?;
    Ok(Written { files, lengths })
}

fn write_files(
    row_count: u32,
    word_total: u64,
    terms: &[(String, Occurrences)],
) -> tantivy::Result<Vec<(&'static str, Vec<u8>)>> {
    let directory = RamDirectory::create();
    let segment = segment(directory.clone(), row_count)?;
    FieldNormsSerializer::from_write(segment.open_write(SegmentComponent::FieldNorms)?)?.close()?;
    let mut serializer = InvertedIndexSerializer::open(&segment)?;
    let mut field = serializer.new_field(schema().1, word_total, None)?;
    let mut deltas = Vec::new();
    for (term, occurrences) in terms {
        let rows = occurrences.chunk_by(|a, b| a.0 == b.0);
        field.new_term(term.as_bytes(), u32::try_from(rows.count()).unwrap_or(u32::MAX), true)?;
        for places in occurrences.chunk_by(|a, b| a.0 == b.0) {
            deltas.clear();
            let mut last = 0;
            for (_, position) in places {
                deltas.push(position - last);
                last = *position;
            }
            if let Some((row, _)) = places.first() {
                field.write_doc(*row, places.len() as u32, &deltas);
            }
        }
        field.close_term()?;
    }
    field.close()?;
    serializer.close()?;
    let mut files = Vec::new();
    for extension in FILE_EXTENSIONS {
        let file = PathBuf::from(format!("{SEGMENT}.{extension}"));
        let bytes = match empty_files()?.iter().find(|(of, _)| *of == extension) {
            Some((_, bytes)) => bytes.clone(),
            None => directory.open_read(&file)?.read_bytes()?.to_vec(),
        };
        files.push((extension, bytes));
    }
    Ok(files)
}

/// The columns and the stored documents of an index that has neither: tantivy wants the files, always the same.
fn empty_files() -> tantivy::Result<&'static [(&'static str, Vec<u8>)]> {
    static FILES: OnceLock<Vec<(&'static str, Vec<u8>)>> = OnceLock::new();
    if let Some(files) = FILES.get() {
        return Ok(files);
    }
    let directory = RamDirectory::create();
    let builder = Index::builder().schema(schema().0).settings(settings());
    let writer: SingleSegmentIndexWriter<TantivyDocument> =
        builder.single_segment_index_writer(directory.clone(), 1 << 20)?;
    let index = writer.finalize()?;
    let mut files = Vec::new();
    for id in index.searchable_segment_ids()? {
        for extension in ["fast", "store"] {
            let file = PathBuf::from(format!("{}.{extension}", id.uuid_string()));
            files.push((extension, directory.open_read(&file)?.read_bytes()?.to_vec()));
        }
    }
    Ok(FILES.get_or_init(|| files))
}
