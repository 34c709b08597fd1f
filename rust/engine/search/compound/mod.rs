//! Several questions related in time: one then another, one while another, one without another, and blends.
//!
//! Every part is asked as a query of its own and has its own moments, scored as those of a plain query are. A compound
//! relates them on each video's timeline (`relate`):
//!
//! | relation | its moments | score |
//! | --- | --- | --- |
//! | then | a moment of the second that begins at most `within_seconds` after one of the first ends; from the start of the one to the end of the other | the product |
//! | while | two moments at once (an overlap of at least half of the shorter); where both are | the product |
//! | without | a moment of the first; left out where the second is as likely as not at the same time | a (1 - b) |
//! | blend | a moment of any part with a weight above zero, and what the others have at the same time | Σ w p / Σ w over those, times (1 - \|w\| p) for each below zero |
//!
//! Scores are calibrated confidences, so a product is how sure both are. The contributions of all matches add up to the
//! score: a product is shared in proportion to what the parts had alone, and what a part takes away is below zero.
//!
//! *What is enough.* Where no least score is given, two parts are enough together if the product of their confidences is
//! what that of two just sufficient ones would be, and neither has less than `LEAST_SHARE` of what is sufficient: what
//! is surer than need be makes up for a faint other, but not for a missing one.
//!
//! Exact, whatever `effort` says. A part may be a compound once more. Time is n log n in a video's moments.

mod moment;

use std::collections::BTreeSet;
use std::time::Instant;

use moment::{
    CompoundMoment, LEAST_SHARE, MOST_ENOUGH, Support, blend, both_at_once, one_then_other, one_without_other,
};

use super::cursor::Cursor;
use super::hit::{Hit, HitMatch, HitMoment, Relation, SearchResult, Timing};
use super::moments::{Moment, MomentRules, find_moments};
use super::page::{compare_hits, cut_page};
use super::query::{Compound, Operand, Query};
use super::run::{Run, places_of};
use super::spread::VIDEOS_A_TASK;
use super::suppress::Kept;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::{Span, VideoId};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// The compound with its questions under way.
enum Node {
    /// The question of this number.
    Ask(usize),
    /// One and then the other, at most so many seconds later.
    Then(Box<[Node; 2]>, f64),
    /// Both at once.
    While(Box<[Node; 2]>),
    /// One where the other is not.
    Without(Box<[Node; 2]>),
    /// Several at once, each with its weight.
    Blend(Vec<(Node, f32)>),
}

/// Whether a part of a compound should be there, or should not.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    Present,
    Absent,
}

/// A video with its score.
struct ScoredVideo {
    part: usize,
    video: u32,
    id: VideoId,
    score: f32,
}

/// All questions of a compound under way.
struct Questions<'a> {
    runs: Vec<Run<'a>>,
    root: Node,
    query: &'a Query,
    min_score: f32,
}

/// Answers a compound query from one snapshot. See `execute::search` for what is promised of pages and totals.
pub(super) fn search(
    exhaustive_rows: u64,
    snapshot: &Snapshot,
    query: &Query,
    compound: &Compound,
    secret: &[u8; 32],
) -> Result<SearchResult> {
    let begun = Instant::now();
    query.validate()?;
    let digest = query.digest()?;
    let position = Cursor::of(query, &digest, secret)?.map(|cursor| cursor.position);
    let mut questions = Vec::new();
    collect(compound, query, Wish::Present, &mut questions);
    let start = |asked| {
        let run = Run::new(exhaustive_rows, snapshot, asked)?;
        // Here, and not by every thread.
        run.words()?;
        Ok(run)
    };
    let runs = questions.iter().map(start).collect::<Result<_>>()?;
    let (root, _) = node(compound, 0);
    let asked = Questions { runs, root, query, min_score: query.min_score.unwrap_or(0.0) };
    let (hits, returned) = asked.rank()?;
    let (range, next) = cut_page(&hits, |hit| (hit.score, &hit.id), position.as_ref(), query.limit as usize);
    let cursor = |position| Cursor { snapshot: snapshot.number, digest, position }.encode(secret);
    let page = hits.get(range).unwrap_or_default();
    let Some(first) = asked.runs.first() else { return Err(no_question()) };
    Ok(SearchResult {
        hits: page.iter().map(|hit| asked.tell(hit)).collect::<Result<_>>()?,
        total: hits.len() as u64,
        total_relation: Relation::Exact,
        facets: first.count_facets(&returned)?,
        next_cursor: next.map(cursor),
        snapshot: snapshot.number,
        plan: asked.runs.iter().flat_map(Run::exact_plan).collect(),
        timing: Timing { seconds: begun.elapsed().as_secs_f64(), counting_seconds: 0.0 },
    })
}

/// Appends the questions in order, each with what the whole query says of all.
fn collect(compound: &Compound, query: &Query, wish: Wish, questions: &mut Vec<Query>) {
    let mut take = |part: &Operand, wish: Wish| match part {
        Operand::Compound(inner) => collect(inner, query, wish, questions),
        Operand::Ask(asked) => questions.push(Query {
            filter: query.filter.clone(),
            fusion: query.fusion,
            between: query.between,
            except: query.except.clone(),
            facets: query.facets.clone(),
            // Of what should not be there faint evidence counts as well; what is enough is decided for the whole.
            min_score: if wish == Wish::Present { query.min_score } else { Some(0.0) },
            ..Query::clone(asked)
        }),
    };
    match compound {
        Compound::Then { first, second, .. } | Compound::While { first, second } => {
            take(first, wish);
            take(second, wish);
        }
        Compound::Without { first, second } => {
            take(first, wish);
            take(second, Wish::Absent);
        }
        Compound::Blend { parts } => {
            for (part, weight) in parts {
                take(part, if *weight > 0.0 { wish } else { Wish::Absent });
            }
        }
    }
}

/// The tree over the questions from number `next` on, and the number after them.
fn node(compound: &Compound, next: usize) -> (Node, usize) {
    let of = |part: &Operand, next: usize| match part {
        Operand::Ask(_) => (Node::Ask(next), next + 1),
        Operand::Compound(inner) => node(inner, next),
    };
    let sides = |first: &Operand, second: &Operand| {
        let (first, next) = of(first, next);
        let (second, next) = of(second, next);
        (Box::new([first, second]), next)
    };
    match compound {
        Compound::Then { first, second, within_seconds } => {
            let (sides, next) = sides(first, second);
            (Node::Then(sides, *within_seconds), next)
        }
        Compound::While { first, second } => {
            let (sides, next) = sides(first, second);
            (Node::While(sides), next)
        }
        Compound::Without { first, second } => {
            let (sides, next) = sides(first, second);
            (Node::Without(sides), next)
        }
        Compound::Blend { parts } => {
            let mut next = next;
            let mut nodes = Vec::with_capacity(parts.len());
            for (part, weight) in parts {
                let (node, after) = of(part, next);
                nodes.push((node, *weight));
                next = after;
            }
            (Node::Blend(nodes), next)
        }
    }
}

impl Questions<'_> {
    /// All hits in order, and for each part of the snapshot the videos among them.
    fn rank(&self) -> Result<(Vec<ScoredVideo>, Vec<RowSet>)> {
        let videos = self.candidates(&self.root)?;
        let places = places_of(&videos);
        let Some(first) = self.runs.first() else { return Err(no_question()) };
        let scored = first.spread.map(&places, VIDEOS_A_TASK, |_, &(part, video)| {
            let moments = self.moments(part, video)?;
            let found = self.related(&self.root, &moments);
            let score = found.iter().filter(|one| self.is_enough(one)).map(|one| one.score).fold(0.0, f32::max);
            if score <= 0.0 || score < self.min_score {
                return Ok(None);
            }
            Ok(Some(ScoredVideo { part, video, id: VideoId::new(first.part(part)?.part.table().id(video)?)?, score }))
        })?;
        let mut hits: Vec<ScoredVideo> = scored.into_iter().flatten().collect();
        hits.sort_unstable_by(|a, b| compare_hits((a.score, &a.id), (b.score, &b.id)));
        let returned = first.videos_at(hits.iter().map(|hit| (hit.part, hit.video)));
        Ok((hits, returned))
    }

    /// The videos that may have a moment; a superset.
    fn candidates(&self, node: &Node) -> Result<Vec<RowSet>> {
        match node {
            Node::Ask(question) => {
                // A blend's part may stay below the least score, so no part is held to it.
                self.run(*question)?.may_have_moments(LEAST_SHARE)
            }
            Node::Without(sides) => self.candidates(&sides[0]),
            Node::Then(sides, _) | Node::While(sides) => {
                let mut both = self.candidates(&sides[0])?;
                for (one, other) in both.iter_mut().zip(self.candidates(&sides[1])?) {
                    one.intersect(&other);
                }
                Ok(both)
            }
            Node::Blend(nodes) => {
                let mut any: Option<Vec<RowSet>> = None;
                for (node, _) in nodes.iter().filter(|(_, weight)| *weight > 0.0) {
                    let found = self.candidates(node)?;
                    match &mut any {
                        None => any = Some(found),
                        Some(any) => any.iter_mut().zip(found).for_each(|(one, other)| one.unite(&other)),
                    }
                }
                any.ok_or_else(no_question)
            }
        }
    }

    /// The moments of every question in one video, by start.
    fn moments(&self, part: usize, video: u32) -> Result<Vec<Vec<Moment>>> {
        let rules = MomentRules { keep_ratio: 0.0, ..MomentRules::default() };
        let mut all = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let mut matches = run.matches(part, video)?;
            let shots = run.shots(part, video)?;
            let mut moments = find_moments(&matches, &shots, &run.ask.fuser, &rules, 0.0);
            if matches.iter().any(|one| !one.is_sufficient) {
                // Found apart: beside them, one that is enough may be left out as nearly the same as a faint one.
                matches.iter_mut().for_each(|one| one.is_sufficient = true);
                let all = find_moments(&matches, &shots, &run.ask.fuser, &rules, 0.0);
                moments.extend(all.into_iter().filter(|moment| run.sufficiency(moment) < 1.0));
            }
            moments.sort_by(|a, b| {
                (a.span.start.total_cmp(&b.span.start))
                    .then(a.span.end.total_cmp(&b.span.end))
                    .then(b.score.total_cmp(&a.score))
            });
            all.push(moments);
        }
        Ok(all)
    }

    /// The moments of a node, which rest on these of the questions.
    fn related(&self, node: &Node, moments: &[Vec<Moment>]) -> Vec<CompoundMoment> {
        let of_sides = |sides: &[Node; 2]| sides.each_ref().map(|side| self.related(side, moments));
        match node {
            Node::Ask(question) => {
                let of = moments.get(*question).into_iter().flatten().enumerate();
                of.map(|(at, moment)| CompoundMoment {
                    span: moment.span,
                    peak_seconds: moment.peak_seconds,
                    score: moment.score,
                    enough: self.runs.get(*question).map_or(1.0, |run| run.sufficiency(moment)).min(MOST_ENOUGH),
                    rests_on: vec![Support { question: *question, moment: at, share: 1.0 }],
                })
                .collect()
            }
            Node::Then(sides, within_seconds) => {
                let [first, second] = of_sides(sides);
                one_then_other(&first, &second, *within_seconds)
            }
            Node::While(sides) => {
                let [first, second] = of_sides(sides);
                both_at_once(&first, &second)
            }
            Node::Without(sides) => {
                let [first, second] = of_sides(sides);
                one_without_other(&first, &second)
            }
            Node::Blend(nodes) => {
                let parts: Vec<_> = nodes.iter().map(|(node, weight)| (self.related(node, moments), *weight)).collect();
                blend(&parts)
            }
        }
    }

    fn tell(&self, hit: &ScoredVideo) -> Result<Hit> {
        let Some(first) = self.runs.first() else { return Err(no_question()) };
        let video = first.part(hit.part)?.part.table().video(hit.video)?;
        if self.query.moments_per_hit == 0 {
            return Ok(Hit { video, score: hit.score, moments: Vec::new() });
        }
        let moments = self.moments(hit.part, hit.video)?;
        let mut found = self.related(&self.root, &moments);
        found.sort_by(|a, b| {
            (b.score.total_cmp(&a.score))
                .then(a.span.start.total_cmp(&b.span.start))
                .then(a.span.end.total_cmp(&b.span.end))
                .then_with(|| a.gains_by().cmp(&b.gains_by()))
        });
        let rules = MomentRules::default();
        let cutoff = self.min_score.max(rules.keep_ratio * hit.score);
        let (mut spans, mut told) = (Kept::new(rules.same_iou), BTreeSet::new());
        found.retain(|one| {
            let is_new = one.gains_by().into_iter().any(|moment| !told.contains(&moment));
            let is_kept =
                one.score >= cutoff && one.score > 0.0 && self.is_enough(one) && is_new && spans.keep(one.span);
            if is_kept {
                told.extend(one.gains_by());
            }
            is_kept
        });
        first.choose(self.query, hit.part, hit.video, &mut found, |one| (one.span, one.peak_seconds))?;
        let told = found.into_iter().map(|one| self.explain(hit.part, one, &moments)).collect::<Result<_>>()?;
        Ok(Hit { video, score: hit.score, moments: told })
    }

    fn explain(&self, part: usize, found: CompoundMoment, moments: &[Vec<Moment>]) -> Result<HitMoment> {
        let mut matches = Vec::new();
        for Support { question, moment, share } in found.rests_on {
            let run = self.run(question)?;
            let Some(moment) = moments.get(question).and_then(|of| of.get(moment)) else { return Err(no_question()) };
            for scored in &moment.matches {
                let mut scored = scored.clone();
                scored.contribution *= share;
                let snippet = run.describe(part, scored.evidence.row, scored.evidence.channel)?;
                matches.push(HitMatch { part: Some(question as u32), ..HitMatch::new(scored, snippet) });
            }
        }
        let Span { start, end } = found.span;
        Ok(HitMoment { start, end, peak: found.peak_seconds, score: found.score, matches })
    }

    fn is_enough(&self, found: &CompoundMoment) -> bool {
        self.query.min_score.is_some() || found.enough >= 1.0
    }

    fn run(&self, question: usize) -> Result<&Run<'_>> {
        self.runs.get(question).ok_or_else(no_question)
    }
}

fn no_question() -> Error {
    Error::Internal { detail: "a compound query has no such question".to_owned() }
}
