//! What one segment says on one channel: found by `evidence`, shown by [`hit`](super::hit).

use serde::Serialize;

use crate::catalog::channel::Channel;
use crate::catalog::video::Span;

/// Evidence of one segment on one channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match {
    /// The segment's row, by which the caller finds it again; with the channel unique within a video.
    pub row: u32,
    /// The kind of evidence.
    pub channel: Channel,
    /// When, in seconds; for metadata the whole video.
    pub span: Span,
    /// Calibrated, above 0 and at most 1; others are ignored. Evidence is ranked by it.
    pub confidence: f32,
    /// The confidence that is shown: how often such evidence is right.
    pub reported: f32,
    /// Whether it is enough for a moment; a moment needs one such match.
    pub is_sufficient: bool,
    /// For reciprocal rank fusion: 1 + the number of segments with a higher confidence on this channel.
    pub rank: Option<u32>,
    /// Which clause of the question it answers best; none for the whole.
    pub clause: Option<u32>,
    /// The raw cosine.
    pub cosine: Option<f32>,
    /// The raw BM25 score.
    pub lexical: Option<f32>,
    /// The BM25 score over the query's ideal one.
    pub lexical_ratio: Option<f32>,
}
