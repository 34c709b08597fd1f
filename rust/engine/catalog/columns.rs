//! What filters and facets look at: one column for each field and metadata key, over the videos of a part.
//!
//! Stored as one postcard record and decoded when the first filter or facet needs it. Strings are numbered in alphabetical
//! order, and columns keep these numbers. The date has an entry for each video, other columns have a list of pairs.
//!
//! Each metadata key is a column. An object in it makes a column for each of its own keys, named with dots
//! (`camera.model`). A list gives a video several values, and null is no value. Numbers are kept as 64-bit floats.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::video::Video;
use crate::error::Result;

/// A video's number within a part, and a value's number within a column.
type Pair = (u32, u32);

/// The columns of the videos of one part.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Columns {
    /// Microseconds since 1970 in UTC.
    pub(crate) created: Vec<Option<i64>>,
    /// In lower case.
    pub(crate) quality: Strings,
    pub(crate) tags: Strings,
    /// Ids of creators.
    pub(crate) creators: Strings,
    pub(crate) metadata: BTreeMap<String, Metadata>,
}

/// Strings of videos: a sorted list without repeats, and ascending pairs of a video and the number of a string in it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Strings {
    pub(crate) values: Vec<String>,
    pub(crate) pairs: Vec<Pair>,
}

/// The values of one metadata key; pairs ascend by video.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) strings: Strings,
    pub(crate) numbers: Vec<(u32, f64)>,
    pub(crate) booleans: Vec<(u32, bool)>,
}

impl Columns {
    pub(crate) fn of(videos: &[&Video]) -> Result<Self> {
        let mut columns = Self::default();
        let (mut quality, mut tags, mut creators) = (Gathered::default(), Gathered::default(), Gathered::default());
        let mut metadata: BTreeMap<String, (Gathered, Metadata)> = BTreeMap::new();
        for (&video, number) in videos.iter().zip(0..) {
            columns.created.push(video.created_at()?.map(|created| created.0));
            if let Some(value) = &video.quality {
                quality.add(number, &value.to_lowercase());
            }
            for tag in &video.tags {
                tags.add(number, tag);
            }
            if let Some(creator) = &video.creator {
                creators.add(number, &creator.id);
            }
            for (key, value) in &video.metadata {
                gather(number, key, value, &mut metadata);
            }
        }
        columns.quality = quality.finish();
        columns.tags = tags.finish();
        columns.creators = creators.finish();
        columns.metadata = metadata
            .into_iter()
            .map(|(key, (strings, rest))| (key, Metadata { strings: strings.finish(), ..rest }))
            .collect();
        Ok(columns)
    }

    /// Whether every number lies within its table, so that reading can rely on it.
    pub(crate) fn fit(&self, video_count: u32) -> bool {
        let numbers_fit = |column: &Metadata| {
            column.numbers.iter().all(|(video, _)| *video < video_count)
                && column.booleans.iter().all(|(video, _)| *video < video_count)
        };
        self.created.len() == video_count as usize
            && [&self.quality, &self.tags, &self.creators].into_iter().all(|strings| strings.fit(video_count))
            && self.metadata.values().all(|column| column.strings.fit(video_count) && numbers_fit(column))
    }
}

impl Strings {
    fn fit(&self, video_count: u32) -> bool {
        self.values.is_sorted()
            && self.pairs.iter().all(|(video, value)| *video < video_count && (*value as usize) < self.values.len())
    }

    /// Each video with each of its strings.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &str)> {
        self.pairs.iter().filter_map(|(video, value)| Some((*video, self.values.get(*value as usize)?.as_str())))
    }

    /// The number of a string.
    pub(crate) fn number(&self, value: &str) -> Option<u32> {
        self.values.binary_search_by(|known| known.as_str().cmp(value)).ok().and_then(|at| u32::try_from(at).ok())
    }
}

/// The strings of videos while a column is made.
#[derive(Default)]
struct Gathered(BTreeSet<(u32, String)>);

impl Gathered {
    fn add(&mut self, video: u32, value: &str) {
        self.0.insert((video, value.to_owned()));
    }

    fn finish(self) -> Strings {
        let distinct: BTreeSet<&str> = self.0.iter().map(|(_, value)| value.as_str()).collect();
        let values: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
        let mut strings = Strings { values, pairs: Vec::new() };
        strings.pairs = self.0.iter().filter_map(|(video, value)| Some((*video, strings.number(value)?))).collect();
        strings
    }
}

/// Adds a metadata value to the columns of its key, and of the keys in it.
fn gather(video: u32, key: &str, value: &Value, into: &mut BTreeMap<String, (Gathered, Metadata)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                gather(video, &format!("{key}.{field}"), value, into);
            }
        }
        Value::Array(values) => {
            for value in values {
                gather(video, key, value, into);
            }
        }
        Value::String(text) => into.entry(key.to_owned()).or_default().0.add(video, text),
        Value::Bool(flag) => {
            let known = &mut into.entry(key.to_owned()).or_default().1.booleans;
            if !known.contains_last(video, flag) {
                known.push((video, *flag));
            }
        }
        Value::Number(number) => {
            if let Some(number) = number.as_f64() {
                let known = &mut into.entry(key.to_owned()).or_default().1.numbers;
                if !known.contains_last(video, &number) {
                    known.push((video, number));
                }
            }
        }
    }
}

/// A JSON number as a whole one; none where it has a fraction or is too large.
pub(crate) fn whole(number: &Number) -> Option<i128> {
    let is_whole = |float: &f64| float.fract() == 0.0 && float.abs() < 2_f64.powi(127);
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    exact.or_else(|| number.as_f64().filter(is_whole).map(|float| float as i128))
}

/// Whether metadata have one of the whole numbers under a column's key.
pub(crate) fn has_whole(fields: &Map<String, Value>, key: &str, wanted: &[i128]) -> bool {
    fields.iter().any(|(name, value)| is_at(name, value, key, wanted))
}

/// As `has_whole`, for the value under `name`.
fn is_at(name: &str, value: &Value, key: &str, wanted: &[i128]) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(field, value)| is_at(&format!("{name}.{field}"), value, key, wanted))
        }
        Value::Array(values) => values.iter().any(|value| is_at(name, value, key, wanted)),
        Value::Number(number) => name == key && whole(number).is_some_and(|whole| wanted.contains(&whole)),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

trait ContainsLast<T> {
    /// Whether the pairs of the last video hold this one.
    fn contains_last(&self, video: u32, value: &T) -> bool;
}

impl<T: PartialEq> ContainsLast<T> for Vec<(u32, T)> {
    fn contains_last(&self, video: u32, value: &T) -> bool {
        self.iter().rev().take_while(|(of, _)| *of == video).any(|(_, known)| known == value)
    }
}
