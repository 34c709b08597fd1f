//! A part together with which of its videos are live.

use std::sync::Arc;

use super::Part;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::VideoId;
use crate::error::Result;
use crate::operation::Content;

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
