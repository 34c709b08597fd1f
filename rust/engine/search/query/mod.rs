//! What is asked of a library: one question, or several related in time. `check` says what is wrong with it, and `digest`
//! tells questions apart.

mod check;
mod digest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fuse::{Fuser, Fusion, Weights};
use crate::catalog::channel::Channel;
use crate::error::Result;

/// The most hits of one page.
pub const MAX_LIMIT: u32 = 1000;
/// The most moments of one hit.
pub const MAX_MOMENTS: u32 = 1000;
/// The most effort of an approximate answer.
pub const MAX_EFFORT: u32 = 10_000;
/// The longest text of one channel, in bytes.
pub const MAX_TEXT_BYTES: usize = crate::text::query::MAX_QUERY_BYTES;
/// The most columns to count values of.
pub const MAX_FACETS: usize = 64;

/// Which columns to count the values of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facets {
    /// None.
    #[default]
    Off,
    /// Every column that can be counted.
    All,
    /// These.
    Named(Vec<String>),
}

/// What the total and the facets of an approximate answer count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Total {
    /// Every video that the exact answer returns. That costs little where any evidence is enough for a hit; where it must
    /// reach a least confidence or score, to count is to search exactly, and so is then the whole answer.
    #[default]
    Exact,
    /// The videos that were found: an estimate, not above the exact number.
    Found,
}

/// A span of one video that is not to be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Except {
    /// The video's id.
    pub video: String,
    /// First instant in seconds.
    pub start: f64,
    /// First instant after.
    pub end: f64,
}

/// The most clauses of one question.
pub const MAX_CLAUSES: usize = 16;

/// A part of a question that may be answered on its own, on channels that the whole asks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clause {
    /// Words to find on a channel.
    pub text: BTreeMap<Channel, String>,
    /// Vectors to compare with, in the channel's space.
    pub vectors: BTreeMap<Channel, Vec<f32>>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Words to find on a channel, in the text room's syntax.
    pub text: BTreeMap<Channel, String>,
    /// Vectors to compare with, in the channel's space.
    pub vectors: BTreeMap<Channel, Vec<f32>>,
    /// The question's clauses where it has several: "a dog on a beach, waves crash" is answered by a moment that shows the
    /// one and says the other. Each is asked on its own beside the whole (see `calibrate`).
    pub clauses: Vec<Clause>,
    /// The channels whose vector above is of their own medium: a picture asked of pictures.
    pub alike: BTreeSet<Channel>,
    /// Several questions related in time, in place of `text` and `vectors`. Always answered exactly.
    pub compound: Option<Box<Compound>>,
    /// Only what happens from the first to the second of these seconds of a video counts, cut off at either.
    pub between: Option<[f64; 2]>,
    /// What overlaps this by half of itself is no evidence: more like a moment, without that moment.
    pub except: Option<Except>,
    /// How different a video's moments are from each other, in [0, 1]: one is left out where a better one is as much like
    /// it as 1 less this. Likeness is the cosine of the pictures at their peaks, or nearness, from 1 at no distance to 0
    /// at a minute. By default none is left out.
    pub diversity: Option<f32>,
    /// The requested channels; empty for those that `text` and `vectors` name.
    pub channels: Vec<Channel>,
    /// Relative weights, 1 where absent (see `fuse`).
    pub weights: BTreeMap<Channel, f32>,
    /// A filter over video columns; null for none.
    pub filter: Value,
    /// Moments with lower scores are left out. By default those are left out on which no channel's evidence is enough by
    /// itself, as the library's calibrations say; none where a channel that is asked was never fitted.
    pub min_score: Option<f32>,
    /// The most hits of this page, 1 to 1000.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Exact by default. A number asks for an approximate answer where the library is large: each channel's candidates
    /// come from a walk through its graph that keeps so many rows, 1 to 10,000. Scores stay exact, and a hit may be missed;
    /// more effort misses fewer and takes longer.
    pub effort: Option<u32>,
    /// What the total of an approximate answer counts.
    pub total: Total,
    /// How channels become one score.
    pub fusion: Fusion,
    /// The most moments of each hit, up to 1000. 0 says only which videos, and their scores.
    pub moments_per_hit: u32,
    /// Which columns to count.
    pub facets: Facets,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: BTreeMap::new(),
            vectors: BTreeMap::new(),
            clauses: Vec::new(),
            alike: BTreeSet::new(),
            compound: None,
            between: None,
            except: None,
            diversity: None,
            channels: Vec::new(),
            weights: BTreeMap::new(),
            filter: Value::Null,
            min_score: None,
            limit: 20,
            cursor: None,
            effort: None,
            total: Total::default(),
            fusion: Fusion::default(),
            moments_per_hit: 5,
            facets: Facets::default(),
        }
    }
}

impl Query {
    /// The requested channels in order, without repeats.
    #[must_use]
    pub fn requested(&self) -> Vec<Channel> {
        let asks = |channel: &Channel| self.text.contains_key(channel) || self.vectors.contains_key(channel);
        let is_requested = |channel: &Channel| {
            if self.channels.is_empty() { asks(channel) } else { self.channels.contains(channel) }
        };
        Channel::ALL.into_iter().filter(is_requested).collect()
    }

    /// The fusion with the weights of the requested channels.
    pub fn fuser(&self) -> Result<Fuser> {
        Ok(Fuser::new(self.fusion, Weights::new(&self.requested(), &self.weights)?))
    }
}

/// The most parts of a blend.
pub const MAX_PARTS: usize = 8;
/// How deep a compound may go: a part may be a compound once more.
pub const MAX_DEPTH: usize = 2;
/// The longest `within_seconds`.
pub const MAX_WITHIN_SECONDS: f64 = 1e6;

/// One side of a relation: a part of a compound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// A question of its own: what it asks, of which channels with which weights. Everything else (filter, limits,
    /// fusion, …) is the whole query's.
    Ask(Box<Query>),
    /// Related questions once more.
    Compound(Box<Compound>),
}

/// Questions related in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Compound {
    /// One, and then the other.
    Then {
        /// What comes first.
        first: Operand,
        /// What follows.
        second: Operand,
        /// How long after the end of the first the second may begin at most.
        within_seconds: f64,
    },
    /// Both at once.
    While {
        /// The one.
        first: Operand,
        /// The other.
        second: Operand,
    },
    /// One where the other is not.
    Without {
        /// What is looked for.
        first: Operand,
        /// What must not be there at the same time.
        second: Operand,
    },
    /// Several at once, each as important as its weight; what has a weight below zero should not be there.
    Blend {
        /// The parts with their weights, which are finite, not zero, and above zero for one at least.
        parts: Vec<(Operand, f32)>,
    },
}

impl Compound {
    /// The single questions in the order in which they are written, to be filled in.
    pub fn questions_mut(&mut self) -> Vec<&mut Query> {
        let parts: Vec<&mut Operand> = match self {
            Self::Then { first, second, .. } | Self::While { first, second } | Self::Without { first, second } => {
                vec![first, second]
            }
            Self::Blend { parts } => parts.iter_mut().map(|(part, _)| part).collect(),
        };
        let mut questions = Vec::new();
        for part in parts {
            match part {
                Operand::Ask(query) => questions.push(&mut **query),
                Operand::Compound(inner) => questions.extend(inner.questions_mut()),
            }
        }
        questions
    }

    /// The parts in the order in which they are written.
    fn parts(&self) -> Vec<&Operand> {
        match self {
            Self::Then { first, second, .. } | Self::While { first, second } | Self::Without { first, second } => {
                vec![first, second]
            }
            Self::Blend { parts } => parts.iter().map(|(part, _)| part).collect(),
        }
    }
}
