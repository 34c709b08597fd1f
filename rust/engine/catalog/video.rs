//! A video and its segments as they are given to the engine and given back.

use std::fmt;

use half::f16;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use crate::error::{Error, Result};

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// A video's name, unique within a library. Not empty, at most `MAX_ID_BYTES` bytes, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VideoId(String);

impl VideoId {
    /// Checks and wraps an id.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        let detail = if id.is_empty() {
            "the id is empty".to_owned()
        } else if id.len() > MAX_ID_BYTES {
            format!("the id has {} bytes, at most {MAX_ID_BYTES} are allowed", id.len())
        } else if id.chars().any(char::is_control) {
            "the id has a control character".to_owned()
        } else {
            return Ok(Self(id));
        };
        Err(Error::InvalidVideo { video: id.chars().take(80).collect(), detail })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who made a video.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Creator {
    /// The platform's id of the person.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// Whether the platform vouches for the person.
    pub verified: bool,
}

/// One source with its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// Unique within the library.
    pub id: VideoId,
    /// Title; searchable text.
    #[serde(default)]
    pub title: String,
    /// Description; searchable text.
    #[serde(default)]
    pub description: String,
    /// Tags; searchable text, a set column for filters and facets.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Length in seconds.
    #[serde(default)]
    pub duration: f64,
    /// When it was created: RFC 3339 date or date and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// "sd", "hd", "4k", …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<Creator>,
    /// The path or URL that it was indexed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// SHA-256 of the source's bytes, hex; how a repeated run knows what is already there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// Any further values; each key is a column for filters and facets.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Video {
    /// A video of which nothing but its id is known.
    #[must_use]
    pub fn named(id: VideoId) -> Self {
        Self {
            id,
            title: String::new(),
            description: String::new(),
            tags: Vec::new(),
            duration: 0.0,
            created: None,
            quality: None,
            creator: None,
            source: None,
            content_hash: None,
            metadata: serde_json::Map::new(),
        }
    }
}

/// A span of time within a video, `[start, end)`, seconds of the container's time stamps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// First instant.
    pub start: f64,
    /// First instant after.
    pub end: f64,
}

impl Span {
    /// Length in seconds.
    #[must_use]
    pub fn duration(self) -> f64 {
        self.end - self.start
    }

    /// The instant in the middle, which rounding may move to the end of a very short span.
    pub(crate) fn center(self) -> f64 {
        self.start + (self.end - self.start) / 2.0
    }

    /// The shortest span that holds both.
    pub(crate) fn unite(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// What two spans that overlap share.
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Refuses what is no span of time of this video: negative, reversed or not finite.
    ///
    /// # Errors
    /// `invalid_span`.
    pub(crate) fn validate(self, video: &VideoId) -> Result<()> {
        let Self { start, end } = self;
        if start.is_finite() && end.is_finite() && start >= 0.0 && end >= start {
            return Ok(());
        }
        Err(Error::InvalidSpan { video: video.to_string(), start_seconds: start, end_seconds: end })
    }

    /// Seconds that both spans share.
    #[must_use]
    pub fn overlap(self, other: Self) -> f64 {
        (self.end.min(other.end) - self.start.max(other.start)).max(0.0)
    }

    /// Intersection over union; 0 where neither has a length.
    #[must_use]
    pub fn iou(self, other: Self) -> f64 {
        let shared = self.overlap(other);
        let union = self.duration() + other.duration() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// A model's output space. Vectors of two spaces are never compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Space {
    /// The encoder's name.
    pub name: String,
    /// The encoder's version.
    pub version: String,
    /// Number of components.
    pub dimension: u32,
}

impl Space {
    /// Refuses a vector of `got` components if the space has another number of them. `vector` says which vector it is.
    ///
    /// # Errors
    /// `dimension_mismatch`.
    pub(crate) fn check_component_count(&self, got: usize, vector: impl FnOnce() -> String) -> Result<()> {
        let expected = self.dimension as usize;
        if expected == got {
            return Ok(());
        }
        let what = format!("{} (this library's are of {self}; `pixr reindex` changes it)", vector());
        Err(Error::DimensionMismatch { what, expected, got })
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.name, self.version, self.dimension)
    }
}

/// What one segment says on one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Which channel.
    pub channel: Channel,
    /// A vector, normalised, as it is stored; its space is the channel's space in the library.
    pub vector: Option<Vec<f16>>,
    /// Words that are indexed and shown.
    pub text: Option<String>,
    /// Words that are shown where there is no text, such as the closest concepts of a picture.
    pub description: Option<String>,
}

/// A span of a video with its evidence: the unit that is indexed.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// When.
    pub span: Span,
    /// At most one entry a channel, ordered by channel.
    pub evidence: Vec<Evidence>,
}
