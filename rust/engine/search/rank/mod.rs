//! Chooses which videos to score: all of a few, else those that may be on the page, by their bounds.
//!
//! Exact: hits, scores, order and counts are those of scoring every segment. Where evidence below a confidence can't
//! reach the least score, the codes leave it out. Of the rest, videos are taken best bound first (`best_first`), bounded
//! more closely (`bounds`), and scored until the page is full and no video left can enter it. What is only counted is
//! scored only where it isn't sure. Where fewer may be found, `near` looks among what each channel names.

mod best_first;
mod bounds;
mod candidates;
mod near;
mod reader;
mod steps;

use bounds::Bounded;
use candidates::Bar;
use near::Near;

use super::evidence;
use super::fuse::Fusion;
use super::hit::{Plan, Relation};
use super::page::{Position, compare_hits};
use super::query::Total;
use super::run::{Run, Scored, places_of};
use super::spread::VIDEOS_A_TASK;
use crate::catalog::row_set::RowSet;
use crate::error::Result;

/// Where at most this many videos are scored, their evidence is kept for telling the hits, and not looked up again.
const KEPT_VIDEOS: usize = 256;

/// Hits in order, at least those up to the end of the page, and what to count.
pub(super) struct Ranked {
    pub(super) hits: Vec<Scored>,
    /// For each part the videos that the query returns; none for those that have any evidence.
    pub(super) returned: Option<Vec<RowSet>>,
    pub(super) relation: Relation,
    pub(super) plan: Plan,
    /// Whether `near` ranked them.
    pub(super) is_near: bool,
}

impl Run<'_> {
    pub(super) fn rank(&self, position: Option<&Position>, limit: usize) -> Result<Ranked> {
        let least = self.ask.fuser.required_confidence(self.ask.min_score);
        if self.is_small() || self.query.fusion == Fusion::ReciprocalRank {
            return self.exactly(self.rank_exactly(&self.allowed_videos(), self.ask.min_score)?);
        }
        let is_any_enough = self.is_any_evidence_enough(least);
        if let Some(effort) = self.near_effort()
            && (self.query.total == Total::Found || is_any_enough)
        {
            let Near { hits, named, plan } = self.rank_near(effort, position, limit)?;
            let (returned, relation) = match self.query.total {
                Total::Exact => (None, Relation::Exact),
                Total::Found => (Some(named), Relation::Estimated),
            };
            return Ok(Ranked { hits, returned, relation, plan, is_near: true });
        }
        let steps = reader::steps(&self.ask);
        let bounds = self.bounds(&steps)?;
        if is_any_enough {
            let order = self.bound_all(&bounds, Bar::None, false)?;
            let (hits, _) = self.best_first(order, &bounds, position, limit)?;
            return self.exactly((hits, self.videos_with_evidence()?));
        }
        if !self.ask.needs_sufficient {
            let found = self.bound_all(&bounds, Bar::Confidence(least), false)?;
            let reaching = found.videos.into_iter().filter(|one| one.bound >= self.ask.min_score);
            let candidates = self.videos_at(reaching.map(|one| (one.part, one.video)));
            return self.exactly(self.rank_exactly(&candidates, self.ask.min_score)?);
        }
        // Whether a video is a hit, one row tells; not where evidence counts only within a scope, or for nothing.
        let one_row_tells =
            !self.query.has_scope() && self.ask.channels.iter().all(|one| evidence::counts(&self.ask, one));
        let order = self.bound_all(&bounds, Bar::Sufficient, one_row_tells)?;
        let (known, unknown): (Vec<Bounded>, Vec<Bounded>) = order.videos.iter().partition(|one| one.is_hit.is_some());
        let (hits, _) = self.best_first(order, &bounds, position, limit)?;
        let scored = self
            .spread
            .map(&unknown, VIDEOS_A_TASK, |_, one| Ok(self.score(one.part, one.video, 0.0, false)?.is_some()))?;
        let told = unknown.iter().zip(scored).filter(|(_, is_hit)| *is_hit).map(|(one, _)| one);
        let returned = told.chain(known.iter().filter(|one| one.is_hit == Some(true)));
        let returned = self.videos_at(returned.map(|one| (one.part, one.video)));
        self.exactly((hits, returned))
    }

    fn exactly(&self, (hits, returned): (Vec<Scored>, Vec<RowSet>)) -> Result<Ranked> {
        let plan = self.exact_plan().collect();
        Ok(Ranked { hits, returned: Some(returned), relation: Relation::Exact, plan, is_near: false })
    }

    /// Scores all of `videos` and keeps those that reach `min_score`.
    fn rank_exactly(&self, videos: &[RowSet], min_score: f32) -> Result<(Vec<Scored>, Vec<RowSet>)> {
        let places = places_of(videos);
        let keeps = places.len() <= KEPT_VIDEOS;
        // Here, and not by every thread.
        self.words()?;
        let scored =
            self.spread.map(&places, VIDEOS_A_TASK, |_, &(part, video)| self.score(part, video, min_score, keeps))?;
        let mut hits: Vec<Scored> = scored.into_iter().flatten().collect();
        hits.sort_unstable_by(|a, b| compare_hits((a.score, &a.id), (b.score, &b.id)));
        let returned = self.videos_at(hits.iter().map(|hit| (hit.part, hit.video)));
        Ok((hits, returned))
    }
}
