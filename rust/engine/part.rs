//! One immutable set of videos with everything that search needs of them: columns, vectors, words.
//!
//! A part is built from plain values, lives in memory or in one file, and never changes; deleting a video only takes it
//! out of a part's live set (`LivePart`). The rows of a video lie together. The last row of each video is made here: it
//! spans the whole video and carries the words of title, description and tags on channel `metadata`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use half::f16;

use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::strings::StringColumn;
use crate::catalog::table::VideoTable;
use crate::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::operation::Content;
use crate::storage::part_file;
use crate::storage::section::{Section, SectionBytes};
use crate::text::index::TextIndex;
use crate::vector::{Index, VectorColumn};

/// Columns and words of fewer rows than this are built one after the other, on one thread.
const FEWEST_ROWS_AT_ONCE: u32 = 4096;
/// So many parts of one size class are worth merging.
pub(crate) const MERGE_FAN_IN: usize = 8;
/// The numbers of live rows of the parts of one size class lie within a factor of two to the power of this.
const SIZE_CLASS_BITS: u32 = 3;

/// The searchable form of some videos.
#[derive(Debug)]
pub struct Part {
    table: VideoTable,
    text: Option<TextIndex>,
    vectors: [Option<VectorColumn>; Channel::ALL.len()],
    descriptions: [Option<StringColumn>; Channel::ALL.len()],
    /// By channel, made when first asked for.
    videos_with_vector: [OnceLock<RowSet>; Channel::ALL.len()],
    /// Made when first asked for.
    videos_apart: OnceLock<RowSet>,
    sections: BTreeMap<String, Section>,
}

/// A part together with which of its videos are live.
#[derive(Debug, Clone)]
pub struct LivePart {
    /// The immutable part.
    pub part: Arc<Part>,
    /// Its videos that are not deleted or replaced.
    pub videos: Arc<RowSet>,
    /// The rows of those videos.
    pub rows: Arc<RowSet>,
    /// Where it is.
    pub home: Home,
}

/// Where a part is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In memory; the log has it.
    Memory,
    /// In the part file of this number.
    File(u64),
}

impl LivePart {
    /// Whether one of `others` is this part, whatever of it is live there.
    pub(crate) fn is_one_of(&self, others: &[Self]) -> bool {
        others.iter().any(|other| Arc::ptr_eq(&other.part, &self.part))
    }

    /// A part of which every video is live.
    #[must_use]
    pub fn new(part: Arc<Part>, home: Home) -> Self {
        let videos = Arc::new(RowSet::full(part.table.video_count()));
        let rows = Arc::new(RowSet::full(part.table.row_count()));
        Self { part, videos, rows, home }
    }

    /// Takes videos out of the live set.
    pub fn without(&self, gone: impl IntoIterator<Item = u32>) -> Result<Self> {
        let (mut videos, mut rows) = (RowSet::clone(&self.videos), RowSet::clone(&self.rows));
        for video in gone {
            videos.remove(video);
            for row in self.part.table.rows(video)? {
                rows.remove(row);
            }
        }
        Ok(Self { videos: Arc::new(videos), rows: Arc::new(rows), ..self.clone() })
    }

    /// The videos that are not live.
    pub(crate) fn deleted(&self) -> RowSet {
        let mut deleted = RowSet::clone(&self.videos);
        deleted.invert();
        deleted
    }

    /// How many videos are not live.
    pub(crate) fn deleted_count(&self) -> u32 {
        self.part.table().video_count() - self.videos.count()
    }

    /// The number of a live video within the part.
    pub fn find(&self, id: &VideoId) -> Result<Option<u32>> {
        Ok(self.part.table.find(id)?.filter(|&video| self.videos.contains(video)))
    }

    /// The live videos with their segments.
    pub fn contents(&self) -> impl Iterator<Item = Result<Content>> + '_ {
        self.videos.iter().map(|video| self.part.content(video))
    }
}

impl Part {
    /// Builds the sections of a part. Content is taken in the order given.
    ///
    /// # Errors
    /// `dimension_mismatch` if a vector does not fit its channel's space, or the channel has none; `invalid_batch` if there
    /// are more rows than a part can number.
    pub fn build(contents: &[Content], spaces: &BTreeMap<Channel, Space>, index: Index) -> Result<SectionBytes> {
        let mut spans: Vec<Vec<Span>> = Vec::with_capacity(contents.len());
        let mut texts: Vec<(u32, Channel, String)> = Vec::new();
        let mut descriptions: BTreeMap<Channel, Vec<(u32, &str)>> = BTreeMap::new();
        let mut vectors: BTreeMap<Channel, (Vec<u32>, Vec<f16>)> = BTreeMap::new();
        let mut row = 0_u32;
        for content in contents {
            for segment in &content.segments {
                for evidence in &segment.evidence {
                    if let Some(text) = evidence.text.as_deref().filter(|text| !text.is_empty()) {
                        texts.push((row, evidence.channel, text.to_owned()));
                    }
                    if let Some(description) = &evidence.description {
                        descriptions.entry(evidence.channel).or_default().push((row, description));
                    }
                    if let Some(vector) = &evidence.vector {
                        check_dimension(content, evidence, vector.len(), spaces)?;
                        let (rows, values) = vectors.entry(evidence.channel).or_default();
                        rows.push(row);
                        values.extend_from_slice(vector);
                    }
                }
                row = next_row(row)?;
            }
            let words = metadata_words(&content.video);
            if !words.is_empty() {
                texts.push((row, Channel::Metadata, words));
            }
            row = next_row(row)?;
            let whole = Span { start: 0.0, end: content.video.duration };
            spans.push(content.segments.iter().map(|segment| segment.span).chain([whole]).collect());
        }
        let videos: Vec<(&Video, &[Span])> =
            contents.iter().zip(&spans).map(|(content, spans)| (&content.video, spans.as_slice())).collect();
        let columns = || -> Result<SectionBytes> {
            let mut out = SectionBytes::new();
            VideoTable::build(&videos, &mut out)?;
            for (channel, (rows, values)) in &vectors {
                let dimension = spaces.get(channel).map_or(0, |space| space.dimension as usize);
                VectorColumn::build(&vector_prefix(*channel), dimension, rows, values, index, &mut out)?;
            }
            for (channel, strings) in &descriptions {
                StringColumn::build(&description_prefix(*channel), strings, &mut out)?;
            }
            Ok(out)
        };
        let words = || -> Result<SectionBytes> {
            let texts: Vec<(u32, Channel, &str)> =
                texts.iter().map(|(row, channel, text)| (*row, *channel, text.as_str())).collect();
            let mut out = SectionBytes::new();
            TextIndex::build(row, &texts, &mut out)?;
            Ok(out)
        };
        // They take about as long as each other, which counts where there is much, as when a full log is replayed.
        let (columns, words) = if row < FEWEST_ROWS_AT_ONCE { (columns(), words()) } else { at_once(columns, words)? };
        let mut out = columns?;
        out.extend(words?);
        Ok(out)
    }

    /// Opens the sections of a part; checks headers and lengths, reads no rows.
    pub fn open(sections: BTreeMap<String, Section>) -> Result<Self> {
        let mut vectors = [const { None }; Channel::ALL.len()];
        let mut descriptions = [const { None }; Channel::ALL.len()];
        for (channel, (vector, description)) in
            Channel::ALL.into_iter().zip(vectors.iter_mut().zip(descriptions.iter_mut()))
        {
            *vector = VectorColumn::open(&vector_prefix(channel), &sections)?;
            *description = StringColumn::open(&description_prefix(channel), &sections)?;
        }
        Ok(Self {
            table: VideoTable::open(&sections)?,
            text: TextIndex::open(&sections)?,
            vectors,
            descriptions,
            videos_with_vector: [const { OnceLock::new() }; Channel::ALL.len()],
            videos_apart: OnceLock::new(),
            sections,
        })
    }

    /// Whether `file` is the file that the part was opened from, or a copy of it.
    pub(crate) fn is_of(&self, file: &[u8]) -> bool {
        self.sections.values().next().is_some_and(|section| part_file::is_same_part(section.file(), file))
    }

    /// The videos and spans.
    #[must_use]
    pub fn table(&self) -> &VideoTable {
        &self.table
    }

    /// The words, if any segment has some.
    #[must_use]
    pub fn text(&self) -> Option<&TextIndex> {
        self.text.as_ref()
    }

    /// A channel's vectors, if any segment has one.
    #[must_use]
    pub fn vectors(&self, channel: Channel) -> Option<&VectorColumn> {
        self.vectors.get(channel.index()).and_then(Option::as_ref)
    }

    /// The videos, live or not, of which some row has a vector on the channel; none if no row has.
    pub(crate) fn videos_with_vector(&self, channel: Channel) -> Result<Option<&RowSet>> {
        let (Some(column), Some(known)) = (self.vectors(channel), self.videos_with_vector.get(channel.index())) else {
            return Ok(None);
        };
        if let Some(videos) = known.get() {
            return Ok(Some(videos));
        }
        let rows = column.rows()?;
        let mut videos = RowSet::empty(self.table.video_count());
        for video in 0..self.table.video_count() {
            if rows.any_within(self.table.rows(video)?) {
                videos.insert(video);
            }
        }
        Ok(Some(known.get_or_init(|| videos)))
    }

    /// The videos of which no two rows that hold evidence with a time overlap: at any instant, one row says all.
    pub(crate) fn videos_apart(&self) -> Result<&RowSet> {
        if let Some(videos) = self.videos_apart.get() {
            return Ok(videos);
        }
        let mut timed = RowSet::empty(self.table.row_count());
        for channel in Channel::ALL.into_iter().filter(|channel| *channel != Channel::Metadata) {
            if let Some(column) = self.vectors(channel) {
                column.rows()?.iter().for_each(|row| timed.insert(row));
            }
            if let Some(text) = &self.text {
                text.rows_with_words(channel)?.for_each(|row| timed.insert(row));
            }
        }
        let mut videos = RowSet::empty(self.table.video_count());
        for video in 0..self.table.video_count() {
            let rows = self.table.rows(video)?;
            let spans = rows.filter(|row| timed.contains(*row)).map(|row| self.table.span(row));
            let mut end = f64::NEG_INFINITY;
            let mut is_apart = true;
            for span in spans {
                let span = span?;
                // The centre as moments take it, which rounding may move to the end of a very short span.
                let centre = span.start + (span.end - span.start) / 2.0;
                is_apart &= end <= span.start && centre < span.end;
                end = span.end;
            }
            if is_apart {
                videos.insert(video);
            }
        }
        Ok(self.videos_apart.get_or_init(|| videos))
    }

    /// What is shown for a row on a channel: its indexed words, else its description.
    pub fn shown(&self, row: u32, channel: Channel) -> Result<Option<String>> {
        if let Some(text) = self.stored_text(row, channel)? {
            return Ok(Some(text));
        }
        self.description(row, channel)
    }

    /// A video with its segments, the row that this module made left out.
    pub fn content(&self, video: u32) -> Result<Content> {
        let segments = self
            .given_rows(video)?
            .map(|row| {
                let mut evidence = Vec::new();
                for channel in Channel::ALL {
                    let vector = match self.vectors(channel) {
                        Some(column) => column.vector(row)?,
                        None => None,
                    };
                    let text = self.stored_text(row, channel)?;
                    let description = self.description(row, channel)?;
                    if vector.is_some() || text.is_some() || description.is_some() {
                        evidence.push(Evidence { channel, vector, text, description });
                    }
                }
                Ok(Segment { span: self.table.span(row)?, evidence })
            })
            .collect::<Result<_>>()?;
        Ok(Content { video: self.table.video(video)?, segments })
    }

    /// The rows of a video that were given, without the one that this module made.
    pub(crate) fn given_rows(&self, video: u32) -> Result<Range<u32>> {
        let rows = self.table.rows(video)?;
        Ok(rows.start..rows.end.saturating_sub(1))
    }

    /// Bytes of all sections.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.sections.values().map(|section| section.len() as u64).sum()
    }

    /// Bytes by section name.
    pub(crate) fn section_sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sections.iter().map(|(name, section)| (name.as_str(), section.len() as u64))
    }

    pub(crate) fn stored_text(&self, row: u32, channel: Channel) -> Result<Option<String>> {
        self.text.as_ref().map_or(Ok(None), |text| text.text(row, channel))
    }

    pub(crate) fn description(&self, row: u32, channel: Channel) -> Result<Option<String>> {
        match self.descriptions.get(channel.index()).and_then(Option::as_ref) {
            Some(column) => Ok(column.get(row)?.map(str::to_owned)),
            None => Ok(None),
        }
    }
}

/// The size class of a part with so many live rows.
pub(crate) fn size_class(row_count: u32) -> u32 {
    row_count.max(1).ilog2() / SIZE_CLASS_BITS
}

/// Does both at the same time, `other` on a thread of its own. Not in a pool: what waits there takes up other tasks
/// meanwhile, one of which may want the writer's lock, and the caller may hold that.
fn at_once<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pixr-words".to_owned()).spawn_scoped(scope, other);
        let thread = thread.map_err(|error| Error::io("pixr-words", "start a thread for", error))?;
        let one = one();
        Ok((one, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    })
}

/// The words of a video that channel `metadata` finds.
fn metadata_words(video: &Video) -> String {
    let tags = video.tags.join(", ");
    [video.title.as_str(), video.description.as_str(), tags.as_str()]
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn check_dimension(
    content: &Content,
    evidence: &Evidence,
    got: usize,
    spaces: &BTreeMap<Channel, Space>,
) -> Result<()> {
    let channel = evidence.channel;
    let expected = spaces.get(&channel).map_or(0, |space| space.dimension as usize);
    if expected == got {
        return Ok(());
    }
    Err(Error::DimensionMismatch {
        what: format!("a {} vector of video {}", channel.name(), content.video.id),
        expected,
        got,
    })
}

fn next_row(row: u32) -> Result<u32> {
    row.checked_add(1).ok_or_else(|| Error::InvalidBatch {
        detail: "one part can't hold more than 4,294,967,295 segments".to_owned(),
    })
}

fn vector_prefix(channel: Channel) -> String {
    format!("vector/{}", channel.name())
}

fn description_prefix(channel: Channel) -> String {
    format!("description/{}", channel.name())
}
