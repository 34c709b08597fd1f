//! Which videos a search may return.
//!
//! A filter is evaluated column by column over the videos of one part, and gives the set of their numbers that match.
//! Whether a video matches depends on that video alone, so it does not matter how videos are spread over parts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::columns::{Metadata, Strings, has_whole};
use super::row_set::RowSet;
use super::table::VideoTable;
use super::video::VideoId;
use crate::error::{Error, Result};

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// The video's id.
    Id,
    /// Length in seconds.
    Duration,
    /// When it was created, in microseconds since 1970 in UTC.
    Created,
    /// "sd", "hd", …, compared in lower case.
    Quality,
    /// Tags; a video has any number.
    Tags,
    /// The creator's id.
    Creator,
    /// A metadata key; of nested objects the path, with dots.
    Metadata(String),
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A whole number too large for a float to hold exactly; compared exactly here, but as a float in a range.
    Whole(i128),
    /// Text, compared exactly.
    Text(String),
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The value belongs to the range.
    Inclusive(f64),
    /// It does not.
    Exclusive(f64),
}

/// A condition on videos.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Every video.
    #[default]
    All,
    /// A number of the column lies within the bounds. A video without one does not match.
    Range {
        /// Duration, created or metadata.
        column: Column,
        /// None for no lower bound.
        min: Option<Bound>,
        /// None for no upper bound.
        max: Option<Bound>,
    },
    /// A value of the column is among these.
    In {
        /// Any column but duration and created.
        column: Column,
        /// None matches nothing.
        values: Vec<Scalar>,
    },
    /// The column has a value.
    Exists {
        /// Any column.
        column: Column,
    },
    /// All of them; of none, every video.
    And(Vec<Filter>),
    /// Any of them; of none, no video.
    Or(Vec<Filter>),
    /// The videos that don't match.
    Not(Box<Filter>),
}

impl Bound {
    fn admits_from_below(self, value: f64) -> bool {
        match self {
            Self::Inclusive(bound) => value >= bound,
            Self::Exclusive(bound) => value > bound,
        }
    }

    fn admits_from_above(self, value: f64) -> bool {
        match self {
            Self::Inclusive(bound) => value <= bound,
            Self::Exclusive(bound) => value < bound,
        }
    }
}

impl Filter {
    /// The videos of the table that match.
    ///
    /// # Errors
    /// `invalid_filter` if a column can't be compared that way; `damaged` if the table is.
    pub(crate) fn evaluate(&self, table: &VideoTable) -> Result<RowSet> {
        let count = table.video_count();
        match self {
            Self::All => Ok(RowSet::full(count)),
            Self::And(filters) => {
                let mut set = RowSet::full(count);
                for filter in filters {
                    set.intersect(&filter.evaluate(table)?);
                }
                Ok(set)
            }
            Self::Or(filters) => {
                let mut set = RowSet::empty(count);
                for filter in filters {
                    set.unite(&filter.evaluate(table)?);
                }
                Ok(set)
            }
            Self::Not(filter) => {
                let mut set = filter.evaluate(table)?;
                set.invert();
                Ok(set)
            }
            Self::Range { column, min, max } => {
                let mut set = RowSet::empty(count);
                each_number(table, column, |video, value| {
                    if min.is_none_or(|min| min.admits_from_below(value))
                        && max.is_none_or(|max| max.admits_from_above(value))
                    {
                        set.insert(video);
                    }
                })?;
                Ok(set)
            }
            Self::In { column, values } => among(table, column, values),
            Self::Exists { column } => existing(table, column),
        }
    }
}

fn each_number(table: &VideoTable, column: &Column, mut take: impl FnMut(u32, f64)) -> Result<()> {
    let columns = table.columns()?;
    match column {
        Column::Duration => {
            for video in 0..table.video_count() {
                take(video, table.duration(video)?);
            }
        }
        Column::Created => {
            for (value, video) in columns.created.iter().zip(0..) {
                if let Some(value) = value {
                    // Exact for some 280 years around 1970, to the millisecond for the rest.
                    take(video, *value as f64);
                }
            }
        }
        Column::Metadata(key) => {
            let numbers = columns.metadata.get(key).map_or(&[][..], |column| &column.numbers);
            numbers.iter().for_each(|(video, value)| take(*video, *value));
        }
        Column::Id | Column::Quality | Column::Tags | Column::Creator => {
            return Err(Error::InvalidFilter { detail: format!("{column:?} has no numbers to compare") });
        }
    }
    Ok(())
}

fn among(table: &VideoTable, column: &Column, values: &[Scalar]) -> Result<RowSet> {
    let columns = table.columns()?;
    let mut set = RowSet::empty(table.video_count());
    match column {
        Column::Id => {
            for text in texts(values) {
                // A text that can't be an id belongs to no video.
                if let Ok(id) = VideoId::new(text)
                    && let Some(video) = table.find(&id)?
                {
                    set.insert(video);
                }
            }
        }
        Column::Quality => {
            let lower: Vec<String> = texts(values).map(str::to_lowercase).collect();
            insert_strings(&columns.quality, lower.iter().map(String::as_str), &mut set);
        }
        Column::Tags => insert_strings(&columns.tags, texts(values), &mut set),
        Column::Creator => insert_strings(&columns.creators, texts(values), &mut set),
        Column::Metadata(key) => {
            if let Some(column) = columns.metadata.get(key) {
                insert_metadata(column, values, &mut set);
                insert_whole(table, key, column, values, &mut set)?;
            }
        }
        Column::Duration | Column::Created => {
            return Err(Error::InvalidFilter { detail: format!("{column:?} is compared with a range, not a list") });
        }
    }
    Ok(set)
}

fn texts(values: &[Scalar]) -> impl Iterator<Item = &str> {
    values.iter().filter_map(|value| if let Scalar::Text(text) = value { Some(text.as_str()) } else { None })
}

fn insert_strings<'a>(column: &Strings, wanted: impl Iterator<Item = &'a str>, set: &mut RowSet) {
    let wanted: BTreeSet<u32> = wanted.filter_map(|text| column.number(text)).collect();
    if !wanted.is_empty() {
        column.pairs.iter().filter(|(_, value)| wanted.contains(value)).for_each(|(video, _)| set.insert(*video));
    }
}

fn insert_metadata(column: &Metadata, values: &[Scalar], set: &mut RowSet) {
    insert_strings(&column.strings, texts(values), set);
    let mut numbers: Vec<f64> = values
        .iter()
        .filter_map(|value| if let Scalar::Number(number) = value { Some(*number) } else { None })
        .collect();
    numbers.sort_by(f64::total_cmp);
    for (video, number) in &column.numbers {
        // 0 and -0 are the same number, and NaN is none.
        if numbers.binary_search_by(|wanted| wanted.partial_cmp(number).unwrap_or(std::cmp::Ordering::Less)).is_ok() {
            set.insert(*video);
        }
    }
    for (video, flag) in &column.booleans {
        if values.iter().any(|value| matches!(value, Scalar::Boolean(wanted) if wanted == flag)) {
            set.insert(*video);
        }
    }
}

/// Adds the videos that have one of the wanted whole numbers. The column keeps floats, so of videos whose number is that as
/// a float, the records are asked for the exact one.
fn insert_whole(table: &VideoTable, key: &str, column: &Metadata, values: &[Scalar], set: &mut RowSet) -> Result<()> {
    let wanted: Vec<i128> =
        values.iter().filter_map(|value| if let Scalar::Whole(whole) = value { Some(*whole) } else { None }).collect();
    for (video, number) in &column.numbers {
        let is_near = wanted.iter().any(|whole| *whole as f64 == *number);
        if is_near && has_whole(&table.video(*video)?.metadata, key, &wanted) {
            set.insert(*video);
        }
    }
    Ok(())
}

fn existing(table: &VideoTable, column: &Column) -> Result<RowSet> {
    let columns = table.columns()?;
    let mut set = RowSet::empty(table.video_count());
    let strings = |strings: &Strings, set: &mut RowSet| strings.pairs.iter().for_each(|(video, _)| set.insert(*video));
    match column {
        Column::Id | Column::Duration => set = RowSet::full(table.video_count()),
        Column::Created => each_number(table, column, |video, _| set.insert(video))?,
        Column::Quality => strings(&columns.quality, &mut set),
        Column::Tags => strings(&columns.tags, &mut set),
        Column::Creator => strings(&columns.creators, &mut set),
        Column::Metadata(key) => {
            if let Some(column) = columns.metadata.get(key) {
                strings(&column.strings, &mut set);
                column.numbers.iter().for_each(|(video, _)| set.insert(*video));
                column.booleans.iter().for_each(|(video, _)| set.insert(*video));
            }
        }
    }
    Ok(set)
}
