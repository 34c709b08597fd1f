//! Segments as Arrow record batches: bulk input and output.
//!
//! One row is one segment. Columns:
//!
//! | column | type | what |
//! | --- | --- | --- |
//! | `video_id` | string | the video |
//! | `start`, `end` | float64 (float32 is taken too) | the span in seconds; both null in a row that only carries `video` |
//! | `video` | string, may be missing or null | the video's metadata as JSON; export sets it in a video's first row |
//! | `frame.vector`, `speech.vector`, … | list or fixed-size list of float16, float32 or float64 | a direction, normalised here |
//! | `speech.text`, `screen.text`, … | string | words that are indexed |
//! | `frame.description`, … | string | words that are shown |
//!
//! A column named for a channel alone (`frame`, `speech`) is its vector or its text, as its type says. Null means no
//! evidence.

mod decode;
mod encode;

pub use decode::{Change, decode};
pub use encode::{encode, schema};

/// Separates a channel's name from what the column holds.
const SEPARATOR: char = '.';
