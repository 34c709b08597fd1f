//! A query under way: what it asks of one snapshot, what words found there, and the evidence and score of each video.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::ask::{Ask, ChannelAsk, Term};
use super::evidence::{self, Ranks, WordMatches};
use super::fuse::Fusion;
use super::hit::Way;
use super::matches::Match;
use super::moments::{Moment, best_score};
use super::query::Query;
use super::scope;
use super::spread::{Spread, VIDEOS_A_TASK};
use crate::catalog::channel::Channel;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::{Span, VideoId};
use crate::error::{Error, Result};
use crate::part::{LivePart, Part};
use crate::snapshot::Snapshot;

/// An approximate answer takes about as long as an exact one over `exhaustive_rows * (NEAR_TIMES + effort / NEAR_EFFORT)` rows.
const NEAR_TIMES: u64 = 2;
const NEAR_EFFORT: u64 = 17;
/// The same under a filter, where for an exact answer each of the videos that it leaves is read by itself.
const NEAR_EFFORT_FILTERED: u64 = 40;

/// The part and the number of each of the videos, of which there is a set for each part.
pub(super) fn places_of(videos: &[RowSet]) -> Vec<(usize, u32)> {
    let parts = videos.iter().enumerate();
    parts.flat_map(|(part, videos)| videos.iter().map(move |video| (part, video))).collect()
}

/// A video with its score.
pub(super) struct Scored {
    pub(super) part: usize,
    pub(super) video: u32,
    pub(super) id: VideoId,
    pub(super) score: f32,
    /// Its evidence, where that was kept.
    pub(super) matches: Option<Vec<Match>>,
}

/// What words found.
struct FoundWords {
    by_part: Vec<WordMatches>,
    /// Whether that is of all allowed videos, and not of some alone.
    is_all: bool,
}

/// One query under way.
pub(super) struct Run<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) query: &'a Query,
    exhaustive_rows: u64,
    pub(super) spread: Spread,
    pub(super) ask: Ask,
    words: OnceLock<FoundWords>,
    /// For reciprocal rank fusion: the rank of each piece of evidence, by channel.
    ranks: Option<BTreeMap<Channel, Ranks>>,
}

impl<'a> Run<'a> {
    /// `exhaustive_rows`: up to so many rows every video is scored.
    pub(super) fn new(exhaustive_rows: u64, snapshot: &'a Snapshot, query: &'a Query) -> Result<Self> {
        let (ask, spread, words) = (Ask::new(snapshot, query)?, Spread::over(snapshot), OnceLock::new());
        let mut run = Self { snapshot, query, exhaustive_rows, spread, ask, words, ranks: None };
        if query.fusion == Fusion::ReciprocalRank {
            run.ranks = Some(run.rank_evidence()?);
        }
        Ok(run)
    }

    /// What words found in each part.
    pub(super) fn words(&self) -> Result<&[WordMatches]> {
        if let Some(words) = self.words.get() {
            return Ok(&words.by_part);
        }
        let by_part = self.find_words(|_, part, rows| WordMatches::find(&self.ask, part, rows))?;
        Ok(&self.words.get_or_init(|| FoundWords { by_part, is_all: true }).by_part)
    }

    /// Lets what words found of some videos stand for all, where no others will be scored.
    pub(super) fn words_of_some(&self, by_part: Vec<WordMatches>) -> &[WordMatches] {
        &self.words.get_or_init(|| FoundWords { by_part, is_all: false }).by_part
    }

    /// What `find` finds among the allowed rows of each part.
    pub(super) fn find_words(
        &self,
        find: impl Fn(usize, &Part, &RowSet) -> Result<WordMatches> + Sync + Send,
    ) -> Result<Vec<WordMatches>> {
        self.spread.map(&self.snapshot.parts, 1, |index, part| match self.ask.allowed.get(index) {
            Some(allowed) => find(index, &part.part, &allowed.rows),
            None => Ok(WordMatches::default()),
        })
    }

    /// The confidence of a moment's surest match over what is sufficient on its channel: enough from 1 on. Infinite where any
    /// evidence is enough.
    pub(super) fn sufficiency(&self, moment: &Moment) -> f32 {
        let times = |one: &Match| {
            let ask = self.ask.channels.iter().find(|ask| ask.channel == one.channel)?;
            Some(one.confidence / ask.calibration.sufficient)
        };
        if self.ask.needs_sufficient {
            moment.matches.iter().filter_map(|scored| times(&scored.evidence)).fold(0.0, f32::max)
        } else {
            f32::INFINITY
        }
    }

    pub(super) fn is_small(&self) -> bool {
        self.snapshot.row_count() <= self.exhaustive_rows
    }

    /// The effort of an approximate answer; none where the answer is exact: by ranks, which need all evidence, and where
    /// so few rows are allowed that it takes no longer.
    pub(super) fn near_effort(&self) -> Option<usize> {
        let effort = self.query.effort?;
        let allowed: u64 = self.ask.allowed.iter().map(|allowed| u64::from(allowed.rows.count())).sum();
        let is_filtered = allowed < self.snapshot.row_count();
        let near_effort = if is_filtered { NEAR_EFFORT_FILTERED } else { NEAR_EFFORT };
        let few = self.exhaustive_rows.saturating_mul(NEAR_TIMES * near_effort + u64::from(effort)) / near_effort;
        (allowed > few && self.query.fusion != Fusion::ReciprocalRank).then_some(effort as usize)
    }

    /// Every channel asked, searched exactly.
    pub(super) fn exact_plan(&self) -> impl Iterator<Item = (Channel, Way)> + '_ {
        self.ask.channels.iter().map(|channel| (channel.channel, Way::Exact))
    }

    /// Whether a vector or a matching word makes any video a hit, but on a channel that weighs nothing. What lies outside of
    /// a scope is evidence to the codes, so there it is only known from a video's score.
    pub(super) fn is_any_evidence_enough(&self, least: f32) -> bool {
        let takes_all = |term: &Term| term.vector.is_none() || term.calibration.confidence(Some(-1.0), None) > 0.0;
        !self.ask.needs_sufficient
            && least <= 0.0
            && !self.query.has_scope()
            && self.ask.channels.iter().filter(|channel| self.weighs(channel)).all(|channel| {
                let takes_any = channel.calibration.floor <= 0.0 && channel.terms.iter().all(takes_all);
                takes_any && evidence::counts(&self.ask, channel)
            })
    }

    /// Whether the channel has a part in any score.
    fn weighs(&self, channel: &ChannelAsk) -> bool {
        self.ask.fuser.weights().get(channel.channel) > 0.0
    }

    /// The allowed videos that have a vector or matching words on some channel that weighs something.
    pub(super) fn videos_with_evidence(&self) -> Result<Vec<RowSet>> {
        self.by_part(|index, part| {
            let table = part.part.table();
            let mut videos = RowSet::empty(table.video_count());
            let Some(allowed) = self.ask.allowed.get(index) else { return Ok(videos) };
            for channel in self.ask.channels.iter().filter(|channel| self.weighs(channel)) {
                if channel.terms.iter().any(|term| term.vector.is_some())
                    && let Some(held) = part.part.videos_with_vector(channel.channel)?
                {
                    videos.unite(held);
                }
            }
            videos.intersect(&allowed.videos);
            if videos == allowed.videos {
                return Ok(videos);
            }
            let found;
            let words = match self.words.get().filter(|words| words.is_all).and_then(|words| words.by_part.get(index)) {
                Some(words) => words,
                None => {
                    found = WordMatches::find(&self.ask, &part.part, &allowed.rows)?;
                    &found
                }
            };
            for video in allowed.videos.iter().filter(|video| !videos.contains(*video)).collect::<Vec<_>>() {
                let rows = table.rows(video)?;
                let found = |channel: &ChannelAsk| self.weighs(channel) && words.any_within(channel.channel, &rows);
                if self.ask.channels.iter().any(found) {
                    videos.insert(video);
                }
            }
            Ok(videos)
        })
    }

    /// The video with its score, if that is above 0 and reaches `min_score`.
    pub(super) fn score(&self, part: usize, video: u32, min_score: f32, keeps: bool) -> Result<Option<Scored>> {
        let matches = self.matches(part, video)?;
        let score = best_score(&matches, &self.ask.fuser);
        if score <= 0.0 || score < min_score {
            return Ok(None);
        }
        let id = VideoId::new(self.part(part)?.part.table().id(video)?)?;
        Ok(Some(Scored { part, video, id, score, matches: keeps.then_some(matches) }))
    }

    pub(super) fn matches(&self, part: usize, video: u32) -> Result<Vec<Match>> {
        let live = self.part(part)?;
        let words = self.words()?.get(part).ok_or_else(|| no_part(part))?;
        let mut matches = evidence::of_video(&self.ask, &live.part, words, video)?;
        if self.query.has_scope() {
            scope::restrict(self.query, live.part.table().id(video)?, &mut matches);
        }
        if let Some(ranks) = &self.ranks {
            for found in &mut matches {
                found.rank = ranks.get(&found.channel).and_then(|ranks| ranks.get(&(part, found.row))).copied();
            }
        }
        Ok(matches)
    }

    /// The spans of a video's shots, as far as they count.
    pub(super) fn shots(&self, part: usize, video: u32) -> Result<Vec<Span>> {
        let mut shots = evidence::shots(&self.part(part)?.part, video)?;
        scope::cut_shots(self.query, &mut shots);
        Ok(shots)
    }

    /// Ranks all evidence of each channel, before any filter: a rank must not depend on what else is asked.
    fn rank_evidence(&self) -> Result<BTreeMap<Channel, Ranks>> {
        let mut all: BTreeMap<Channel, Vec<(f32, usize, u32)>> = BTreeMap::new();
        for (index, live) in self.snapshot.parts.iter().enumerate() {
            let words = WordMatches::find(&self.ask, &live.part, &live.rows)?;
            let videos: Vec<u32> = live.videos.iter().collect();
            let found = self
                .spread
                .map(&videos, VIDEOS_A_TASK, |_, video| evidence::of_video(&self.ask, &live.part, &words, *video))?;
            for one in found.into_iter().flatten() {
                all.entry(one.channel).or_default().push((one.confidence, index, one.row));
            }
        }
        let ranked = all.into_iter().map(|(channel, mut evidence)| {
            evidence.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            let mut ranks = Ranks::new();
            let (mut rank, mut before) = (0_u32, f32::INFINITY);
            for (place, (confidence, part, row)) in (1_u32..).zip(evidence) {
                if confidence < before {
                    (rank, before) = (place, confidence);
                }
                ranks.insert((part, row), rank);
            }
            (channel, ranks)
        });
        Ok(ranked.collect())
    }

    pub(super) fn allowed_videos(&self) -> Vec<RowSet> {
        self.ask.allowed.iter().map(|allowed| allowed.videos.clone()).collect()
    }

    pub(super) fn no_videos(&self) -> Vec<RowSet> {
        self.ask.allowed.iter().map(|allowed| RowSet::empty(allowed.videos.universe())).collect()
    }

    /// For each part the set of those of its videos that are among `places`: the part and the video of each.
    pub(super) fn videos_at(&self, places: impl IntoIterator<Item = (usize, u32)>) -> Vec<RowSet> {
        let mut videos = self.no_videos();
        for (part, video) in places {
            videos.get_mut(part).into_iter().for_each(|videos| videos.insert(video));
        }
        videos
    }

    fn by_part(&self, find: impl Fn(usize, &LivePart) -> Result<RowSet> + Sync + Send) -> Result<Vec<RowSet>> {
        self.spread.map(&self.snapshot.parts, 1, find)
    }

    pub(super) fn part(&self, index: usize) -> Result<&LivePart> {
        self.snapshot.parts.get(index).ok_or_else(|| no_part(index))
    }
}

fn no_part(index: usize) -> Error {
    Error::Internal { detail: format!("no part {index}") }
}
