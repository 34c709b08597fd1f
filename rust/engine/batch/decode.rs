//! A record batch into segments.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use half::f16;

use super::SEPARATOR;
use crate::catalog::channel::Channel;
use crate::catalog::video::{Evidence, Segment, Span, Video, VideoId};
use crate::error::{Error, Result};
use crate::vector::normalise;

/// How far from 1 rounding to f16 may take the length of a unit vector.
const UNIT_TOLERANCE: f32 = 2e-3;

/// What a batch says of one video: its metadata where given, and segments.
pub type Change = (VideoId, Option<Video>, Vec<Segment>);

/// Reads a batch; videos come in the order of their first rows.
///
/// # Errors
/// `invalid_batch` for a missing, unknown or ill-typed column; `invalid_vector` for a row's vector that is no direction;
/// `invalid_span`, `invalid_video`.
pub fn decode(batch: &RecordBatch) -> Result<Vec<Change>> {
    let columns = Columns::of(batch)?;
    let mut changes: Vec<Change> = Vec::new();
    let mut places: BTreeMap<VideoId, usize> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let id = columns.id(row)?;
        let place = *places.entry(id.clone()).or_insert_with(|| {
            changes.push((id.clone(), None, Vec::new()));
            changes.len() - 1
        });
        let Some((_, video, segments)) = changes.get_mut(place) else { continue };
        if let Some(given) = columns.video(row, &id)? {
            *video = Some(given);
        }
        segments.extend(columns.segment(row, &id)?);
    }
    Ok(changes)
}

/// The columns of a batch, known by their names and checked for their types.
struct Columns<'a> {
    ids: Strings<'a>,
    starts: Numbers<'a>,
    ends: Numbers<'a>,
    videos: Option<Strings<'a>>,
    evidence: Vec<EvidenceColumn<'a>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let ids = Strings::new(column(batch, "video_id")?, "video_id")?;
        let starts = Numbers::new(column(batch, "start")?, "start")?;
        let ends = Numbers::new(column(batch, "end")?, "end")?;
        let mut columns = Self { ids, starts, ends, videos: None, evidence: Vec::new() };
        let mut names = BTreeSet::new();
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if !names.insert(field.name()) {
                return Err(invalid(format!("column {:?} is there twice", field.name())));
            }
            match field.name().as_str() {
                "video_id" | "start" | "end" => {}
                "video" => columns.videos = Some(Strings::new(array, "video")?),
                name => {
                    let column = EvidenceColumn::new(name, array)?;
                    let is_same =
                        |other: &EvidenceColumn<'_>| (other.channel, other.kind) == (column.channel, column.kind);
                    if columns.evidence.iter().any(is_same) {
                        return Err(invalid(format!("column {name:?} says what another of its channel says")));
                    }
                    columns.evidence.push(column);
                }
            }
        }
        Ok(columns)
    }

    fn id(&self, row: usize) -> Result<VideoId> {
        VideoId::new(self.ids.get(row).ok_or_else(|| invalid(format!("video_id is null in row {row}")))?)
    }

    /// The metadata in a row, if there are some.
    fn video(&self, row: usize, id: &VideoId) -> Result<Option<Video>> {
        let Some(json) = self.videos.as_ref().and_then(|videos| videos.get(row)) else { return Ok(None) };
        let video: Video = serde_json::from_str(json)
            .map_err(|error| Error::InvalidVideo { video: id.to_string(), detail: error.to_string() })?;
        if video.id != *id {
            return Err(invalid(format!("row {row} has video_id {id} and metadata of {}", video.id)));
        }
        Ok(Some(video))
    }

    /// The segment in a row; none where start and end are null, as in a row that only carries metadata.
    fn segment(&self, row: usize, id: &VideoId) -> Result<Option<Segment>> {
        let (start, end) = match (self.starts.get(row), self.ends.get(row)) {
            (Some(start), Some(end)) => (start, end),
            (None, None) if self.videos.is_some() => return Ok(None),
            _ => return Err(invalid(format!("start or end is null in row {row}"))),
        };
        let mut by_channel: BTreeMap<Channel, Evidence> = BTreeMap::new();
        for column in &self.evidence {
            column.read(row, id, &mut by_channel)?;
        }
        Ok(Some(Segment { span: Span { start, end }, evidence: by_channel.into_values().collect() }))
    }
}

fn invalid(detail: String) -> Error {
    Error::InvalidBatch { detail }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| {
        let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        invalid(format!("no column {name:?} among {names:?}"))
    })
}

/// A string column of any of Arrow's plain string types.
struct Strings<'a>(&'a ArrayRef);

impl<'a> Strings<'a> {
    fn new(array: &'a ArrayRef, name: &str) -> Result<Self> {
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self(array)),
            other => Err(invalid(format!("column {name:?} is {other}, expected a string"))),
        }
    }

    fn get(&self, row: usize) -> Option<&'a str> {
        if self.0.is_null(row) {
            return None;
        }
        Some(match self.0.data_type() {
            DataType::Utf8 => self.0.as_string::<i32>().value(row),
            DataType::LargeUtf8 => self.0.as_string::<i64>().value(row),
            _ => self.0.as_string_view().value(row),
        })
    }
}

/// A float column.
struct Numbers<'a>(&'a ArrayRef);

impl<'a> Numbers<'a> {
    fn new(array: &'a ArrayRef, name: &str) -> Result<Self> {
        match array.data_type() {
            DataType::Float64 | DataType::Float32 | DataType::Float16 => Ok(Self(array)),
            other => Err(invalid(format!("column {name:?} is {other}, expected float64"))),
        }
    }

    fn get(&self, row: usize) -> Option<f64> {
        if self.0.is_null(row) {
            return None;
        }
        Some(match self.0.data_type() {
            DataType::Float64 => self.0.as_primitive::<Float64Type>().value(row),
            DataType::Float32 => f64::from(self.0.as_primitive::<Float32Type>().value(row)),
            _ => f64::from(self.0.as_primitive::<Float16Type>().value(row)),
        })
    }
}

/// What a column says of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Vector,
    Text,
    Description,
}

/// A column that says one thing of one channel.
struct EvidenceColumn<'a> {
    channel: Channel,
    kind: Kind,
    array: &'a ArrayRef,
}

impl<'a> EvidenceColumn<'a> {
    fn new(name: &str, array: &'a ArrayRef) -> Result<Self> {
        let (channel, what) = name.split_once(SEPARATOR).unwrap_or((name, ""));
        let is_list =
            matches!(array.data_type(), DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_));
        let kind = match what {
            "" if is_list => Kind::Vector,
            "" | "text" => Kind::Text,
            "vector" => Kind::Vector,
            "description" => Kind::Description,
            _ => return Err(unknown(name)),
        };
        let channel = Channel::parse(channel).map_err(|_| unknown(name))?;
        match (kind, is_list) {
            // The type that Arrow gives a column in which no row has anything.
            _ if array.data_type() == &DataType::Null => Ok(Self { channel, kind, array }),
            (Kind::Vector, false) => {
                Err(invalid(format!("column {name:?} is {}, expected a list of floats", array.data_type())))
            }
            (Kind::Vector, true) => {
                values_of(array, name)?;
                Ok(Self { channel, kind, array })
            }
            (Kind::Text | Kind::Description, _) => {
                let expected = if what.is_empty() { "a string or a list of floats" } else { "a string" };
                Strings::new(array, name)
                    .map_err(|_| invalid(format!("column {name:?} is {}, expected {expected}", array.data_type())))?;
                Ok(Self { channel, kind, array })
            }
        }
    }

    /// Adds what a row has in this column.
    fn read(&self, row: usize, id: &VideoId, by_channel: &mut BTreeMap<Channel, Evidence>) -> Result<()> {
        if self.array.is_null(row) || self.array.data_type() == &DataType::Null {
            return Ok(());
        }
        let evidence = by_channel.entry(self.channel).or_insert_with(|| Evidence {
            channel: self.channel,
            vector: None,
            text: None,
            description: None,
        });
        match self.kind {
            Kind::Vector => evidence.vector = Some(vector(self.array, row, self.channel, id)?),
            Kind::Text => evidence.text = Strings(self.array).get(row).map(str::to_owned),
            Kind::Description => evidence.description = Strings(self.array).get(row).map(str::to_owned),
        }
        Ok(())
    }
}

fn unknown(name: &str) -> Error {
    invalid(format!(
        "column {name:?} is none of video_id, start, end, video, or a channel (frame, metadata, screen, speech, sound), \
         alone or followed by .vector, .text or .description"
    ))
}

fn values_of<'a>(array: &'a ArrayRef, name: &str) -> Result<&'a ArrayRef> {
    let values = match array.data_type() {
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values(),
        DataType::List(_) => array.as_list::<i32>().values(),
        _ => array.as_list::<i64>().values(),
    };
    match values.data_type() {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Ok(values),
        other => Err(invalid(format!("column {name:?} is a list of {other}, expected floats"))),
    }
}

fn vector(array: &ArrayRef, row: usize, channel: Channel, id: &VideoId) -> Result<Vec<f16>> {
    let values = match array.data_type() {
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
        DataType::List(_) => array.as_list::<i32>().value(row),
        _ => array.as_list::<i64>().value(row),
    };
    let what = format!("the {} vector in row {row} (video {id})", channel.name());
    if values.null_count() > 0 {
        return Err(Error::InvalidVector { what, detail: "a component is null".to_owned() });
    }
    match values.data_type() {
        DataType::Float32 => normalise(&what, values.as_primitive::<Float32Type>().values()),
        DataType::Float64 => {
            let given = values.as_primitive::<Float64Type>().values();
            let is_too_large = |value: &f64| value.is_finite() && !(*value as f32).is_finite();
            if let Some((index, value)) = given.iter().enumerate().find(|(_, value)| is_too_large(value)) {
                let detail = format!("component {index} is {value:e}, more than a 32-bit float holds");
                return Err(Error::InvalidVector { what, detail });
            }
            let narrowed: Vec<f32> = given.iter().map(|&value| value as f32).collect();
            normalise(&what, &narrowed)
        }
        // f16 vectors of unit length are taken as they are, so that what was exported comes back bit for bit.
        _ => {
            let stored: Vec<f16> = values.as_primitive::<Float16Type>().values().to_vec();
            let wide: Vec<f32> = stored.iter().map(|value| value.to_f32()).collect();
            let length = wide.iter().map(|value| value * value).sum::<f32>().sqrt();
            if (length - 1.0).abs() < UNIT_TOLERANCE { Ok(stored) } else { normalise(&what, &wide) }
        }
    }
}
