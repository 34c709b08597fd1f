//! Runs a query: evidence, ranking (`rank`), moments, page, counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;
use std::time::Instant;

use super::ask::{Ask, ChannelAsk, Term};
use super::bounds::{self, Bar};
use super::compound;
use super::cursor::Cursor;
use super::evidence::{self, Ranks, WordMatches};
use super::fuse::{Fuser, Fusion};
use super::hit::{Hit, HitMoment, SearchResult, Snippet, Timing, Way};
use super::moments::{Match, Moment, MomentRules, best_score, find_first_moments};
use super::page::{Position, cut_page};
use super::query::{Facets, Query};
use super::rank::Ranked;
use super::scope;
use super::spread::Spread;
use crate::catalog::channel::Channel;
use crate::catalog::facets::{self, Counts};
use crate::catalog::row_set::RowSet;
use crate::catalog::video::{Span, VideoId};
use crate::error::{Error, Result};
use crate::part::{LivePart, Part};
use crate::snapshot::Snapshot;
use crate::text::snippet::snippet;

/// Up to so many rows every video is scored: it costs less than finding out which could be left out.
const EXHAUSTIVE_ROWS: u64 = 4000;
/// An approximate answer takes as long as an exact one of so many times as many rows, and of as many again for this much effort.
const NEAR_TIMES: u64 = 2;
const NEAR_EFFORT: u64 = 17;
/// Longest text of a match, in characters.
const SNIPPET_CHARS: usize = 240;

/// A video with its score.
pub(super) struct Scored {
    pub(super) part: usize,
    pub(super) video: u32,
    pub(super) id: VideoId,
    pub(super) score: f32,
    /// Its evidence, where that was kept.
    matches: Option<Vec<Match>>,
}

/// The snapshot that a query's cursor names; none without a cursor.
pub(crate) fn cursor_snapshot(query: &Query, secret: &[u8; 32]) -> Result<Option<u64>> {
    match &query.cursor {
        None => Ok(None),
        Some(text) => {
            query.validate()?;
            Ok(Some(Cursor::decode(text, secret, &query.digest()?)?.snapshot))
        }
    }
}

/// Answers a query from one snapshot.
pub(crate) fn search(snapshot: &Snapshot, query: &Query, secret: &[u8; 32]) -> Result<SearchResult> {
    search_past(EXHAUSTIVE_ROWS, snapshot, query, secret)
}

/// `search` that leaves out what can't be returned where there are more rows than `exhaustive_rows`.
pub(super) fn search_past(
    exhaustive_rows: u64,
    snapshot: &Snapshot,
    query: &Query,
    secret: &[u8; 32],
) -> Result<SearchResult> {
    if let Some(compound) = &query.compound {
        return compound::search(exhaustive_rows, snapshot, query, compound, secret);
    }
    let begun = Instant::now();
    let ask = Ask::new(snapshot, query)?;
    let digest = query.digest()?;
    let position = match &query.cursor {
        Some(text) => Some(Cursor::decode(text, secret, &digest)?.position),
        None => None,
    };
    let run = Run { exhaustive_rows, ..Run::new(snapshot, ask, query)? };
    let limit = query.limit as usize;
    let Ranked { hits, returned, relation, plan } = run.rank(position.as_ref(), limit)?;
    let (range, next) = cut_page(&hits, |hit| (hit.score, &hit.id), position.as_ref(), limit);
    let page = hits.get(range).unwrap_or_default();
    let told = run.spread.map(page, 1, |_, hit| run.tell(hit))?;
    let counting = Instant::now();
    let returned = returned.map_or_else(|| run.videos_with_evidence(), Ok)?;
    let total = returned.iter().map(|videos| u64::from(videos.count())).sum();
    let facets = run.count_facets(&returned)?;
    let counting_seconds = counting.elapsed().as_secs_f64();
    let cursor = Cursor { snapshot: snapshot.number, digest, position: Position::Offset(0) };
    Ok(SearchResult {
        hits: told,
        total,
        total_relation: relation,
        facets,
        next_cursor: next.map(|position| Cursor { position, ..cursor }.encode(secret)),
        snapshot: snapshot.number,
        plan,
        timing: Timing { seconds: begun.elapsed().as_secs_f64(), counting_seconds },
    })
}

/// What words found, by part.
struct FoundWords {
    by_part: Vec<WordMatches>,
    /// Or of some videos only.
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
    fn new(snapshot: &'a Snapshot, ask: Ask, query: &'a Query) -> Result<Self> {
        let spread = Spread::over(snapshot);
        let words = OnceLock::new();
        let mut run = Self { snapshot, query, exhaustive_rows: EXHAUSTIVE_ROWS, spread, ask, words, ranks: None };
        if query.fusion == Fusion::ReciprocalRank {
            run.ranks = Some(run.rank_evidence()?);
        }
        Ok(run)
    }

    /// A question of a compound.
    pub(super) fn start(exhaustive_rows: u64, snapshot: &'a Snapshot, query: &'a Query) -> Result<Self> {
        let run = Run { exhaustive_rows, ..Run::new(snapshot, Ask::new(snapshot, query)?, query)? };
        run.words()?;
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

    /// How work on the snapshot is spread.
    pub(super) fn spread(&self) -> Spread {
        self.spread
    }

    /// How channels become one score.
    pub(super) fn fuser(&self) -> &Fuser {
        &self.ask.fuser
    }

    /// How many times as sure as is sufficient the surest match of a moment is; infinite where nothing can be too little.
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

    /// The allowed videos that may have a moment with this share of what is sufficient, or with any evidence where
    /// nothing can be too little; a superset.
    pub(super) fn may_have_moments(&self, share: f32) -> Result<Vec<RowSet>> {
        if self.is_small() || self.query.fusion == Fusion::ReciprocalRank {
            return Ok(self.allowed_videos());
        }
        if !self.ask.needs_sufficient {
            return self.videos_with_evidence();
        }
        self.candidates(&self.bounds(&bounds::steps(&self.ask))?, Bar::Share(share))
    }

    pub(super) fn is_small(&self) -> bool {
        let rows: u64 = self.snapshot.parts.iter().map(|part| u64::from(part.rows.count())).sum();
        rows <= self.exhaustive_rows
    }

    /// The effort of an approximate answer; none where the answer is exact: by ranks, which need all evidence, and where
    /// so few rows are allowed that it takes no longer.
    pub(super) fn near_effort(&self) -> Option<usize> {
        let effort = self.query.effort?;
        let allowed: u64 = self.ask.allowed.iter().map(|allowed| u64::from(allowed.rows.count())).sum();
        let few = self.exhaustive_rows.saturating_mul(NEAR_TIMES * NEAR_EFFORT + u64::from(effort)) / NEAR_EFFORT;
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

    /// The hit as it is returned: with its moments and what they say.
    fn tell(&self, hit: &Scored) -> Result<Hit> {
        let live = self.part(hit.part)?;
        let found;
        let matches = match &hit.matches {
            Some(kept) => kept,
            None => {
                found = self.matches(hit.part, hit.video)?;
                &found
            }
        };
        let shots = self.shots(hit.part, hit.video)?;
        let rules = MomentRules::default();
        // Moments that differ are chosen from all.
        let most = if self.query.diversity.is_some() { usize::MAX } else { self.query.moments_per_hit as usize };
        let mut moments = find_first_moments(matches, &shots, &self.ask.fuser, &rules, self.ask.min_score, most);
        self.choose(self.query, hit.part, hit.video, &mut moments, |one| (one.span, one.peak_seconds))?;
        // A row may speak for several moments, and what the metadata say for all.
        let mut told: BTreeMap<(u32, Channel), Option<Snippet>> = BTreeMap::new();
        let mut describe = |row: u32, channel: Channel| match told.entry((row, channel)) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(place) => Ok(place.insert(self.describe(live, row, channel)?).clone()),
        };
        let moments = moments
            .into_iter()
            .map(|moment| HitMoment::new(moment, |scored| describe(scored.evidence.row, scored.evidence.channel)))
            .collect::<Result<_>>()?;
        Ok(Hit { video: live.part.table().video(hit.video)?, score: hit.score, moments })
    }

    /// Keeps as many moments, which come best first, as the query wants, and no two that are too much alike.
    pub(super) fn choose<T>(
        &self,
        query: &Query,
        part: usize,
        video: u32,
        moments: &mut Vec<T>,
        place: impl Fn(&T) -> (Span, f64),
    ) -> Result<()> {
        let most = query.moments_per_hit as usize;
        if let Some(diversity) = query.diversity {
            scope::diversify(&self.part(part)?.part, video, diversity, most, moments, place)?;
        }
        moments.truncate(most);
        Ok(())
    }

    pub(super) fn describe(&self, live: &LivePart, row: u32, channel: Channel) -> Result<Option<Snippet>> {
        let Some(shown) = live.part.shown(row, channel)? else { return Ok(None) };
        // The whole question, whichever clause answers: its words are those of all of them.
        let ask = self.ask.channels.iter().find(|ask| ask.channel == channel);
        let words = ask.and_then(|ask| ask.terms.first()).and_then(|term| term.words.as_ref());
        Ok(Some(match words {
            Some(words) => {
                let cut = snippet(&words.query, &words.stats, &shown, SNIPPET_CHARS);
                Snippet::from_byte_ranges(cut.text, &cut.highlights)
            }
            None => Snippet { text: shown, highlights: Vec::new() },
        }))
    }

    pub(super) fn count_facets(&self, returned: &[RowSet]) -> Result<BTreeMap<String, Counts>> {
        let names: Vec<String> = match &self.query.facets {
            Facets::Off => return Ok(BTreeMap::new()),
            Facets::All => facets::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            Facets::Named(names) => names.clone(),
        };
        let keys = names
            .iter()
            .filter(|name| !facets::COLUMNS.contains(&name.as_str()))
            .map(|name| match name.strip_prefix(facets::METADATA) {
                Some(key) if !key.is_empty() => Ok(key.to_owned()),
                _ => {
                    let known = facets::COLUMNS.join(", ");
                    Err(Error::InvalidQuery { detail: format!("facets: {name:?} is none of {known}, metadata.KEY") })
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let mut counts = facets::Facets::with_metadata(&keys);
        for (part, videos) in self.snapshot.parts.iter().zip(returned) {
            facets::Facets::count(part.part.table(), videos, &mut counts)?;
        }
        let mut by_name = counts.into_map();
        by_name.retain(|name, _| names.contains(name));
        Ok(by_name)
    }

    /// Ranks all evidence of each channel, before any filter: a rank must not depend on what else is asked.
    fn rank_evidence(&self) -> Result<BTreeMap<Channel, Ranks>> {
        let mut all: BTreeMap<Channel, Vec<(f32, usize, u32)>> = BTreeMap::new();
        for (index, live) in self.snapshot.parts.iter().enumerate() {
            let words = WordMatches::find(&self.ask, &live.part, &live.rows)?;
            let videos: Vec<u32> = live.videos.iter().collect();
            let found =
                self.spread.map(&videos, 16, |_, video| evidence::of_video(&self.ask, &live.part, &words, *video))?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::films::{empty, films, put, query};
    use crate::search::hit::Relation;
    use crate::search::query::Total;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// What a large library leaves unscored could not have been returned.
        #[test]
        fn leaving_out_finds_what_scoring_everything_finds(
            all in films(30), fitted: bool, query in query(), limit in 1_u32..40,
        ) {
            let library = empty(fitted);
            for batch in all.chunks(7) {
                put(&library, batch);
            }
            let (snapshot, query) = (library.current()?, Query { limit, ..query });
            let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &query, &[7; 32]);
            let (everything, left_out) = (answer(u64::MAX)?, answer(0)?);
            prop_assert_eq!(&left_out.hits, &everything.hits);
            prop_assert_eq!(left_out.total, everything.total);
            prop_assert_eq!(&left_out.next_cursor, &everything.next_cursor);
            for total in [Total::Exact, Total::Found] {
                let near = search_past(0, &snapshot, &Query { effort: Some(10_000), total, ..query.clone() }, &[7; 32])?;
                prop_assert_eq!(&near.hits, &everything.hits);
                if near.total_relation == Relation::Exact {
                    prop_assert_eq!(near.total, everything.total);
                } else {
                    prop_assert!(near.hits.len() as u64 <= near.total);
                }
                prop_assert_eq!(near.next_cursor.is_some(), everything.next_cursor.is_some());
            }
        }
    }
}
