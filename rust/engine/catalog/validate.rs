//! What is required of a video before it is stored.

use serde_json::Value;

use super::timestamp::Timestamp;
use super::video::{Video, VideoId};
use crate::error::{Error, Result};

/// The longest title or description, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// The most tags.
pub const MAX_TAGS: usize = 1000;
/// The longest tag, quality, creator's id or name, metadata key, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;
/// The largest metadata, as JSON in bytes.
pub const MAX_METADATA_BYTES: usize = 1024 * 1024;
/// How deep metadata may be nested; a plain value is 1 deep.
pub const MAX_METADATA_DEPTH: usize = 16;

impl Video {
    /// Checks every field that columns are made of.
    ///
    /// # Errors
    /// `invalid_video` naming the field and what is wrong with it.
    pub fn validate(&self) -> Result<()> {
        // An id that came out of JSON was not checked yet.
        VideoId::new(self.id.as_str())?;
        self.check().map_err(|detail| Error::InvalidVideo { video: self.id.to_string(), detail })
    }

    /// When the video was created, if that is known.
    ///
    /// # Errors
    /// `invalid_video` if `created` can't be read.
    pub(crate) fn created_at(&self) -> Result<Option<Timestamp>> {
        let read = self.created.as_deref().map(Timestamp::parse).transpose();
        read.map_err(|detail| Error::InvalidVideo { video: self.id.to_string(), detail: format!("created: {detail}") })
    }

    fn check(&self) -> Result<(), String> {
        if !self.duration.is_finite() || self.duration < 0.0 {
            return Err(format!("duration: {} is not a length in seconds", self.duration));
        }
        if let Some(created) = &self.created {
            Timestamp::parse(created).map_err(|detail| format!("created: {detail}"))?;
        }
        at_most("title", &self.title, MAX_TEXT_BYTES)?;
        at_most("description", &self.description, MAX_TEXT_BYTES)?;
        if self.tags.len() > MAX_TAGS {
            return Err(format!("tags: {} are too many, at most {MAX_TAGS} are allowed", self.tags.len()));
        }
        for tag in &self.tags {
            name("tags", tag)?;
        }
        if let Some(quality) = &self.quality {
            name("quality", quality)?;
        }
        if let Some(creator) = &self.creator {
            name("creator.id", &creator.id)?;
            at_most("creator.name", &creator.name, MAX_NAME_BYTES)?;
        }
        for key in self.metadata.keys() {
            name("metadata", key)?;
        }
        for (key, value) in &self.metadata {
            // Before the size: measuring that recurses too.
            if !is_shallow(value, MAX_METADATA_DEPTH) {
                return Err(format!("metadata.{key}: nested deeper than {MAX_METADATA_DEPTH}"));
            }
        }
        let byte_len = serde_json::to_vec(&self.metadata).map_err(|error| format!("metadata: {error}"))?.len();
        if byte_len > MAX_METADATA_BYTES {
            return Err(format!("metadata: {byte_len} bytes, at most {MAX_METADATA_BYTES} are allowed"));
        }
        Ok(())
    }
}

fn at_most(field: &str, text: &str, limit: usize) -> Result<(), String> {
    if text.len() > limit {
        return Err(format!("{field}: {} bytes, at most {limit} are allowed", text.len()));
    }
    Ok(())
}

fn name(field: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{field}: a name is empty"));
    }
    at_most(field, text, MAX_NAME_BYTES)
}

fn is_shallow(value: &Value, depth: usize) -> bool {
    depth > 0
        && match value {
            Value::Array(values) => values.iter().all(|value| is_shallow(value, depth - 1)),
            Value::Object(values) => values.values().all(|value| is_shallow(value, depth - 1)),
            _ => true,
        }
}
