//! One immutable set of videos with everything that search needs of them: columns, vectors, words.
//!
//! A part is built from plain values, lives in memory or in one file, and never changes; deleting a video only takes it
//! out of the part's live set (`LivePart`). The rows of a video lie together. `build` adds one row after a video's own: it
//! spans the whole video and carries the words of its title, description and tags on channel `metadata`.

mod build;
mod live;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::strings::StringColumn;
use crate::catalog::table::VideoTable;
use crate::catalog::video::{Evidence, Segment, Span};
use crate::error::Result;
use crate::operation::Content;
use crate::storage::part_file;
use crate::storage::section::Section;
use crate::text::index::TextIndex;
use crate::vector::VectorColumn;

pub use live::{Home, LivePart};

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

impl Part {
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

    /// The videos in which no two rows with timed evidence overlap, so that at any instant one row holds all there is.
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
            let rows = self.table.rows(video)?.filter(|row| timed.contains(*row));
            if are_apart(rows.map(|row| self.table.span(row)))? {
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

/// Whether each span begins no earlier than the one before it ends, and holds its own centre.
fn are_apart(spans: impl Iterator<Item = Result<Span>>) -> Result<bool> {
    let mut end = f64::NEG_INFINITY;
    for span in spans {
        let span = span?;
        let is_after = end <= span.start && span.center() < span.end;
        if !is_after {
            return Ok(false);
        }
        end = span.end;
    }
    Ok(true)
}

fn vector_prefix(channel: Channel) -> String {
    format!("vector/{}", channel.name())
}

fn description_prefix(channel: Channel) -> String {
    format!("description/{}", channel.name())
}
