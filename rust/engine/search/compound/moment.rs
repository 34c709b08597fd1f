//! A moment of a compound, and how one follows from moments of its parts.

use std::collections::BTreeSet;

use crate::catalog::video::Span;
use crate::search::relate::{Placed, at_once, following};

/// A confidence from which what must not be there is taken to be there.
const PRESENT: f32 = 0.5;

/// The least part of what is sufficient that one of two related moments may have.
pub(super) const LEAST_SHARE: f32 = 0.1;

/// The most that `CompoundMoment::enough` says.
pub(super) const MOST_ENOUGH: f32 = 1.0 / LEAST_SHARE;

/// A moment of a compound, resting on moments of its questions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CompoundMoment {
    pub(super) span: Span,
    pub(super) peak_seconds: f64,
    pub(super) score: f32,
    /// How many times as sure as is sufficient, at most `MOST_ENOUGH`.
    pub(super) enough: f32,
    pub(super) rests_on: Vec<Support>,
}

/// A moment of a question that a moment of a compound rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Support {
    pub(super) question: usize,
    /// Its place among the question's moments.
    pub(super) moment: usize,
    /// What its contributions are multiplied by; below zero where it takes something away.
    pub(super) share: f32,
}

impl CompoundMoment {
    /// The moments that this one gains by, as question and place.
    pub(super) fn gains_by(&self) -> Vec<(usize, usize)> {
        let gains = self.rests_on.iter().filter(|support| support.share > 0.0);
        gains.map(|support| (support.question, support.moment)).collect()
    }

    fn placed(&self) -> Placed {
        Placed { span: self.span, score: self.score }
    }

    /// What it rests on, with every share multiplied.
    fn scaled(&self, by: f32) -> impl Iterator<Item = Support> + '_ {
        self.rests_on.iter().map(move |support| Support { share: support.share * by, ..*support })
    }

    /// This moment and another together: as sure as both are.
    fn with(&self, other: &Self, span: Span, peak_seconds: f64) -> Self {
        let score = self.score * other.score;
        let is_too_faint = self.enough.min(other.enough) < LEAST_SHARE;
        let enough = if is_too_faint { 0.0 } else { self.enough * other.enough };
        let share = score / (self.score + other.score);
        let rests_on = self.scaled(share).chain(other.scaled(share)).collect();
        Self { span, peak_seconds, score, enough: enough.min(MOST_ENOUGH), rests_on }
    }
}

/// One and then the other: from the start of the one to the end of the other.
pub(super) fn one_then_other(
    first: &[CompoundMoment],
    second: &[CompoundMoment],
    within_seconds: f64,
) -> Vec<CompoundMoment> {
    let pairs = partners(first, second, |ones, others| following(ones, others, within_seconds));
    let join = |(one, other): (usize, usize)| {
        let (one, other) = (first.get(one)?, second.get(other)?);
        Some(one.with(other, one.span.unite(other.span), one.peak_seconds))
    };
    pairs.into_iter().filter_map(join).collect()
}

/// Both at once: where they overlap.
pub(super) fn both_at_once(first: &[CompoundMoment], second: &[CompoundMoment]) -> Vec<CompoundMoment> {
    let pairs = partners(first, second, |ones, others| {
        let with_second = at_once(ones, others).into_iter().enumerate().filter_map(|(a, b)| Some((a, b?)));
        let with_first = at_once(others, ones).into_iter().enumerate().filter_map(|(b, a)| Some((a?, b)));
        with_second.chain(with_first).collect()
    });
    let join = |(one, other): (usize, usize)| {
        let (one, other) = (first.get(one)?, second.get(other)?);
        let shared = one.span.intersect(other.span);
        Some(one.with(other, shared, shared.center()))
    };
    pairs.into_iter().filter_map(join).collect()
}

/// One where the other is not at the same time.
pub(super) fn one_without_other(first: &[CompoundMoment], second: &[CompoundMoment]) -> Vec<CompoundMoment> {
    let without = |(one, other): (&CompoundMoment, Option<usize>)| match other.and_then(|at| second.get(at)) {
        Some(other) if other.score >= PRESENT => None,
        Some(other) => {
            let taken = other.scaled(-one.score);
            let score = one.score * (1.0 - other.score);
            let rests_on = one.rests_on.iter().copied().chain(taken).collect();
            Some(CompoundMoment { score, rests_on, ..one.clone() })
        }
        None => Some(one.clone()),
    };
    first.iter().zip(at_once(&placed(first), &placed(second))).filter_map(without).collect()
}

/// For every moment of a part with a weight above zero, the best of the others at the same time.
pub(super) fn blend(parts: &[(Vec<CompoundMoment>, f32)]) -> Vec<CompoundMoment> {
    let all: Vec<Vec<Placed>> = parts.iter().map(|(found, _)| placed(found)).collect();
    let total: f32 = parts.iter().map(|(_, weight)| weight.max(0.0)).sum();
    let mut blended = Vec::new();
    for (own, (found, _)) in parts.iter().enumerate().filter(|(_, (_, weight))| *weight > 0.0) {
        let Some(anchors) = all.get(own) else { continue };
        let partners: Vec<Vec<Option<usize>>> = all.iter().map(|others| at_once(anchors, others)).collect();
        for (at, anchor) in found.iter().enumerate() {
            let together: Vec<(&CompoundMoment, f32)> = parts
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
                one.scaled(if weight > 0.0 { weight / total } else { lost })
            });
            blended.push(CompoundMoment { score, enough, rests_on: rests_on.collect(), ..anchor.clone() });
        }
    }
    blended
}

fn placed(moments: &[CompoundMoment]) -> Vec<Placed> {
    moments.iter().map(CompoundMoment::placed).collect()
}

/// The moments of either side with their best partners on the other. Those that are enough by themselves get such a
/// partner as well, so that a faint one which scores higher does not take its place.
fn partners(
    first: &[CompoundMoment],
    second: &[CompoundMoment],
    best: impl Fn(&[Placed], &[Placed]) -> Vec<(usize, usize)>,
) -> BTreeSet<(usize, usize)> {
    let enough = |found: &[CompoundMoment]| -> Vec<usize> {
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
