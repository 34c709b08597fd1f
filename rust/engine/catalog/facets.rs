//! Counts the videos of a result by length, quality, tags, year, creator and metadata.
//!
//! They are counted part by part into one `FacetCounts`. Every facet but tags and metadata is single-valued: its counts,
//! with the bucket `UNKNOWN` for videos that have no value, add up to the number of videos exactly. A video counts once for
//! each of its tags, and for each value of a metadata key, so these may add up to less or more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::row_set::RowSet;
use super::table::VideoTable;
use super::timestamp::Timestamp;
use crate::error::Result;

/// The bucket of videos without a value.
pub const UNKNOWN: &str = "unknown";
/// What the name of a metadata facet begins with.
pub const METADATA: &str = "metadata.";
/// The names of facets over the columns that every video has.
pub const COLUMNS: [&str; 5] = ["durations", "quality", "tags", "created", "creator"];
/// How many values a facet shows at most.
pub const MAX_VALUES: usize = 1000;
/// Buckets of durations: the name, and the seconds from which on it counts.
const DURATIONS: [(&str, f64); 3] = [("0-300", 0.0), ("300-900", 300.0), ("900+", 900.0)];

/// Counts by value.
pub type Counts = BTreeMap<String, u64>;

/// The counts over the videos that were added so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetCounts {
    /// Videos counted.
    pub total: u64,
    /// By length in seconds: "0-300" below 300, "300-900" below 900, "900+". Always all three.
    pub durations: Counts,
    /// In lower case, or `UNKNOWN`.
    pub quality: Counts,
    /// Each tag.
    pub tags: Counts,
    /// By year in UTC, or `UNKNOWN`.
    pub created: Counts,
    /// By the creator's id, or `UNKNOWN`.
    pub creator: Counts,
    /// Strings and booleans ("true", "false") of each metadata key that was asked for.
    pub metadata: BTreeMap<String, Counts>,
}

impl Default for FacetCounts {
    fn default() -> Self {
        Self::with_metadata(&[])
    }
}

impl FacetCounts {
    /// Nothing counted yet; metadata will be counted for these keys.
    #[must_use]
    pub(crate) fn with_metadata(keys: &[String]) -> Self {
        Self {
            total: 0,
            durations: DURATIONS.iter().map(|(name, _)| ((*name).to_owned(), 0)).collect(),
            quality: Counts::new(),
            tags: Counts::new(),
            created: Counts::new(),
            creator: Counts::new(),
            metadata: keys.iter().map(|key| (key.clone(), Counts::new())).collect(),
        }
    }

    /// Adds the videos of one part.
    ///
    /// # Errors
    /// `damaged` if the table is.
    pub fn add(&mut self, table: &VideoTable, videos: &RowSet) -> Result<()> {
        let columns = table.columns()?;
        let chosen = |video: &u32| *video < table.video_count() && videos.contains(*video);
        let count = videos.iter().filter(chosen).count() as u64;
        self.total += count;
        for video in videos.iter().filter(chosen) {
            let seconds = table.duration(video)?;
            let bucket = DURATIONS.iter().rev().find(|(_, from)| seconds >= *from).or(DURATIONS.first());
            if let Some((name, _)) = bucket {
                add(&mut self.durations, name, 1);
            }
        }
        let mut years: BTreeMap<Option<i64>, u64> = BTreeMap::new();
        for (created, video) in columns.created.iter().zip(0..) {
            if chosen(&video) {
                *years.entry(created.map(|micros| Timestamp(micros).year())).or_default() += 1;
            }
        }
        for (year, count) in years {
            add(&mut self.created, &year.map_or_else(|| UNKNOWN.to_owned(), |year| format!("{year:04}")), count);
        }
        for (strings, counts) in [(&columns.quality, &mut self.quality), (&columns.creators, &mut self.creator)] {
            let mut known = 0;
            for (_, value) in strings.each().filter(|(video, _)| chosen(video)) {
                add(counts, value, 1);
                known += 1;
            }
            if known < count {
                add(counts, UNKNOWN, count - known);
            }
        }
        for (_, tag) in columns.tags.each().filter(|(video, _)| chosen(video)) {
            add(&mut self.tags, tag, 1);
        }
        for (key, counts) in &mut self.metadata {
            let Some(column) = columns.metadata.get(key) else { continue };
            for (_, value) in column.strings.each().filter(|(video, _)| chosen(video)) {
                add(counts, value, 1);
            }
            for (_, flag) in column.booleans.iter().filter(|(video, _)| chosen(video)) {
                add(counts, if *flag { "true" } else { "false" }, 1);
            }
        }
        Ok(())
    }

    /// The counts by name: "durations", "quality", "tags", "created", "creator", "metadata.KEY". A facet with more than
    /// `MAX_VALUES` values keeps only the most frequent.
    #[must_use]
    pub(crate) fn into_map(self) -> BTreeMap<String, Counts> {
        let metadata = self.metadata.into_iter().map(|(key, counts)| (format!("{METADATA}{key}"), counts));
        let columns = [
            ("durations", self.durations),
            ("quality", self.quality),
            ("tags", self.tags),
            ("created", self.created),
            ("creator", self.creator),
        ];
        let columns = columns.into_iter().map(|(name, counts)| (name.to_owned(), counts));
        columns.chain(metadata).map(|(name, counts)| (name, most_frequent(counts, MAX_VALUES))).collect()
    }
}

/// The `limit` most frequent values; of equally frequent ones those that come first in the alphabet. Only right once all
/// parts are counted: a value that is rare in one part may be frequent in all of them.
fn most_frequent(counts: Counts, limit: usize) -> Counts {
    if counts.len() <= limit {
        return counts;
    }
    let mut ordered: Vec<(String, u64)> = counts.into_iter().collect();
    ordered.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ordered.truncate(limit);
    ordered.into_iter().collect()
}

fn add(counts: &mut Counts, value: &str, count: u64) {
    match counts.get_mut(value) {
        Some(known) => *known += count,
        None => {
            counts.insert(value.to_owned(), count);
        }
    }
}
