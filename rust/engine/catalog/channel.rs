//! Modes are what users ask for, channels are the kinds of evidence that answer.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What is seen.
    Visual,
    /// What is written: title, description, tags, words in the picture.
    Text,
    /// What is said or otherwise heard.
    Audio,
}

/// One kind of evidence that a segment carries. The order is the order in results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Pictures.
    Frame,
    /// Title, description and tags; one segment as long as the video, made by the engine.
    Metadata,
    /// Words seen in the picture.
    Screen,
    /// What is said.
    Speech,
    /// What else is heard.
    Sound,
}

impl Channel {
    /// All channels, in order.
    pub const ALL: [Self; 5] = [Self::Frame, Self::Metadata, Self::Screen, Self::Speech, Self::Sound];

    /// The mode that a user asks for to get this channel.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Frame => Mode::Visual,
            Self::Metadata | Self::Screen => Mode::Text,
            Self::Speech | Self::Sound => Mode::Audio,
        }
    }

    /// The name on disk, in Python and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Metadata => "metadata",
            Self::Screen => "screen",
            Self::Speech => "speech",
            Self::Sound => "sound",
        }
    }

    /// Position in `ALL`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Reads a channel's name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name).ok_or_else(|| Error::InvalidQuery {
            detail: format!("no channel {name:?}; channels are frame, metadata, screen, speech, sound"),
        })
    }
}

impl Mode {
    /// The name in Python and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visual => "visual",
            Self::Text => "text",
            Self::Audio => "audio",
        }
    }
}
