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
//! is surer than it need be makes up for a faint other, but not for none.
//!
//! Exact, whatever `effort` says. A part may be a compound once more. Time is n log n in a video's moments.

use std::collections::BTreeSet;
use std::time::Instant;

use super::cursor::Cursor;
use super::execute::read_cursor;
use super::hit::{Hit, HitMatch, HitMoment, Relation, SearchResult, Timing};
use super::moments::{Moment, MomentRules, find_moments};
use super::page::{compare_hits, cut_page};
use super::query::{Compound, Part, Query};
use super::relate::{Placed, at_once, following};
use super::run::{Run, places_of};
use super::spread::VIDEOS_A_TASK;
use super::suppress::Kept;
use crate::catalog::row_set::RowSet;
use crate::catalog::video::{Span, VideoId};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// A confidence from which what must not be there is taken to be there.
const PRESENT: f32 = 0.5;

/// The least part of what is sufficient that one of two related moments may have.
const LEAST_SHARE: f32 = 0.1;

/// The compound with its questions under way.
enum Node {
    Ask(usize),
    Pair(Pair, Box<[Node; 2]>),
    Blend(Vec<(Node, f32)>),
}

#[derive(Clone, Copy)]
enum Pair {
    Then(f64),
    While,
    Without,
}

/// A moment of a compound, resting on moments of its questions.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    span: Span,
    peak_seconds: f64,
    score: f32,
    /// How many times as sure as is sufficient, at most `1 / LEAST_SHARE`.
    enough: f32,
    /// Question, index of its moment, and what the moment's contributions are multiplied by.
    rests_on: Vec<(usize, usize, f32)>,
}

/// A video with its score.
struct Scored {
    part: usize,
    video: u32,
    id: VideoId,
    score: f32,
}

/// All questions of a compound under way.
struct Asked<'a> {
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
    let position = read_cursor(query, &digest, secret)?.map(|cursor| cursor.position);
    let mut questions = Vec::new();
    collect(compound, query, true, &mut questions);
    let start = |asked| {
        let run = Run::new(exhaustive_rows, snapshot, asked)?;
        // Here, and not by every thread.
        run.words()?;
        Ok(run)
    };
    let runs = questions.iter().map(start).collect::<Result<_>>()?;
    let (root, _) = node(compound, 0);
    let asked = Asked { runs, root, query, min_score: query.min_score.unwrap_or(0.0) };
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

/// The questions in order, each with what is the whole query's.
fn collect(compound: &Compound, query: &Query, is_wanted: bool, questions: &mut Vec<Query>) {
    let mut take = |part: &Part, is_wanted: bool| match part {
        Part::Compound(inner) => collect(inner, query, is_wanted, questions),
        Part::Ask(asked) => questions.push(Query {
            filter: query.filter.clone(),
            fusion: query.fusion,
            between: query.between,
            except: query.except.clone(),
            facets: query.facets.clone(),
            // Faint evidence counts as well; what is enough is decided for the whole.
            min_score: if is_wanted { query.min_score } else { Some(0.0) },
            ..Query::clone(asked)
        }),
    };
    match compound {
        Compound::Then { first, second, .. } | Compound::While { first, second } => {
            take(first, is_wanted);
            take(second, is_wanted);
        }
        Compound::Without { first, second } => {
            take(first, is_wanted);
            take(second, false);
        }
        Compound::Blend { parts } => parts.iter().for_each(|(part, weight)| take(part, is_wanted && *weight > 0.0)),
    }
}

/// The tree over the questions from number `next` on, and the number after them.
fn node(compound: &Compound, next: usize) -> (Node, usize) {
    let of = |part: &Part, next: usize| match part {
        Part::Ask(_) => (Node::Ask(next), next + 1),
        Part::Compound(inner) => node(inner, next),
    };
    let pair = |pair: Pair, first: &Part, second: &Part| {
        let (first, next) = of(first, next);
        let (second, next) = of(second, next);
        (Node::Pair(pair, Box::new([first, second])), next)
    };
    match compound {
        Compound::Then { first, second, within_seconds } => pair(Pair::Then(*within_seconds), first, second),
        Compound::While { first, second } => pair(Pair::While, first, second),
        Compound::Without { first, second } => pair(Pair::Without, first, second),
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

impl Asked<'_> {
    /// All hits in order, and for each part of the snapshot the videos among them.
    fn rank(&self) -> Result<(Vec<Scored>, Vec<RowSet>)> {
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
            Ok(Some(Scored { part, video, id: VideoId::new(first.part(part)?.part.table().id(video)?)?, score }))
        })?;
        let mut hits: Vec<Scored> = scored.into_iter().flatten().collect();
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
            Node::Pair(Pair::Without, sides) => self.candidates(&sides[0]),
            Node::Pair(Pair::Then(_) | Pair::While, sides) => {
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

    fn related(&self, node: &Node, moments: &[Vec<Moment>]) -> Vec<Found> {
        match node {
            Node::Ask(question) => {
                let of = moments.get(*question).into_iter().flatten().enumerate();
                of.map(|(at, moment)| Found {
                    span: moment.span,
                    peak_seconds: moment.peak_seconds,
                    score: moment.score,
                    enough: self.runs.get(*question).map_or(1.0, |run| run.sufficiency(moment)).min(1.0 / LEAST_SHARE),
                    rests_on: vec![(*question, at, 1.0)],
                })
                .collect()
            }
            Node::Pair(pair, sides) => {
                let (first, second) = (self.related(&sides[0], moments), self.related(&sides[1], moments));
                relate(*pair, &first, &second)
            }
            Node::Blend(nodes) => {
                let parts: Vec<_> = nodes.iter().map(|(node, weight)| (self.related(node, moments), *weight)).collect();
                blend(&parts)
            }
        }
    }

    fn tell(&self, hit: &Scored) -> Result<Hit> {
        let moments = self.moments(hit.part, hit.video)?;
        let mut found = self.related(&self.root, &moments);
        found.sort_by(|a, b| {
            (b.score.total_cmp(&a.score))
                .then(a.span.start.total_cmp(&b.span.start))
                .then(a.span.end.total_cmp(&b.span.end))
                .then_with(|| key(a).cmp(&key(b)))
        });
        let rules = MomentRules::default();
        let cutoff = self.min_score.max(rules.keep_ratio * hit.score);
        let (mut spans, mut told) = (Kept::new(rules.same_iou), BTreeSet::new());
        found.retain(|one| {
            let is_new = key(one).into_iter().any(|moment| !told.contains(&moment));
            let is_kept =
                one.score >= cutoff && one.score > 0.0 && self.is_enough(one) && is_new && spans.keep(one.span);
            if is_kept {
                told.extend(key(one));
            }
            is_kept
        });
        let Some(first) = self.runs.first() else { return Err(no_question()) };
        let live = first.part(hit.part)?;
        first.choose(self.query, hit.part, hit.video, &mut found, |one| (one.span, one.peak_seconds))?;
        let told = found.into_iter().map(|one| self.explain(hit.part, one, &moments)).collect::<Result<_>>()?;
        Ok(Hit { video: live.part.table().video(hit.video)?, score: hit.score, moments: told })
    }

    fn explain(&self, part: usize, found: Found, moments: &[Vec<Moment>]) -> Result<HitMoment> {
        let mut matches = Vec::new();
        for (question, at, share) in found.rests_on {
            let run = self.run(question)?;
            let live = run.part(part)?;
            let Some(moment) = moments.get(question).and_then(|of| of.get(at)) else { return Err(no_question()) };
            for scored in &moment.matches {
                let mut scored = scored.clone();
                scored.contribution *= share;
                let snippet = run.describe(live, scored.evidence.row, scored.evidence.channel)?;
                matches.push(HitMatch { part: Some(question as u32), ..HitMatch::new(scored, snippet) });
            }
        }
        let Span { start, end } = found.span;
        Ok(HitMoment { start, end, peak: found.peak_seconds, score: found.score, matches })
    }

    fn is_enough(&self, found: &Found) -> bool {
        self.query.min_score.is_some() || found.enough >= 1.0
    }

    fn run(&self, question: usize) -> Result<&Run<'_>> {
        self.runs.get(question).ok_or_else(no_question)
    }
}

/// What a moment rests on and gains by.
fn key(found: &Found) -> Vec<(usize, usize)> {
    found.rests_on.iter().filter(|(.., share)| *share > 0.0).map(|&(question, at, _)| (question, at)).collect()
}

fn placed(found: &[Found]) -> Vec<Placed> {
    found.iter().map(|one| Placed { span: one.span, score: one.score }).collect()
}

/// The moments of either side with their best partners on the other. Those that are enough by themselves get such a
/// partner as well, so that a faint one which scores higher does not take its place.
fn partners(
    first: &[Found],
    second: &[Found],
    best: impl Fn(&[Placed], &[Placed]) -> Vec<(usize, usize)>,
) -> BTreeSet<(usize, usize)> {
    let enough = |found: &[Found]| -> Vec<usize> {
        found.iter().enumerate().filter(|(_, one)| one.enough >= 1.0).map(|(at, _)| at).collect()
    };
    let (ones, others) = (placed(first), placed(second));
    let mut pairs: BTreeSet<(usize, usize)> = best(&ones, &others).into_iter().collect();
    let (sure, sure_others) = (enough(first), enough(second));
    if (sure.len(), sure_others.len()) != (ones.len(), others.len()) {
        let of = |all: &[Placed], some: &[usize]| -> Vec<Placed> {
            some.iter().filter_map(|&at| all.get(at).copied()).collect()
        };
        let found = best(&of(&ones, &sure), &of(&others, &sure_others));
        pairs.extend(found.into_iter().filter_map(|(a, b)| Some((*sure.get(a)?, *sure_others.get(b)?))));
    }
    pairs
}

fn relate(pair: Pair, first: &[Found], second: &[Found]) -> Vec<Found> {
    let pairs = match pair {
        Pair::Then(within_seconds) => partners(first, second, |ones, others| following(ones, others, within_seconds)),
        Pair::While => partners(first, second, |ones, others| {
            let with_second = at_once(ones, others).into_iter().enumerate().filter_map(|(a, b)| Some((a, b?)));
            let with_first = at_once(others, ones).into_iter().enumerate().filter_map(|(b, a)| Some((a?, b)));
            with_second.chain(with_first).collect()
        }),
        Pair::Without => {
            let (ones, others) = (placed(first), placed(second));
            let without = |(one, other): (&Found, Option<usize>)| match other.and_then(|at| second.get(at)) {
                Some(other) if other.score >= PRESENT => None,
                Some(other) => {
                    let taken = scaled(other, -one.score);
                    let score = one.score * (1.0 - other.score);
                    Some(Found { score, rests_on: one.rests_on.iter().copied().chain(taken).collect(), ..one.clone() })
                }
                None => Some(one.clone()),
            };
            return first.iter().zip(at_once(&ones, &others)).filter_map(without).collect();
        }
    };
    let join = |(a, b): (usize, usize)| {
        let (one, other) = (first.get(a)?, second.get(b)?);
        let score = one.score * other.score;
        let enough = if one.enough.min(other.enough) < LEAST_SHARE { 0.0 } else { one.enough * other.enough };
        let share = score / (one.score + other.score);
        let (span, peak_seconds) = match pair {
            Pair::Then(_) => (one.span.unite(other.span), one.peak_seconds),
            Pair::While | Pair::Without => {
                let shared = one.span.intersect(other.span);
                (shared, shared.center())
            }
        };
        let rests_on = scaled(one, share).chain(scaled(other, share)).collect();
        Some(Found { span, peak_seconds, score, enough: enough.min(1.0 / LEAST_SHARE), rests_on })
    };
    pairs.into_iter().filter_map(join).collect()
}

fn scaled(found: &Found, share: f32) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
    found.rests_on.iter().map(move |&(question, at, own)| (question, at, own * share))
}

/// For every moment of a part with a weight above zero, the best of the others at the same time.
fn blend(parts: &[(Vec<Found>, f32)]) -> Vec<Found> {
    let all: Vec<Vec<Placed>> = parts.iter().map(|(found, _)| placed(found)).collect();
    let total: f32 = parts.iter().map(|(_, weight)| weight.max(0.0)).sum();
    let mut blended = Vec::new();
    for (own, (found, _)) in parts.iter().enumerate().filter(|(_, (_, weight))| *weight > 0.0) {
        let Some(anchors) = all.get(own) else { continue };
        let partners: Vec<Vec<Option<usize>>> = all.iter().map(|others| at_once(anchors, others)).collect();
        for (at, anchor) in found.iter().enumerate() {
            let together: Vec<(&Found, f32)> = parts
                .iter()
                .zip(&partners)
                .enumerate()
                .filter_map(|(part, ((others, weight), partners))| {
                    let partner = if part == own { at } else { (*partners.get(at)?)? };
                    Some((others.get(partner)?, *weight))
                })
                .collect();
            let wanted: f32 = together.iter().map(|(one, weight)| weight.max(0.0) / total * one.score).sum();
            let kept: f32 = together.iter().map(|(one, weight)| 1.0 + weight.min(0.0) * one.score).product();
            let unwanted: f32 = together.iter().map(|(one, weight)| -weight.min(0.0) * one.score).sum();
            let score = wanted * kept;
            let enough =
                together.iter().filter(|(_, weight)| *weight > 0.0).map(|(one, _)| one.enough).fold(0.0, f32::max);
            let rests_on = together.iter().flat_map(|&(one, weight)| {
                let lost = if unwanted > 0.0 { (score - wanted) * -weight / unwanted } else { 0.0 };
                scaled(one, if weight > 0.0 { weight / total } else { lost })
            });
            blended.push(Found { score, enough, rests_on: rests_on.collect(), ..anchor.clone() });
        }
    }
    blended
}

fn no_question() -> Error {
    Error::Internal { detail: "a compound query has no such question".to_owned() }
}
