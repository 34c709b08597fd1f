//! Builds the sections of a part from plain values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::f16;

use super::{Part, description_prefix, vector_prefix};
use crate::catalog::channel::Channel;
use crate::catalog::strings::StringColumn;
use crate::catalog::table::VideoTable;
use crate::catalog::video::{Evidence, Space, Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::operation::Content;
use crate::storage::section::SectionBytes;
use crate::text::index::TextIndex;
use crate::vector::{Index, VectorColumn};

/// Columns and words of fewer rows than this are built one after the other, on one thread.
const FEWEST_ROWS_IN_PARALLEL: u32 = 4096;

impl Part {
    /// Builds the sections of a part. Content is taken in the order given.
    ///
    /// # Errors
    /// `dimension_mismatch` if a vector does not fit its channel's space, or the channel has none; `invalid_batch` if there
    /// are more rows than a part can number.
    pub fn build(contents: &[Content], spaces: &BTreeMap<Channel, Space>, index: Index) -> Result<SectionBytes> {
        let mut rows = Rows::default();
        for content in contents {
            rows.add(content, spaces)?;
        }
        let columns = || rows.columns(contents, spaces, index);
        let words = || rows.words();
        // The two take about equally long, which counts where there is much, as when a full log is replayed.
        let (columns, words) =
            if rows.count < FEWEST_ROWS_IN_PARALLEL { (columns(), words()) } else { in_parallel(columns, words)? };
        let mut out = columns?;
        out.extend(words?);
        Ok(out)
    }
}

/// What the rows of a part hold, gathered by kind.
#[derive(Default)]
struct Rows<'a> {
    /// How many there are so far, and so the number of the next.
    count: u32,
    /// The spans of each video's rows.
    spans: Vec<Vec<Span>>,
    /// Words with their row and channel.
    texts: Vec<(u32, Channel, Cow<'a, str>)>,
    /// By row.
    descriptions: BTreeMap<Channel, Vec<(u32, &'a str)>>,
    vectors: BTreeMap<Channel, Vectors>,
}

/// The vectors of one channel: the rows that have one, and the components of all, one vector after another.
#[derive(Default)]
struct Vectors {
    rows: Vec<u32>,
    components: Vec<f16>,
}

impl<'a> Rows<'a> {
    /// Adds the rows of one video: one for each segment, then one for the whole video with the words of its metadata.
    fn add(&mut self, content: &'a Content, spaces: &BTreeMap<Channel, Space>) -> Result<()> {
        for segment in &content.segments {
            for evidence in &segment.evidence {
                self.add_evidence(&content.video.id, evidence, spaces)?;
            }
            self.end_row()?;
        }
        let words = metadata_words(&content.video);
        if !words.is_empty() {
            self.texts.push((self.count, Channel::Metadata, words.into()));
        }
        self.end_row()?;
        let whole = Span { start: 0.0, end: content.video.duration };
        self.spans.push(content.segments.iter().map(|segment| segment.span).chain([whole]).collect());
        Ok(())
    }

    /// Adds evidence to the row at hand.
    fn add_evidence(
        &mut self,
        video: &VideoId,
        evidence: &'a Evidence,
        spaces: &BTreeMap<Channel, Space>,
    ) -> Result<()> {
        let (row, channel) = (self.count, evidence.channel);
        if let Some(text) = evidence.text.as_deref().filter(|text| !text.is_empty()) {
            self.texts.push((row, channel, text.into()));
        }
        if let Some(description) = &evidence.description {
            self.descriptions.entry(channel).or_default().push((row, description));
        }
        if let Some(vector) = &evidence.vector {
            check_dimension(video, channel, vector.len(), spaces)?;
            let vectors = self.vectors.entry(channel).or_default();
            vectors.rows.push(row);
            vectors.components.extend_from_slice(vector);
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<()> {
        self.count = self.count.checked_add(1).ok_or_else(|| Error::InvalidBatch {
            detail: "one part can't hold more than 4,294,967,295 segments".to_owned(),
        })?;
        Ok(())
    }

    /// The sections of videos, vectors and descriptions.
    fn columns(&self, contents: &[Content], spaces: &BTreeMap<Channel, Space>, index: Index) -> Result<SectionBytes> {
        let mut out = SectionBytes::new();
        let spans = self.spans.iter().map(Vec::as_slice);
        let videos: Vec<(&Video, &[Span])> = contents.iter().map(|content| &content.video).zip(spans).collect();
        VideoTable::build(&videos, &mut out)?;
        for (channel, Vectors { rows, components }) in &self.vectors {
            let dimension = dimension_of(*channel, spaces);
            VectorColumn::build(&vector_prefix(*channel), dimension, rows, components, index, &mut out)?;
        }
        for (channel, strings) in &self.descriptions {
            StringColumn::build(&description_prefix(*channel), strings, &mut out)?;
        }
        Ok(out)
    }

    /// The sections of the text index.
    fn words(&self) -> Result<SectionBytes> {
        let texts: Vec<(u32, Channel, &str)> =
            self.texts.iter().map(|(row, channel, text)| (*row, *channel, text.as_ref())).collect();
        let mut out = SectionBytes::new();
        TextIndex::build(self.count, &texts, &mut out)?;
        Ok(out)
    }
}

/// Does both at the same time, `other` on a thread of its own. No thread pool is used: a thread that waits in a pool takes
/// up other tasks meanwhile, one of which may want the writer's lock, and the caller may hold that.
fn in_parallel<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> Result<(A, B)> {
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

/// The dimension of a channel's space; 0 where it has none.
fn dimension_of(channel: Channel, spaces: &BTreeMap<Channel, Space>) -> usize {
    spaces.get(&channel).map_or(0, |space| space.dimension as usize)
}

fn check_dimension(video: &VideoId, channel: Channel, got: usize, spaces: &BTreeMap<Channel, Space>) -> Result<()> {
    let expected = dimension_of(channel, spaces);
    if expected == got {
        return Ok(());
    }
    Err(Error::DimensionMismatch { what: format!("a {} vector of video {video}", channel.name()), expected, got })
}
