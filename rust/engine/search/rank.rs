//! Chooses which videos to score: all of a few, else those that may be on the page, by their bounds.
//!
//! Exact: hits, scores, order and counts are those of scoring every segment. Where evidence below a confidence can't
//! reach the least score, the codes leave it out. Of the rest, videos are taken best bound first (`bounds`), bounded
//! more closely, and scored until the page is full and no video left can enter it. What is only counted is scored only
//! where it isn't sure.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::bounds::{self, Bar, Bounds, Room, Rough};
use super::evidence::{self, WordMatches};
use super::execute::{Run, Scored};
use super::fuse::Fusion;
use super::hit::{Plan, Relation};
use super::near::Near;
use super::page::{Position, compare_hits, cut_page};
use super::query::Total;
use super::steps::Steps;
use crate::catalog::row_set::RowSet;
use crate::error::Result;

/// Of up to so many videos the evidence is kept from ranking to telling.
const KEPT_VIDEOS: usize = 256;
/// Videos that are bounded closely before the first is scored; then twice as many each time.
const BOUNDED_FIRST: usize = 32;
/// Videos that are bounded closely by one task.
const BOUNDED_TOGETHER: usize = 16;
/// Videos that are scored before looking again whether the page is full.
const SCORED_TOGETHER: usize = 4;
const MOST_SCORED_TOGETHER: usize = 64;

/// Hits in order, at least those up to the end of the page, and what to count.
pub(super) struct Ranked {
    pub(super) hits: Vec<Scored>,
    /// For each part the videos that the query returns; none for those that have any evidence.
    pub(super) returned: Option<Vec<RowSet>>,
    pub(super) relation: Relation,
    pub(super) plan: Plan,
}

/// A video with a score that it does not exceed.
#[derive(Clone, Copy)]
pub(super) struct Bounded {
    pub(super) bound: f32,
    pub(super) part: usize,
    pub(super) video: u32,
    /// Where the bounds of its rows begin (`Rough`), if they are kept.
    pub(super) rows_at: Option<usize>,
    /// Whether no closer bound is to be had for less than scoring it.
    pub(super) is_close: bool,
    /// Whether it is a hit, where that was found out.
    pub(super) is_hit: Option<bool>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bounded {}

impl PartialOrd for Bounded {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bounded {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.total_cmp(&other.bound).then((other.part, other.video).cmp(&(self.part, self.video)))
    }
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
            return Ok(Ranked { hits, returned, relation, plan });
        }
        let steps = bounds::steps(&self.ask);
        let bounds = self.bounds(&steps)?;
        if is_any_enough {
            let order = self.bound_all(&bounds, Bar::None, false)?;
            let (hits, _) = self.best_first(order, &bounds, position, limit)?;
            return self.exactly((hits, self.videos_with_evidence()?));
        }
        if !self.ask.needs_sufficient {
            let mut candidates = self.no_videos();
            let found = self.bound_all(&bounds, Bar::Confidence(least), false)?;
            for one in found.videos.into_iter().filter(|one| one.bound >= self.ask.min_score) {
                candidates.get_mut(one.part).into_iter().for_each(|videos| videos.insert(one.video));
            }
            return self.exactly(self.rank_exactly(&candidates, self.ask.min_score)?);
        }
        // Whether a video is a hit, one row tells; not where evidence counts only within a scope, or for nothing.
        let one_row_tells =
            !self.query.has_scope() && self.ask.channels.iter().all(|one| evidence::counts(&self.ask, one));
        let order = self.bound_all(&bounds, Bar::Sufficient, one_row_tells)?;
        let (known, unknown): (Vec<Bounded>, Vec<Bounded>) = order.videos.iter().partition(|one| one.is_hit.is_some());
        let (hits, _) = self.best_first(order, &bounds, position, limit)?;
        let scored =
            self.spread.map(&unknown, 16, |_, one| Ok(self.score(one.part, one.video, 0.0, false)?.is_some()))?;
        let mut returned = self.no_videos();
        let told = unknown.iter().zip(scored).filter(|(_, is_hit)| *is_hit).map(|(one, _)| one);
        for one in told.chain(known.iter().filter(|one| one.is_hit == Some(true))) {
            returned.get_mut(one.part).into_iter().for_each(|videos| videos.insert(one.video));
        }
        self.exactly((hits, returned))
    }

    fn exactly(&self, (hits, returned): (Vec<Scored>, Vec<RowSet>)) -> Result<Ranked> {
        Ok(Ranked { hits, returned: Some(returned), relation: Relation::Exact, plan: self.exact_plan().collect() })
    }

    /// Scores all of `videos` and keeps those that reach `min_score`.
    fn rank_exactly(&self, videos: &[RowSet], min_score: f32) -> Result<(Vec<Scored>, Vec<RowSet>)> {
        let places: Vec<(usize, u32)> = videos
            .iter()
            .enumerate()
            .flat_map(|(part, videos)| videos.iter().map(move |video| (part, video)))
            .collect();
        let keeps = places.len() <= KEPT_VIDEOS;
        // Here, and not by every thread.
        self.words()?;
        let scored = self.spread.map(&places, 16, |_, &(part, video)| self.score(part, video, min_score, keeps))?;
        let mut hits: Vec<Scored> = scored.into_iter().flatten().collect();
        hits.sort_unstable_by(|a, b| compare_hits((a.score, &a.id), (b.score, &b.id)));
        let mut returned = self.no_videos();
        for hit in &hits {
            if let Some(videos) = returned.get_mut(hit.part) {
                videos.insert(hit.video);
            }
        }
        Ok((hits, returned))
    }

    /// The query prepared to bound the videos of each part.
    pub(super) fn bounds<'a>(&'a self, steps: &'a [Vec<Steps>]) -> Result<Vec<Bounds<'a>>> {
        self.bounds_by(steps, self.words()?)
    }

    /// The same with what these words found.
    pub(super) fn bounds_by<'a>(
        &'a self,
        steps: &'a [Vec<Steps>],
        words: &'a [WordMatches],
    ) -> Result<Vec<Bounds<'a>>> {
        let parts = self.snapshot.parts.iter().zip(words);
        parts.map(|(part, words)| Bounds::new(&self.ask, part, words, steps)).collect()
    }

    /// Bounds of the allowed videos that are candidates and can score; if one row tells that, also whether they are hits.
    fn bound_all(&self, bounds: &[Bounds<'_>], bar: Bar, one_row_tells: bool) -> Result<Rough> {
        let found =
            self.by_run(bounds, |part, bounds, run, videos| bounds.rough(part, run, videos, bar, one_row_tells))?;
        let mut all = Rough::default();
        for (_, Rough { videos, rows }) in found {
            let begin = all.rows.len();
            let placed = |one: Bounded| Bounded { rows_at: one.rows_at.map(|at| begin + at), ..one };
            all.videos.extend(videos.into_iter().map(placed));
            all.rows.extend(rows);
        }
        Ok(all)
    }

    /// The allowed videos that are candidates.
    pub(super) fn candidates(&self, bounds: &[Bounds<'_>], bar: Bar) -> Result<Vec<RowSet>> {
        let mut candidates = self.no_videos();
        for (part, found) in self.by_run(bounds, |_, bounds, run, videos| bounds.candidates(run, videos, bar))? {
            let videos = candidates.get_mut(part);
            videos.into_iter().for_each(|videos| found.iter().for_each(|&video| videos.insert(video)));
        }
        Ok(candidates)
    }

    /// What `of_run` finds in each run of videos of each part, in order.
    fn by_run<T: Default + Send>(
        &self,
        bounds: &[Bounds<'_>],
        of_run: impl Fn(usize, &Bounds<'_>, Range<u32>, &RowSet) -> Result<T> + Sync,
    ) -> Result<Vec<(usize, T)>> {
        let mut runs = Vec::new();
        for (part, of_part) in bounds.iter().enumerate() {
            runs.extend(of_part.runs()?.into_iter().map(|run| (part, run)));
        }
        self.spread.map(&runs, 1, |_, (part, run)| {
            let found = match (bounds.get(*part), self.ask.allowed.get(*part)) {
                (Some(bounds), Some(allowed)) => of_run(*part, bounds, run.clone(), &allowed.videos)?,
                _ => T::default(),
            };
            Ok((*part, found))
        })
    }

    /// Scores videos best bound first, until the page is full and none left can enter it; hits in order, and those that
    /// turned out to be none.
    pub(super) fn best_first(
        &self,
        order: Rough,
        bounds: &[Bounds<'_>],
        position: Option<&Position>,
        limit: usize,
    ) -> Result<(Vec<Scored>, Vec<Bounded>)> {
        let Rough { videos, rows } = order;
        let (close, rough): (Vec<Bounded>, Vec<Bounded>) = videos.into_iter().partition(|one| one.is_close);
        let (mut close, mut rough) = (BinaryHeap::from(close), BinaryHeap::from(rough));
        let (mut hits, mut missed): (Vec<Scored>, Vec<Bounded>) = (Vec::new(), Vec::new());
        let mut bounded_together = BOUNDED_FIRST.max(limit);
        loop {
            let floor = page_floor(&hits, position, limit);
            // What is bounded closely is scored first: the fuller the page, the less is read of the others.
            // A first page is not full without so many.
            let missing = if position.is_none() { limit.saturating_add(1).saturating_sub(hits.len()) } else { 0 };
            let together = best_of(&mut close, missing.clamp(SCORED_TOGETHER, MOST_SCORED_TOGETHER), floor);
            if together.is_empty() {
                let mut together = best_of(&mut rough, bounded_together, floor);
                if together.is_empty() {
                    break;
                }
                bounded_together = bounded_together.saturating_mul(2);
                // In the order in which they are stored.
                together.sort_unstable_by_key(|one| (one.part, one.video));
                let pieces: Vec<&[Bounded]> = together.chunks(BOUNDED_TOGETHER).collect();
                let closer = self.spread.map(&pieces, 1, |_, piece| bound_closer(piece, &rows, bounds, floor))?;
                for one in closer.into_iter().flatten() {
                    if one.bound > 0.0 && one.bound >= self.ask.min_score {
                        close.push(one);
                    } else {
                        missed.push(one);
                    }
                }
                continue;
            }
            let scored =
                self.spread.map(&together, 2, |_, one| self.score(one.part, one.video, self.ask.min_score, true))?;
            for (one, scored) in together.into_iter().zip(scored) {
                let Some(hit) = scored else {
                    missed.push(one);
                    continue;
                };
                let at = hits.partition_point(|other| {
                    compare_hits((other.score, &other.id), (hit.score, &hit.id)) == Ordering::Less
                });
                hits.insert(at, hit);
            }
        }
        Ok((hits, missed))
    }
}

/// Up to `most` of the best that can enter a page with this floor, taken out.
fn best_of(waiting: &mut BinaryHeap<Bounded>, most: usize, floor: Option<f32>) -> Vec<Bounded> {
    let mut best = Vec::new();
    while best.len() < most && waiting.peek().is_some_and(|one| floor.is_none_or(|floor| one.bound >= floor)) {
        best.extend(waiting.pop());
    }
    best
}

/// The same videos, ascending, with closer bounds; of a video that can't reach `floor`, what tells that. `rows` are the rough bounds
/// of the videos' rows.
fn bound_closer(videos: &[Bounded], rows: &[f32], bounds: &[Bounds<'_>], floor: Option<f32>) -> Result<Vec<Bounded>> {
    let (mut room, mut closer) = (Room::default(), Vec::with_capacity(videos.len()));
    for of_part in videos.chunk_by(|one, next| one.part == next.part) {
        let Some(bounds) = of_part.first().and_then(|one| bounds.get(one.part)) else { continue };
        let (mut by_rows, mut others) = (Vec::new(), Vec::new());
        for one in of_part {
            match (floor, one.rows_at.and_then(|at| rows.get(at..))) {
                (Some(_), Some(rows)) => by_rows.push((one, rows)),
                _ => others.push(one),
            }
        }
        let asked: Vec<(u32, &[f32])> = by_rows.iter().map(|(one, rows)| (one.video, *rows)).collect();
        let found = bounds.close_above(floor.unwrap_or_default(), &asked, &mut room)?;
        let mut take = |one: &Bounded, bound: f32| {
            closer.push(Bounded { bound: bound.min(one.bound), is_close: true, ..*one });
        };
        by_rows.into_iter().zip(found).for_each(|((one, _), bound)| take(one, bound));
        for one in others {
            take(one, bounds.close(one.video, &mut room)?);
        }
    }
    Ok(closer)
}

/// The score of the page's last hit, once a hit behind the page is known as well.
fn page_floor(hits: &[Scored], position: Option<&Position>, limit: usize) -> Option<f32> {
    let (range, _) = cut_page(hits, |hit| (hit.score, &hit.id), position, limit);
    let last = hits.get(range.end.checked_sub(1)?)?;
    (range.len() == limit && range.end < hits.len()).then_some(last.score)
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::super::calibrate::{Calibration, CosineCurve, Logistic, Saturation};
    use super::super::execute::search_past;
    use super::super::query::Query;
    use super::*;
    use crate::catalog::channel::Channel;
    use crate::catalog::video::{Evidence, Segment, Space, Span, Video, VideoId};
    use crate::library::Library;

    const DIMENSION: usize = 64;
    const VIDEOS: usize = 160;
    const ROWS_A_VIDEO: usize = 20;
    const CLUSTERS: usize = 40;

    fn noise(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        }
    }

    /// A direction near one of the clusters.
    fn direction(next: &mut impl FnMut() -> f32) -> Vec<f32> {
        let cluster = ((next() + 1.0) / 2.0 * CLUSTERS as f32) as u64;
        let mut centre = noise(1000 + cluster);
        (0..DIMENSION).map(|_| centre() + 0.6 * next()).collect()
    }

    fn words(next: &mut impl FnMut() -> f32) -> String {
        let word = |next: &mut dyn FnMut() -> f32| format!("word{}", (30.0 * (next() / 2.0 + 0.5).powi(2)) as u32);
        (0..5).map(|_| word(next)).collect::<Vec<_>>().join(" ")
    }

    /// Shares of what a picture may show, as a classifier gives them: some are likely, none is below zero.
    fn shares(next: &mut impl FnMut() -> f32) -> Vec<f32> {
        direction(next).iter().map(|value| (4.0 * value).exp()).collect()
    }

    /// What is asked of shares: a few, and against all others.
    fn of_shares(next: &mut impl FnMut() -> f32) -> Vec<f32> {
        let mut asked = vec![-0.01; DIMENSION];
        for weight in [1.0, 0.5] {
            asked[((next() + 1.0) / 2.0 * DIMENSION as f32) as usize % DIMENSION] = weight;
        }
        asked
    }

    /// Videos whose rows lie apart, and every third with rows that overlap; enough rows for codes. Pictures are shares or
    /// directions.
    fn library(is_fitted: bool, has_shares: bool) -> Result<Library> {
        let library = Library::in_memory()?;
        let space = Space { name: "test".to_owned(), version: "1".to_owned(), dimension: DIMENSION as u32 };
        for channel in [Channel::Frame, Channel::Speech] {
            library.set_space(channel, space.clone())?;
        }
        if is_fitted {
            let vector = Some(CosineCurve::Logistic(Logistic { center: 0.6, slope: 9.0, top: 0.9 }));
            let lexical = Some(Saturation { half: 0.5, power: 2.0, top: 0.95 });
            let enough = Calibration { vector, lexical, agreement: 0.3, floor: 0.05, ..Calibration::default() };
            for (channel, sufficient) in [(Channel::Frame, 0.6), (Channel::Speech, 0.5), (Channel::Metadata, 0.7)] {
                library.set_calibration(channel, Calibration { sufficient, ..enough })?;
            }
        }
        let mut next = noise(5);
        let mut films = Vec::new();
        for number in 0..VIDEOS {
            let length = if number % 3 == 0 { 11.0 } else { 4.0 };
            let mut segments = Vec::new();
            for row in 0..ROWS_A_VIDEO {
                let start = 4.0 * row as f64;
                let mut evidence = |channel, text| {
                    let is_shares = has_shares && channel == Channel::Frame;
                    let vector = if is_shares { shares(&mut next) } else { direction(&mut next) };
                    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
                    let vector = Some(vector.iter().map(|value| f16::from_f32(value / length)).collect());
                    Evidence { channel, vector, text, description: None }
                };
                let evidence = vec![evidence(Channel::Frame, None), evidence(Channel::Speech, None)];
                segments.push(Segment { span: Span { start, end: start + length }, evidence });
            }
            for segment in &mut segments {
                segment.evidence[1].text = (next() > -0.5).then(|| words(&mut next));
            }
            let id = VideoId::new(format!("video-{number:03}"))?;
            films.push((Video { title: words(&mut next), duration: 90.0, ..Video::named(id) }, segments));
        }
        library.put(films)?;
        Ok(library)
    }

    #[test]
    fn bounds_from_codes_leave_out_nothing() -> Result<()> {
        for (is_fitted, has_shares) in [(false, false), (true, false), (false, true), (true, true)] {
            let library = library(is_fitted, has_shares)?;
            let snapshot = library.current()?;
            let part = snapshot.parts.first().map(|live| std::sync::Arc::clone(&live.part));
            let apart = part.as_ref().map_or(Ok(0), |part| part.videos_apart().map(RowSet::count))?;
            assert!(apart as usize > VIDEOS / 2 && (apart as usize) < VIDEOS, "{apart}");
            let mut next = noise(77);
            for (number, fusion) in
                (0..60).zip([Fusion::WeightedSum, Fusion::Probabilistic, Fusion::Max].iter().cycle())
            {
                let pictured = if has_shares { of_shares(&mut next) } else { direction(&mut next) };
                let vectors = [(Channel::Frame, pictured), (Channel::Speech, direction(&mut next))];
                let text = [Channel::Speech, Channel::Metadata].map(|channel| (channel, words(&mut next)));
                let query = Query {
                    vectors: vectors.into_iter().take(2 - number % 2).collect(),
                    text: text.into_iter().skip(usize::from(number % 5 == 0)).collect(),
                    fusion: *fusion,
                    limit: 3,
                    ..Query::default()
                };
                let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &query, &[7; 32]);
                let (everything, bounded) = (answer(u64::MAX)?, answer(0)?);
                assert_eq!(bounded.hits, everything.hits, "{number}");
                assert_eq!((bounded.total, &bounded.next_cursor), (everything.total, &everything.next_cursor));
                let second = Query { cursor: everything.next_cursor.clone(), ..query.clone() };
                let answer = |exhaustive_rows| search_past(exhaustive_rows, &snapshot, &second, &[7; 32]);
                assert_eq!(answer(0)?.hits, answer(u64::MAX)?.hits);
                let near = Query { effort: Some(4000), ..query };
                let near = search_past(0, &snapshot, &near, &[7; 32])?;
                assert_eq!(near.hits, everything.hits);
            }
        }
        Ok(())
    }

    #[test]
    fn of_more_videos_than_go_on_the_likeliest_do() -> Result<()> {
        const LIMIT: u32 = 5;
        let library = library(false, false)?;
        let (snapshot, mut next) = (library.current()?, noise(31));
        let (mut found, mut wanted) = (0, 0);
        for _ in 0..40 {
            let vectors = [Channel::Frame, Channel::Speech].map(|channel| (channel, direction(&mut next)));
            let text = [(Channel::Metadata, words(&mut next))];
            let query = Query { vectors: vectors.into(), text: text.into(), limit: LIMIT, ..Query::default() };
            let exact = search_past(0, &snapshot, &query, &[7; 32])?;
            let near = search_past(0, &snapshot, &Query { effort: Some(20), ..query }, &[7; 32])?;
            wanted += exact.hits.len();
            found += exact.hits.iter().filter(|hit| near.hits.contains(hit)).count();
        }
        assert!(wanted == 40 * LIMIT as usize && found * 100 >= wanted * 95, "{found} of {wanted}");
        Ok(())
    }
}
