//! Videos by their bounds: those that are candidates, and the best of them scored until a page is full.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::bounds::{Bounded, Bounds, Rough};
use super::candidates::{self, Bar};
use super::reader::{self, Reader, Room};
use super::steps::Steps;
use crate::catalog::row_set::RowSet;
use crate::error::Result;
use crate::search::evidence::WordMatches;
use crate::search::fuse::Fusion;
use crate::search::page::{Position, compare_hits, cut_page};
use crate::search::run::{Run, Scored};

/// Videos that are bounded closely before the first is scored; then twice as many each time.
const BOUNDED_FIRST: usize = 32;
/// Videos that are bounded closely by one task.
const BOUNDED_TOGETHER: usize = 16;
/// Videos that are scored before looking again whether the page is full.
const SCORED_TOGETHER: usize = 4;
const MOST_SCORED_TOGETHER: usize = 64;

impl Run<'_> {
    /// The allowed videos that may have a moment with this share of what is sufficient, or with any evidence where
    /// nothing can be too little; a superset.
    pub(in crate::search) fn may_have_moments(&self, share: f32) -> Result<Vec<RowSet>> {
        if self.is_small() || self.query.fusion == Fusion::ReciprocalRank {
            return Ok(self.allowed_videos());
        }
        if !self.ask.needs_sufficient {
            return self.videos_with_evidence();
        }
        self.candidates(&self.bounds(&reader::steps(&self.ask))?, Bar::Share(share))
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
        parts.map(|(part, words)| Bounds::new(Reader::new(&self.ask, part, words, steps)?)).collect()
    }

    /// Bounds of the allowed videos that are candidates and can score; if one row tells that, also whether they are hits.
    pub(super) fn bound_all(&self, bounds: &[Bounds<'_>], bar: Bar, one_row_tells: bool) -> Result<Rough> {
        let floors = candidates::floors(&self.ask, bar);
        let found = self.by_run(bounds, |room, part, bounds, run, videos| {
            bounds.rough(part, run, videos, &floors, one_row_tells, room)
        })?;
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
        let floors = candidates::floors(&self.ask, bar);
        let found =
            self.by_run(bounds, |room, _, bounds, run, videos| bounds.candidates(run, videos, &floors, room))?;
        for (part, found) in found {
            let videos = candidates.get_mut(part);
            videos.into_iter().for_each(|videos| found.iter().for_each(|&video| videos.insert(video)));
        }
        Ok(candidates)
    }

    /// What `of_run` finds in each run of videos of each part, of which it is told the allowed videos; in order.
    fn by_run<'a, T: Default + Send>(
        &self,
        bounds: &[Bounds<'a>],
        of_run: impl Fn(&mut Room<'a>, usize, &Bounds<'a>, Range<u32>, &RowSet) -> Result<T> + Sync + Send,
    ) -> Result<Vec<(usize, T)>> {
        let mut runs = Vec::new();
        for (part, of_part) in bounds.iter().enumerate() {
            runs.extend(of_part.runs()?.into_iter().map(|run| (part, of_part, run)));
        }
        self.spread.map_with(&runs, 1, Room::default, |room, _, (part, of_part, run)| {
            let found = match self.ask.allowed.get(*part) {
                Some(allowed) => of_run(room, *part, of_part, run.clone(), &allowed.videos)?,
                None => T::default(),
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
