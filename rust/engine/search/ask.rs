//! A checked query against one snapshot: what is asked of each channel, with everything that scoring needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calibrate::{Calibration, required_of_one};
use super::fuse::Fuser;
use super::query::Query;
use super::spread::Spread;
use crate::catalog::channel::Channel;
use crate::catalog::filter::Filter;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::part::LivePart;
use crate::snapshot::Snapshot;
use crate::text::query::TextQuery;
use crate::text::stats::TextStats;
use crate::vector::QueryVector;

/// What is asked of one channel.
pub(super) struct ChannelAsk {
    pub(super) channel: Channel,
    pub(super) calibration: Calibration,
    /// The whole question; then its clauses, if it has several, each with its place among them.
    pub(super) terms: Vec<Term>,
}

/// A question, or a clause of one, on one channel.
pub(super) struct Term {
    pub(super) clause: Option<u32>,
    /// The channel's, or what it has for vectors of its own medium.
    pub(super) calibration: Calibration,
    pub(super) vector: Option<QueryVector>,
    pub(super) words: Option<Words>,
    /// A cosine below this, without words, is no evidence.
    pub(super) least_cosine: f32,
}

/// A text query with the statistics that its scores need.
pub(super) struct Words {
    /// Parsed once for all channels.
    pub(super) query: Arc<TextQuery>,
    pub(super) stats: TextStats,
    ideal: f32,
}

/// The whole query.
pub(super) struct Ask {
    pub(super) channels: Vec<ChannelAsk>,
    pub(super) fuser: Fuser,
    pub(super) min_score: f32,
    /// Whether a moment needs evidence that is enough by itself.
    pub(super) needs_sufficient: bool,
    /// For each part, the live videos that the filter lets through, and their rows.
    pub(super) allowed: Vec<Allowed>,
}

/// What of a part may be returned.
pub(super) struct Allowed {
    pub(super) videos: RowSet,
    pub(super) rows: RowSet,
}

impl Term {
    fn new(calibration: Calibration, vector: Option<QueryVector>, words: Option<Words>) -> Self {
        let least_cosine = match vector {
            Some(_) => calibration.cosine_floor(calibration.least()),
            None => f32::INFINITY,
        };
        Self { clause: None, calibration, vector, words, least_cosine }
    }

    /// The confidence of a row with this cosine and ratio of BM25 scores, 0 where they are no evidence.
    #[inline]
    pub(super) fn confidence(&self, cosine: Option<f32>, lexical_ratio: Option<f32>) -> f32 {
        if lexical_ratio.is_none() && cosine.is_none_or(|cosine| cosine < self.least_cosine) {
            return 0.0;
        }
        self.calibration.confidence(cosine, lexical_ratio)
    }

    /// A BM25 score over the best that the term's words could have.
    pub(super) fn ratio(&self, score: f32) -> Option<f32> {
        self.words.as_ref().map(|words| words.ratio(score))
    }
}

impl ChannelAsk {
    /// Whether the calibration can tell evidence that is enough from evidence that is not.
    fn tells_enough(&self) -> bool {
        let is_fitted = |term: &Term| {
            (term.vector.is_none() || term.calibration.is_fitted_for_vectors())
                && (term.words.is_none() || term.calibration.is_fitted_for_words())
        };
        self.calibration.tells_enough() && self.terms.iter().all(is_fitted)
    }

    /// The confidence that the whole or a clause must have where the channel reaches `confidence`.
    pub(super) fn required_of_one(&self, confidence: f32) -> f32 {
        required_of_one(confidence.max(self.calibration.least()), self.terms.len() - 1).max(self.calibration.least())
    }

    /// Whether some live row of the snapshot has what the channel is asked for.
    fn is_held(&self, snapshot: &Snapshot) -> Result<bool> {
        let words = self.terms.iter().filter_map(|term| term.words.as_ref());
        if words.into_iter().any(|words| words.stats.row_count() > 0) {
            return Ok(true);
        }
        Ok(self.terms.iter().any(|term| term.vector.is_some()) && snapshot.has_vectors(self.channel)?)
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
        let mut texts = ParsedTexts::default();
        let channels = query
            .requested()
            .into_iter()
            .map(|channel| ask_channel(snapshot, query, channel, &mut texts))
            .collect::<Result<Vec<_>>>()?;
        let mut held = Vec::new();
        for ask in &channels {
            if ask.is_held(snapshot)? {
                held.push(ask.channel);
            }
        }
        let fuser = query.fuser()?.over(&held);
        let needs_sufficient = query.min_score.is_none() && channels.iter().all(ChannelAsk::tells_enough);
        let allowed = Spread::over(snapshot).map(&snapshot.parts, 1, |_, part| allowed(part, &filter))?;
        Ok(Self { channels, fuser, min_score: query.min_score.unwrap_or(0.0), needs_sufficient, allowed })
    }
}

/// Each different text of the query, parsed once: most channels are asked the same.
#[derive(Default)]
struct ParsedTexts<'a>(BTreeMap<&'a str, Arc<TextQuery>>);

impl<'a> ParsedTexts<'a> {
    fn parse(&mut self, text: &'a str) -> Result<Arc<TextQuery>> {
        if let Some(query) = self.0.get(text) {
            return Ok(Arc::clone(query));
        }
        let query = Arc::new(TextQuery::parse(text)?);
        self.0.insert(text, Arc::clone(&query));
        Ok(query)
    }
}

fn ask_channel<'a>(
    snapshot: &Snapshot,
    query: &'a Query,
    channel: Channel,
    texts: &mut ParsedTexts<'a>,
) -> Result<ChannelAsk> {
    let mut ask = |text: &'a BTreeMap<Channel, String>, vectors: &BTreeMap<Channel, Vec<f32>>| {
        let text = text.get(&channel).map(|text| texts.parse(text)).transpose()?;
        ask_term(snapshot, text, vectors.get(&channel), channel)
    };
    let calibration = snapshot.calibration(channel);
    let whole = ask(&query.text, &query.vectors)?;
    let is_alike = query.alike.contains(&channel);
    let mut terms = vec![if is_alike { Term::new(calibration.for_alike(), whole.vector, whole.words) } else { whole }];
    for (clause, index) in query.clauses.iter().zip(0..) {
        terms.push(Term { clause: Some(index), ..ask(&clause.text, &clause.vectors)? });
    }
    Ok(ChannelAsk { channel, calibration, terms })
}

fn ask_term(
    snapshot: &Snapshot,
    text: Option<Arc<TextQuery>>,
    components: Option<&Vec<f32>>,
    channel: Channel,
) -> Result<Term> {
    let vector = match (components, snapshot.spaces.get(&channel)) {
        (Some(components), Some(space)) => {
            let what = format!("the query's vector for {}", channel.name());
            space.check_component_count(components.len(), || what.clone())?;
            Some(QueryVector::new(&what, components)?)
        }
        // A library without vectors on the channel has no evidence on it.
        (Some(_), None) | (None, _) => None,
    };
    let words = match text {
        Some(text) => ask_words(snapshot, text, channel)?,
        None => None,
    };
    Ok(Term::new(snapshot.calibration(channel), vector, words))
}

fn ask_words(snapshot: &Snapshot, query: Arc<TextQuery>, channel: Channel) -> Result<Option<Words>> {
    if query.is_empty() {
        return Ok(None);
    }
    let (spread, mut stats) = (Spread::over(snapshot), TextStats::default());
    let counted = spread.map(&snapshot.parts, 1, |_, part| {
        let mut stats = TextStats::default();
        if let Some(index) = part.part.text() {
            index.collect(&query, channel, &part.rows, &mut stats)?;
        }
        Ok(stats)
    })?;
    counted.iter().try_for_each(|of_part| stats.merge(of_part))?;
    if stats.forgives_any(&query) {
        let variants = spread.map(&snapshot.parts, 1, |_, part| match part.part.text() {
            Some(index) => index.collect_variants(&query, channel, &part.rows, &stats),
            None => Ok(TextStats::default()),
        })?;
        variants.iter().try_for_each(|of_part| stats.merge(of_part))?;
    }
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
