//! What is asked of a library, checked, with a digest that tells queries apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::compound::Compound;
use super::fuse::{Fuser, Fusion, Weights};
use crate::catalog::channel::Channel;
use crate::error::{Error, Result};

/// The most hits of one page.
pub const MAX_LIMIT: u32 = 1000;
/// The most moments of one hit.
pub const MAX_MOMENTS: u32 = 1000;
/// The most effort of an approximate answer.
pub const MAX_EFFORT: u32 = 10_000;
/// The longest text of one channel, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
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
    /// The most moments of each hit, 1 to 1000.
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

    /// Checks everything that doesn't need a library: dimensions, filter, facets and the order's column do.
    ///
    /// Errors: `InvalidQuery` naming the field; `InvalidVector` for a vector without a direction.
    pub fn validate(&self) -> Result<()> {
        let requested = self.requested();
        let wrong = |detail: String| Err(Error::InvalidQuery { detail });
        if let Some(compound) = &self.compound {
            if !self.text.is_empty()
                || !self.vectors.is_empty()
                || !self.clauses.is_empty()
                || !self.channels.is_empty()
            {
                return wrong("compound: its parts say what is asked, the query may not as well".to_owned());
            }
            compound.validate(1)?;
        } else if self.text.is_empty() && self.vectors.is_empty() {
            return wrong("text, vectors: the query asks for nothing".to_owned());
        }
        for channel in &requested {
            if !self.text.contains_key(channel) && !self.vectors.contains_key(channel) {
                return wrong(format!("channels: {} has neither text nor a vector", channel.name()));
            }
        }
        check_asked(&self.text, &self.vectors, &requested)?;
        if self.clauses.len() > MAX_CLAUSES {
            return wrong(format!("clauses: {} are given, at most {MAX_CLAUSES} are allowed", self.clauses.len()));
        }
        for clause in &self.clauses {
            check_asked(&clause.text, &clause.vectors, &requested)?;
        }
        if self.compound.is_none() {
            Weights::new(&requested, &self.weights)?;
        }
        if let Some([from, to]) = self.between
            && !(from.is_finite() && to.is_finite() && from >= 0.0 && to > from)
        {
            return wrong(format!("between is {from} to {to}, expected seconds, the second after the first"));
        }
        if let Some(Except { start, end, .. }) = &self.except
            && !(start.is_finite() && end.is_finite() && end >= start)
        {
            return wrong(format!("except is {start} to {end}, expected seconds, the second not before the first"));
        }
        if let Some(diversity) = self.diversity
            && !(0.0..=1.0).contains(&diversity)
        {
            return wrong(format!("diversity is {diversity}, expected 0 to 1"));
        }
        if let Some(score) = self.min_score
            && !(0.0..=1.0).contains(&score)
        {
            return wrong(format!("min_score is {score}, expected 0 to 1"));
        }
        for (name, value, most) in
            [("limit", self.limit, MAX_LIMIT), ("moments_per_hit", self.moments_per_hit, MAX_MOMENTS)]
        {
            if !(1..=most).contains(&value) {
                return wrong(format!("{name} is {value}, expected 1 to {most}"));
            }
        }
        if let Some(effort) = self.effort
            && !(1..=MAX_EFFORT).contains(&effort)
        {
            return wrong(format!("effort is {effort}, expected 1 to {MAX_EFFORT}"));
        }
        if let Facets::Named(names) = &self.facets {
            if names.len() > MAX_FACETS {
                return wrong(format!("facets: {} columns, at most {MAX_FACETS} are allowed", names.len()));
            }
            if names.iter().any(String::is_empty) {
                return wrong("facets: a column has no name".to_owned());
            }
        }
        Ok(())
    }

    /// A SHA-256 of what decides which hits come, with which scores and moments, in which order.
    ///
    /// Left out: `limit` and `cursor`, and `facets`, which only adds to a page (count on the first
    /// page and not on the others: it is the same query). Equal questions written differently, such as channels in
    /// another order, weights of the same ratio or a filter with its keys in another order, have one digest.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut written = Written(Sha256::new());
        written.bytes(b"pixr query 1");
        if let Some(compound) = &self.compound {
            written.bytes(b"compound");
            compound.digest(&mut written)?;
        }
        let requested = self.requested();
        let weights = if requested.is_empty() { None } else { Some(Weights::new(&requested, &self.weights)?) };
        for channel in requested {
            written.bytes(channel.name().as_bytes());
            written.float(weights.map_or(0.0, |weights| weights.get(channel)));
            written.option(self.text.get(&channel), |written, text| written.bytes(text.as_bytes()));
            written.option(self.vectors.get(&channel), |written, vector| written.vector(vector));
        }
        for channel in self.alike.iter().filter(|channel| self.vectors.contains_key(channel)) {
            written.bytes(b"alike");
            written.bytes(channel.name().as_bytes());
        }
        for clause in &self.clauses {
            written.bytes(b"clause");
            written.count(clause.text.len());
            for (channel, text) in &clause.text {
                written.bytes(channel.name().as_bytes());
                written.bytes(text.as_bytes());
            }
            written.count(clause.vectors.len());
            for (channel, vector) in &clause.vectors {
                written.bytes(channel.name().as_bytes());
                written.vector(vector);
            }
        }
        written.bytes(b"filter");
        written.value(&self.filter);
        written.option(self.min_score.as_ref(), |written, &score| written.float(score));
        written.bytes(match self.fusion {
            Fusion::Probabilistic => b"probabilistic",
            Fusion::WeightedSum => b"weighted_sum",
            Fusion::Max => b"max",
            Fusion::ReciprocalRank => b"rrf",
        });
        written.count(self.moments_per_hit as usize);
        if let Some([from, to]) = self.between {
            written.bytes(b"between");
            written.bytes(&from.to_le_bytes());
            written.bytes(&to.to_le_bytes());
        }
        if let Some(Except { video, start, end }) = &self.except {
            written.bytes(b"except");
            written.bytes(video.as_bytes());
            written.bytes(&start.to_le_bytes());
            written.bytes(&end.to_le_bytes());
        }
        if let Some(diversity) = self.diversity {
            written.bytes(b"diversity");
            written.float(diversity);
        }
        written.option(self.effort.as_ref(), |written, &effort| written.count(effort as usize));
        if self.effort.is_some() && self.total == Total::Found {
            written.bytes(b"found");
        }
        Ok(written.0.finalize().into())
    }
}

/// Checks what is asked of the requested channels, by the whole question or by a clause.
fn check_asked(
    text: &BTreeMap<Channel, String>,
    vectors: &BTreeMap<Channel, Vec<f32>>,
    requested: &[Channel],
) -> Result<()> {
    let wrong = |detail: String| Err(Error::InvalidQuery { detail });
    for (channel, text) in text {
        if !requested.contains(channel) {
            return wrong(format!("text: channel {} is not among the requested channels", channel.name()));
        }
        if text.trim().is_empty() {
            return wrong(format!("text: {} is empty", channel.name()));
        }
        if text.len() > MAX_TEXT_BYTES {
            let (name, length) = (channel.name(), text.len());
            return wrong(format!("text: {name} has {length} bytes, at most {MAX_TEXT_BYTES} are allowed"));
        }
    }
    for (channel, vector) in vectors {
        if !requested.contains(channel) {
            return wrong(format!("vectors: channel {} is not among the requested channels", channel.name()));
        }
        let odd = vector.iter().position(|component| !component.is_finite());
        let detail = if let Some(index) = odd {
            format!("component {index} is {}", vector[index])
        } else if vector.iter().all(|&component| component == 0.0) {
            "it has no length".to_owned()
        } else {
            continue;
        };
        return Err(Error::InvalidVector { what: format!("the query's vector for {}", channel.name()), detail });
    }
    Ok(())
}

/// What a digest is taken of: every piece with its length or kind before it, so that no two lists of pieces are equal.
pub(super) struct Written(Sha256);

impl Written {
    pub(super) fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    /// Zero is the same with either sign.
    pub(super) fn float(&mut self, number: f32) {
        self.0.update((number + 0.0).to_le_bytes());
    }

    fn vector(&mut self, vector: &[f32]) {
        self.count(vector.len());
        let bytes: Vec<u8> = vector.iter().flat_map(|&component| (component + 0.0).to_le_bytes()).collect();
        self.0.update(bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.count(usize::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes(b"null"),
            Value::Bool(value) => self.bytes(if *value { b"true" } else { b"false" }),
            Value::Number(number) => {
                self.bytes(b"number");
                self.bytes(number.to_string().as_bytes());
            }
            Value::String(text) => {
                self.bytes(b"string");
                self.bytes(text.as_bytes());
            }
            Value::Array(items) => {
                self.bytes(b"array");
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => {
                self.bytes(b"object");
                self.count(fields.len());
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                for (name, value) in sorted {
                    self.bytes(name.as_bytes());
                    self.value(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roof() -> Query {
        Query {
            text: [(Channel::Speech, "solar panels".to_owned())].into(),
            vectors: [(Channel::Frame, vec![0.6, 0.8]), (Channel::Speech, vec![1.0, 0.0])].into(),
            ..Query::default()
        }
    }

    fn refused(query: &Query, field: &str) -> bool {
        matches!(query.validate(), Err(Error::InvalidQuery { detail }) if detail.contains(field))
    }

    #[test]
    fn channels_follow_from_what_is_asked() {
        assert_eq!(roof().requested(), [Channel::Frame, Channel::Speech]);
        assert!(roof().validate().is_ok());
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert!(refused(&Query::default(), "text, vectors"));
        assert!(refused(&Query { channels: vec![Channel::Sound, Channel::Frame, Channel::Speech], ..roof() }, "sound"));
        assert!(refused(&Query { channels: vec![Channel::Frame], ..roof() }, "text: channel speech"));
        assert!(refused(&Query { text: [(Channel::Speech, "  ".to_owned())].into(), ..roof() }, "text: speech"));
        let long = "a".repeat(MAX_TEXT_BYTES + 1);
        assert!(refused(&Query { text: [(Channel::Speech, long)].into(), ..roof() }, "16385 bytes"));
        assert!(refused(&Query { weights: [(Channel::Sound, 1.0)].into(), ..roof() }, "weights: channel sound"));
        assert!(refused(&Query { min_score: Some(1.5), ..roof() }, "min_score"));
        assert!(refused(&Query { min_score: Some(f32::NAN), ..roof() }, "min_score"));
        let clause = |channel, text: &str| Clause { text: [(channel, text.to_owned())].into(), ..Clause::default() };
        assert!(refused(&Query { clauses: vec![clause(Channel::Sound, "rain")], ..roof() }, "channel sound"));
        assert!(refused(&Query { clauses: vec![clause(Channel::Speech, " ")], ..roof() }, "speech is empty"));
        assert!(refused(&Query { clauses: vec![clause(Channel::Speech, "rain"); 17], ..roof() }, "clauses: 17"));
        assert!(refused(&Query { effort: Some(0), ..roof() }, "effort"));
        assert!(refused(&Query { limit: 0, ..roof() }, "limit"));
        assert!(refused(&Query { limit: 1001, ..roof() }, "limit"));
        assert!(refused(&Query { moments_per_hit: 0, ..roof() }, "moments_per_hit"));
        assert!(refused(&Query { facets: Facets::Named(vec![String::new()]), ..roof() }, "facets"));
    }

    #[test]
    fn vectors_without_a_direction_are_refused() {
        for vector in [vec![0.0, 0.0], vec![], vec![1.0, f32::NAN], vec![f32::INFINITY]] {
            let query = Query { vectors: [(Channel::Frame, vector)].into(), ..roof() };
            assert!(matches!(query.validate(), Err(Error::InvalidVector { what, .. }) if what.contains("frame")));
        }
    }

    #[test]
    fn the_same_question_has_the_same_digest() -> Result<()> {
        let digest = Query { filter: json!({"a": 1, "b": [1, 2]}), ..roof() }.digest()?;
        let same = Query {
            filter: json!({"b": [1, 2], "a": 1}),
            channels: vec![Channel::Speech, Channel::Frame, Channel::Speech],
            weights: [(Channel::Frame, 3.0), (Channel::Speech, 3.0)].into(),
            limit: 7,
            cursor: Some("there".to_owned()),
            facets: Facets::All,
            ..roof()
        };
        assert_eq!(same.digest()?, digest);
        Ok(())
    }

    #[test]
    fn every_other_question_has_another_digest() -> Result<()> {
        let others = [
            roof(),
            Query { text: [(Channel::Speech, "solar panel".to_owned())].into(), ..roof() },
            Query { text: BTreeMap::new(), ..roof() },
            Query { vectors: [(Channel::Frame, vec![0.8, 0.6]), (Channel::Speech, vec![1.0, 0.0])].into(), ..roof() },
            Query { weights: [(Channel::Frame, 0.5)].into(), ..roof() },
            Query { filter: json!({"a": 1}), ..roof() },
            Query { filter: json!({"a": [1]}), ..roof() },
            Query { min_score: Some(0.0), ..roof() },
            Query { fusion: Fusion::Max, ..roof() },
            Query { moments_per_hit: 1, ..roof() },
            Query { alike: [Channel::Frame].into(), ..roof() },
            Query { effort: Some(100), ..roof() },
            Query { clauses: vec![Clause { text: roof().text, ..Clause::default() }], ..roof() },
            Query { clauses: vec![Clause { vectors: roof().vectors, ..Clause::default() }], ..roof() },
        ];
        let digests = others.iter().map(Query::digest).collect::<Result<std::collections::HashSet<_>>>()?;
        assert_eq!(digests.len(), others.len());
        Ok(())
    }

    #[test]
    fn queries_are_read_from_json_and_strange_fields_refused() -> Result<(), serde_json::Error> {
        let query: Query = serde_json::from_value(json!({
            "text": {"screen": "exit"}, "fusion": "rrf", "facets": {"named": ["quality"]},
        }))?;
        assert_eq!(query.requested(), [Channel::Screen]);
        assert_eq!((query.fusion, query.limit), (Fusion::ReciprocalRank, 20));
        assert_eq!(query.facets, Facets::Named(vec!["quality".to_owned()]));
        let wrong = serde_json::from_value::<Query>(json!({"text": {"screen": "exit"}, "limmit": 3}));
        assert!(wrong.is_err_and(|error| error.to_string().contains("limmit")));
        Ok(())
    }
}
