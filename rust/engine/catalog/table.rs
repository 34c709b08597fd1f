//! The videos of one part, and the spans of their segments.
//!
//! Rows (segments) are numbered through the whole part: those of a video follow one another, in the order of the videos.
//! Sections, all numbers little-endian:
//! - `videos.head`: version, number of videos, number of rows (u32 each)
//! - `videos.rows`: the first row of each video, and the end of the last (u32)
//! - `videos.ids`: the end of each id (u32, counted from the first id), then the ids in UTF-8
//! - `videos.order`: the numbers of the videos (u32) in the order of their ids
//! - `videos.records`: the end of each record (u64, counted from the first record), then each video as JSON
//! - `videos.durations`: the length of each video in seconds (f64), kept bit for bit, which JSON does not promise
//! - `videos.columns`: what filters and facets look at (see `columns`)
//! - `segments.spans`: start and end of each row (f64, seconds)
//!
//! Opening reads the head and compares lengths. Records are parsed one by one when asked for, columns at the first
//! filter or facet; a video is found by id in a binary search.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

use super::columns::Columns;
use super::video::{Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, Sections};

const VERSION: u32 = 1;
/// Once the video of a row was looked up, the next rows are first looked for in this many videos that follow it.
const NEIGHBOURS: u32 = 64;

/// The videos and segment spans of one part.
#[derive(Debug)]
pub struct VideoTable {
    video_count: u32,
    row_count: u32,
    rows: Section,
    ids: Section,
    order: Section,
    records: Section,
    durations: Section,
    column_bytes: Section,
    spans: Section,
    columns: OnceLock<Columns>,
}

impl VideoTable {
    /// Lays out videos, each with the spans of its segments in order. Appends the sections to `out`, also for no videos.
    ///
    /// # Errors
    /// `invalid_video` if a video does not validate or is given twice; `invalid_span` if a span is negative, reversed or
    /// not finite; `internal` past 2³² rows or bytes of ids.
    pub fn build(videos: &[(&Video, &[Span])], out: &mut SectionBytes) -> Result<()> {
        let mut columns = Bytes::new();
        let mut seen = BTreeSet::new();
        for (video, spans) in videos {
            video.validate()?;
            if !seen.insert(video.id.as_str()) {
                let (video, detail) = (video.id.to_string(), "the video is given twice".to_owned());
                return Err(Error::InvalidVideo { video, detail });
            }
            columns.add(video, spans)?;
        }
        let video_count = u32::try_from(videos.len()).map_err(|_| too_many("videos"))?;
        let mut order: Vec<(&str, u32)> = videos.iter().map(|(video, _)| video.id.as_str()).zip(0..).collect();
        order.sort_unstable();
        let order = order.into_iter().flat_map(|(_, number)| number.to_le_bytes()).collect();
        let filtered = Columns::of(&videos.iter().map(|(video, _)| *video).collect::<Vec<_>>())?;
        let filtered = postcard::to_allocvec(&filtered)
            .map_err(|error| Error::Internal { detail: format!("the columns can't be written: {error}") })?;
        let head = [VERSION, video_count, columns.row_count].into_iter().flat_map(u32::to_le_bytes).collect();
        let sections = [
            ("videos.head", head),
            ("videos.rows", columns.rows),
            ("videos.ids", joined(columns.id_ends, columns.ids)),
            ("videos.order", order),
            ("videos.records", joined(columns.record_ends, columns.records)),
            ("videos.durations", columns.durations),
            ("videos.columns", filtered),
            ("segments.spans", columns.spans),
        ];
        out.extend(sections.map(|(name, bytes): (&str, Vec<u8>)| (name.to_owned(), bytes)));
        Ok(())
    }

    /// Opens the table of a part. Reads the head alone.
    ///
    /// # Errors
    /// `damaged` if a section is missing or has the wrong length; `format_unsupported` for another version.
    pub fn open(sections: &dyn Sections) -> Result<Self> {
        let get = |name: &str| {
            sections.get(name).ok_or_else(|| Error::damaged("(part)", format!("section {name} is missing")))
        };
        let head = get("videos.head")?;
        let version = number_u32(&head, 0)?;
        if version != VERSION {
            let path = head.path();
            return Err(Error::FormatUnsupported { path, got: version, oldest: VERSION, newest: VERSION });
        }
        let table = Self {
            video_count: number_u32(&head, 1)?,
            row_count: number_u32(&head, 2)?,
            rows: get("videos.rows")?,
            ids: get("videos.ids")?,
            order: get("videos.order")?,
            records: get("videos.records")?,
            durations: get("videos.durations")?,
            column_bytes: get("videos.columns")?,
            spans: get("segments.spans")?,
            columns: OnceLock::new(),
        };
        let (videos, rows) = (u64::from(table.video_count), u64::from(table.row_count));
        let fits = table.rows.len() as u64 == (videos + 1) * 4
            && table.ids.len() as u64 >= videos * 4
            && table.order.len() as u64 == videos * 4
            && table.records.len() as u64 >= videos * 8
            && table.durations.len() as u64 == videos * 8
            && table.spans.len() as u64 == rows * 16;
        if !fits {
            let detail = format!("the sections of the table don't fit {videos} videos and {rows} rows");
            return Err(Error::damaged(head.path(), detail));
        }
        Ok(table)
    }

    /// Videos in the part.
    #[must_use]
    pub fn video_count(&self) -> u32 {
        self.video_count
    }

    /// Segments in the part.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// A video as it was given, by its number.
    ///
    /// # Errors
    /// `internal` if there is no such number; `damaged` if the record is.
    pub fn video(&self, video: u32) -> Result<Video> {
        self.check(video, self.video_count, "video")?;
        let count = self.video_count as usize;
        let start = if video == 0 { 0 } else { number_u64(&self.records, video as usize - 1)? };
        let end = number_u64(&self.records, video as usize)?;
        let bytes = self.records.slice(place(&self.records, count * 8, start, end)?)?;
        let mut record: Video = serde_json::from_slice(bytes)
            .map_err(|error| Error::damaged(self.records.path(), format!("the record of video {video}: {error}")))?;
        record.duration = self.duration(video)?;
        Ok(record)
    }

    /// A video's length in seconds, by its number.
    ///
    /// # Errors
    /// As `video`.
    pub fn duration(&self, video: u32) -> Result<f64> {
        self.check(video, self.video_count, "video")?;
        number_u64(&self.durations, video as usize).map(f64::from_bits)
    }

    /// A video's id, by its number.
    ///
    /// # Errors
    /// As `video`.
    pub fn id(&self, video: u32) -> Result<&str> {
        self.check(video, self.video_count, "video")?;
        let count = self.video_count as usize;
        let start = if video == 0 { 0 } else { number_u32(&self.ids, video as usize - 1)? };
        let end = number_u32(&self.ids, video as usize)?;
        let bytes = self.ids.slice(place(&self.ids, count * 4, u64::from(start), u64::from(end))?)?;
        std::str::from_utf8(bytes)
            .map_err(|_| Error::damaged(self.ids.path(), format!("the id of video {video} is not UTF-8")))
    }

    /// The rows of a video.
    ///
    /// # Errors
    /// As `video`.
    pub fn rows(&self, video: u32) -> Result<Range<u32>> {
        self.check(video, self.video_count, "video")?;
        let at = video as usize * 4;
        let &[start, end] = self.rows.slice(at..at + 8)?.as_chunks::<4>().0 else {
            return Err(Error::damaged(self.rows.path(), "a number was cut"));
        };
        let (start, end) = (u32::from_le_bytes(start), u32::from_le_bytes(end));
        if start > end || end > self.row_count {
            let detail = format!("video {video} has rows {start} to {end} of {}", self.row_count);
            return Err(Error::damaged(self.rows.path(), detail));
        }
        Ok(start..end)
    }

    /// The video that a row belongs to.
    ///
    /// # Errors
    /// As `span`.
    pub(crate) fn video_of(&self, row: u32) -> Result<u32> {
        self.check(row, self.row_count, "row")?;
        self.beside(0, row)?.video_of(row).ok_or_else(|| self.no_video_has(row))
    }

    /// Ascending rows, each with the video that it belongs to.
    ///
    /// # Errors
    /// As `span`.
    pub(crate) fn with_videos(&self, rows: impl IntoIterator<Item = u32>) -> Result<Vec<(u32, u32)>> {
        let mut known = Neighbours::default();
        let with_video = |row: u32| {
            self.check(row, self.row_count, "row")?;
            if let Some(video) = known.video_of(row) {
                return Ok((row, video));
            }
            known = self.beside(known.end(), row)?;
            known.video_of(row).map(|video| (row, video)).ok_or_else(|| self.no_video_has(row))
        };
        rows.into_iter().map(with_video).collect()
    }

    /// The video of a row, which is probably not far behind video `from`, and some that follow it.
    fn beside(&self, from: u32, row: u32) -> Result<Neighbours<'_>> {
        // In steps that grow, then by halving.
        let (mut low, mut high, mut step) = (from, from, 1);
        while high < self.video_count && self.ends_by(high, row)? {
            (low, high) = (high + 1, high.saturating_add(step));
            step = step.saturating_mul(2);
        }
        high = high.min(self.video_count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.ends_by(middle, row)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let end = low.saturating_add(NEIGHBOURS).min(self.video_count);
        let bounds = self.rows.slice(low as usize * 4..end as usize * 4 + 4)?.as_chunks().0;
        Ok(Neighbours { first: low, bounds })
    }

    fn no_video_has(&self, row: u32) -> Error {
        Error::damaged(self.rows.path(), format!("row {row} belongs to no video"))
    }

    /// Whether the rows of a video end before this one.
    fn ends_by(&self, video: u32, row: u32) -> Result<bool> {
        Ok(number_u32(&self.rows, video as usize + 1)? <= row)
    }

    /// The span of a row.
    ///
    /// # Errors
    /// `internal` if there is no such row; `damaged` if the section is.
    pub fn span(&self, row: u32) -> Result<Span> {
        self.check(row, self.row_count, "row")?;
        let at = row as usize * 16;
        let &[start, end] = self.spans.slice(at..at + 16)?.as_chunks::<8>().0 else {
            return Err(Error::damaged(self.spans.path(), "a span was cut"));
        };
        Ok(Span { start: f64::from_le_bytes(start), end: f64::from_le_bytes(end) })
    }

    /// The number of the video with this id.
    ///
    /// # Errors
    /// `damaged` if a section is.
    pub fn find(&self, id: &VideoId) -> Result<Option<u32>> {
        let (mut low, mut high) = (0, self.video_count as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            let video = number_u32(&self.order, middle)?;
            if video >= self.video_count {
                return Err(Error::damaged(self.order.path(), format!("section videos.order names video {video}")));
            }
            match self.id(video)?.cmp(id.as_str()) {
                std::cmp::Ordering::Equal => return Ok(Some(video)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The columns, decoded once.
    pub(crate) fn columns(&self) -> Result<&Columns> {
        if let Some(columns) = self.columns.get() {
            return Ok(columns);
        }
        let damaged =
            |detail: &str| Error::damaged(self.column_bytes.path(), format!("section videos.columns {detail}"));
        let columns: Columns = postcard::from_bytes(self.column_bytes.all()?).map_err(|_| damaged("can't be read"))?;
        if !columns.fit(self.video_count) {
            return Err(damaged("contradicts the number of videos"));
        }
        Ok(self.columns.get_or_init(|| columns))
    }

    fn check(&self, number: u32, count: u32, what: &str) -> Result<()> {
        if number < count {
            return Ok(());
        }
        Err(Error::Internal { detail: format!("{what} {number} of {count} was asked for") })
    }
}

/// The bytes of the sections that grow video by video.
#[derive(Default)]
struct Bytes {
    row_count: u32,
    rows: Vec<u8>,
    ids: Vec<u8>,
    id_ends: Vec<u8>,
    records: Vec<u8>,
    record_ends: Vec<u8>,
    durations: Vec<u8>,
    spans: Vec<u8>,
}

impl Bytes {
    /// Of no videos: the first row of the first one is known.
    fn new() -> Self {
        Self { rows: 0_u32.to_le_bytes().to_vec(), ..Self::default() }
    }

    fn add(&mut self, video: &Video, spans: &[Span]) -> Result<()> {
        for span in spans {
            span.validate(&video.id)?;
            self.spans.extend_from_slice(&span.start.to_le_bytes());
            self.spans.extend_from_slice(&span.end.to_le_bytes());
        }
        let added = u32::try_from(spans.len()).ok();
        let row_count = added.and_then(|added| self.row_count.checked_add(added));
        self.row_count = row_count.ok_or_else(|| too_many("segments"))?;
        self.durations.extend_from_slice(&video.duration.to_le_bytes());
        self.rows.extend_from_slice(&self.row_count.to_le_bytes());
        self.ids.extend_from_slice(video.id.as_str().as_bytes());
        let id_end = u32::try_from(self.ids.len()).map_err(|_| too_many("ids"))?;
        self.id_ends.extend_from_slice(&id_end.to_le_bytes());
        serde_json::to_writer(&mut self.records, video)
            .map_err(|error| Error::Internal { detail: format!("video {} as JSON: {error}", video.id) })?;
        self.record_ends.extend_from_slice(&(self.records.len() as u64).to_le_bytes());
        Ok(())
    }
}

fn joined(mut table: Vec<u8>, rest: Vec<u8>) -> Vec<u8> {
    table.extend(rest);
    table
}

fn too_many(what: &str) -> Error {
    Error::Internal { detail: format!("a part can't hold so many {what}") }
}

/// Videos that follow one another, and where their rows begin and the last's end.
#[derive(Default)]
struct Neighbours<'a> {
    first: u32,
    bounds: &'a [[u8; 4]],
}

impl Neighbours<'_> {
    /// The first video after them.
    fn end(&self) -> u32 {
        self.first + self.bounds.len().saturating_sub(1) as u32
    }

    /// The video among them that a row belongs to; videos without rows are passed over.
    #[inline]
    fn video_of(&self, row: u32) -> Option<u32> {
        let begun = self.bounds.partition_point(|bound| u32::from_le_bytes(*bound) <= row);
        let place = begun.checked_sub(1).filter(|_| begun < self.bounds.len())?;
        Some(self.first + place as u32)
    }
}

fn number_u32(section: &Section, index: usize) -> Result<u32> {
    let bytes = section.slice(index * 4..index * 4 + 4)?;
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| Error::damaged(section.path(), "a number was cut"))
}

fn number_u64(section: &Section, index: usize) -> Result<u64> {
    let bytes = section.slice(index * 8..index * 8 + 8)?;
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| Error::damaged(section.path(), "a number was cut"))
}

/// Bytes `start..end` after a table of `table_len` bytes.
fn place(section: &Section, table_len: usize, start: u64, end: u64) -> Result<Range<usize>> {
    let at = |offset: u64| usize::try_from(offset).ok().and_then(|offset| offset.checked_add(table_len));
    match (at(start), at(end)) {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(Error::damaged(section.path(), format!("bytes {start}..{end} don't exist"))),
    }
}
