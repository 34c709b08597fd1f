//! A checked query against one snapshot: what is asked of each channel, with everything that scoring needs.

use rayon::prelude::*;

use super::calibrate::{Calibration, Kinds};
use super::fuse::{Fuser, Fusion};
use super::query::Query;
use crate::catalog::channel::Channel;
use crate::catalog::filter::Filter;
use crate::catalog::row_set::RowSet;
use crate::error::{Error, Result};
use crate::part::LivePart;
use crate::snapshot::Snapshot;
use crate::text::query::TextQuery;
use crate::text::stats::TextStats;
use crate::vector::QueryVector;

/// The score that a moment needs where every channel asked was fitted and the query names none. Calibrations are fitted
/// so that queries about nothing stay below it. For fusions whose scores are no probabilities, and for unfitted
/// channels, it is 0.
pub const DEFAULT_MIN_SCORE: f32 = 0.1;

/// What is asked of one channel.
pub(super) struct ChannelAsk {
    pub(super) channel: Channel,
    pub(super) vector: Option<QueryVector>,
    pub(super) words: Option<Words>,
    pub(super) calibration: Calibration,
}

/// A text query with the statistics that its scores need.
pub(super) struct Words {
    pub(super) query: TextQuery,
    pub(super) stats: TextStats,
    ideal: f32,
}

/// The whole query.
pub(super) struct Ask {
    pub(super) channels: Vec<ChannelAsk>,
    pub(super) fuser: Fuser,
    pub(super) min_score: f32,
    /// For each part, the live videos that the filter lets through, and their rows.
    pub(super) allowed: Vec<Allowed>,
}

/// What of a part may be returned.
pub(super) struct Allowed {
    pub(super) videos: RowSet,
    pub(super) rows: RowSet,
}

impl ChannelAsk {
    pub(super) fn kinds(&self) -> Kinds {
        if self.vector.is_some() && self.words.is_some() { Kinds::Both } else { Kinds::One }
    }

    fn is_fitted(&self) -> bool {
        self.calibration.is_fitted(self.vector.is_some(), self.words.is_some())
    }
}

impl Words {
    /// A BM25 score over the best that the query could have, in [0, 1].
    pub(super) fn ratio(&self, score: f32) -> f32 {
        if self.ideal > 0.0 { (score / self.ideal).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Ask {
    pub(super) fn new(snapshot: &Snapshot, query: &Query) -> Result<Self> {
        query.validate()?;
        let filter = Filter::parse(&query.filter)?;
        let channels = query
            .requested()
            .into_iter()
            .map(|channel| ask_channel(snapshot, query, channel))
            .collect::<Result<Vec<_>>>()?;
        let fuser = query.fuser()?;
        let is_probability = matches!(query.fusion, Fusion::Probabilistic | Fusion::Max);
        let fitted = channels.iter().all(ChannelAsk::is_fitted);
        let default = if is_probability && fitted { DEFAULT_MIN_SCORE } else { 0.0 };
        let allowed = snapshot.parts.par_iter().map(|part| allowed(part, &filter)).collect::<Result<_>>()?;
        Ok(Self { channels, fuser, min_score: query.min_score.unwrap_or(default), allowed })
    }
}

fn ask_channel(snapshot: &Snapshot, query: &Query, channel: Channel) -> Result<ChannelAsk> {
    let vector = match (query.vectors.get(&channel), snapshot.spaces.get(&channel)) {
        (Some(components), Some(space)) if components.len() != space.dimension as usize => {
            return Err(Error::DimensionMismatch {
                what: format!("the query's vector for {}", channel.name()),
                expected: space.dimension as usize,
                got: components.len(),
            });
        }
        (Some(components), Some(_)) => {
            Some(QueryVector::new(&format!("the query's vector for {}", channel.name()), components)?)
        }
        // A library without vectors on the channel has no evidence on it.
        (Some(_), None) | (None, _) => None,
    };
    let words = match query.text.get(&channel) {
        Some(text) => ask_words(snapshot, text, channel)?,
        None => None,
    };
    Ok(ChannelAsk { channel, vector, words, calibration: snapshot.calibration(channel) })
}

fn ask_words(snapshot: &Snapshot, text: &str, channel: Channel) -> Result<Option<Words>> {
    let query = TextQuery::parse(text)?;
    if query.is_empty() {
        return Ok(None);
    }
    let stats = snapshot
        .parts
        .par_iter()
        .map(|part| {
            let mut stats = TextStats::default();
            if let Some(index) = part.part.text() {
                index.collect(&query, channel, &part.rows, &mut stats)?;
            }
            Ok(stats)
        })
        .try_reduce(TextStats::default, |mut sum, other| {
            sum.merge(&other)?;
            Ok(sum)
        })?;
    let ideal = stats.ideal(&query);
    Ok(Some(Words { query, stats, ideal }))
}

fn allowed(part: &LivePart, filter: &Filter) -> Result<Allowed> {
    if matches!(filter, Filter::All) {
        return Ok(Allowed { videos: RowSet::clone(&part.videos), rows: RowSet::clone(&part.rows) });
    }
    let table = part.part.table();
    let mut videos = filter.evaluate(table)?;
    videos.intersect(&part.videos);
    let mut rows = RowSet::empty(table.row_count());
    for video in videos.iter() {
        rows.insert_range(table.rows(video)?);
    }
    Ok(Allowed { videos, rows })
}
