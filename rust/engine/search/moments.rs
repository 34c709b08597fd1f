//! From the matches of one video to its moments.
//!
//! Every timed match proposes a moment: itself and the strongest match of every other channel at its centre (see
//! `timeline`). Its score is the fusion of their strengths. Then, each rule for its reason:
//!
//! - *Where it is.* The union of those matches whose contribution is not negligible, without those that are much longer
//!   than the shortest of them: a sentence in a long take is found at the sentence, a word in a short shot at the shot.
//!   A span shorter than the shot it lies in widens to the shot by the same measure. The peak is the centre of the time
//!   that all matches share.
//! - *What is new.* A proposal is dropped if better ones already rest on all of its notable matches, or if its span is
//!   nearly that of a better one. So a long match is not repeated with every weak one beside it.
//! - *What is one.* Touching moments on the same channels become one only when both stand out from the video nearly as
//!   far as each other. Adjacent shots always touch, so being weak alike, or alike throughout a video, joins nothing.
//!   Score, peak and contributions are those of the best part.
//! - *What is enough.* An instant at which no match is sufficient has no score: faint evidence adds to other evidence, but
//!   makes no moment by itself however much of it there is.
//! - *What is worth showing.* Moments below `keep_ratio` of the best are left out, even if the video's metadata, which
//!   belongs to no time, lifts them above that.
//!
//! Scores depend on the given matches alone, the best moment's only on the strongest of them. Joining compares with the
//! median moment, so give all evidence of the video, not the best few. The result doesn't depend on the order of the
//! input; time is n log n.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::fuse::Fuser;
use super::matches::Match;
use super::suppress::Kept;
use super::timeline::{Timeline, Together, holds};
use crate::catalog::channel::Channel;
use crate::catalog::video::Span;
use crate::error::{Error, Result};

/// A match with its part in a moment's score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredMatch {
    /// The evidence.
    pub evidence: Match,
    /// The channel's weight.
    pub weight: f32,
    /// Its part of the score; 0 for a match of a part that was joined to the best one.
    pub contribution: f32,
}

/// A span of time with the evidence for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// When, in seconds.
    pub span: Span,
    /// The instant that most speaks for, within the span.
    pub peak_seconds: f64,
    /// In (0, 1].
    pub score: f32,
    /// The contributing matches by channel, then those of joined parts by time. Contributions add up to the score.
    pub matches: Vec<ScoredMatch>,
}

/// The measures of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MomentRules {
    /// Moments with at most this between them touch; one sampling step.
    pub gap_seconds: f64,
    /// A match is notable from this part of the greatest contribution of a timed match.
    pub notable_ratio: f32,
    /// A match may stretch a moment to at most this many times the shortest notable match, …
    pub stretch_factor: f64,
    /// … or to this length if that is more.
    pub stretch_seconds: f64,
    /// The intersection over union from which two spans count as the same; 0.5 to 1.
    pub same_iou: f64,
    /// Touching moments join where the weaker stands out from the median by this part of what the stronger does; above
    /// 1 joins none.
    pub join_ratio: f32,
    /// The longest moment that joining makes.
    pub join_seconds: f64,
    /// Moments below this part of the video's best are left out.
    pub keep_ratio: f32,
}

impl Default for MomentRules {
    fn default() -> Self {
        Self {
            gap_seconds: 1.0,
            notable_ratio: 0.15,
            stretch_factor: 2.0,
            stretch_seconds: 6.0,
            same_iou: 0.7,
            join_ratio: 0.9,
            join_seconds: 60.0,
            keep_ratio: 0.65,
        }
    }
}

impl MomentRules {
    /// Checks measures that come from a caller.
    pub fn validate(&self) -> Result<()> {
        let valid = [
            ("gap_seconds", self.gap_seconds, 0.0..=3600.0),
            ("notable_ratio", self.notable_ratio.into(), 0.0..=1.0),
            ("stretch_factor", self.stretch_factor, 1.0..=1e6),
            ("stretch_seconds", self.stretch_seconds, 0.0..=1e6),
            ("same_iou", self.same_iou, 0.5..=1.0),
            ("join_ratio", self.join_ratio.into(), 0.0..=2.0),
            ("join_seconds", self.join_seconds, 0.0..=1e6),
            ("keep_ratio", self.keep_ratio.into(), 0.0..=1.0),
        ];
        match valid.into_iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((name, value, range)) => Err(Error::InvalidQuery {
                detail: format!("moments: {name} is {value}, expected {} to {}", range.start(), range.end()),
            }),
        }
    }

    fn may_stretch(&self, from: f64, to: f64) -> bool {
        to <= self.stretch_seconds.max(self.stretch_factor * from)
    }
}

/// A blend with this is not below the score.
const BLEND_SLACK: f32 = 1.0 + 1e-5;

/// An instant at which matches count together, with its score.
struct Instant {
    together: Together,
    score: f32,
}

/// A proposed moment.
#[derive(Debug, Clone, Copy)]
struct Proposal {
    together: Together,
    /// Bit set of the channels with notable matches.
    notable: u8,
    span: Span,
    peak_seconds: f64,
    score: f32,
    /// What the score would be without the metadata.
    timed_score: f32,
}

/// A moment, perhaps joined from several proposals.
struct Joined {
    /// The best proposal, with the span of all.
    best: Proposal,
    /// The matches of the others.
    support: Vec<u32>,
}

/// The score of the video's best moment: what `find_moments` gives its first one; 0 where there is no evidence.
#[must_use]
pub(crate) fn best_score(matches: &[Match], fuser: &Fuser) -> f32 {
    if !matches.iter().any(|one| one.is_sufficient) {
        return 0.0;
    }
    let timeline = Timeline::in_any_order(matches, |one| strength(one, fuser));
    let (blend, mut best) = (fuser.blend(), 0.0_f32);
    timeline.each_together(|_, together| {
        // A blend is quicker, and but for rounding not below the score.
        if blend.score(&timeline.strengths(&together)) * BLEND_SLACK > best {
            best = best.max(score(&timeline, &together, fuser));
        }
    });
    best
}

/// The moments of one video, best first: by score, then by the score of what happens in them alone, then by start.
///
/// `matches` is all evidence of the video, in any order. `shots` are the spans of its shots ordered by start, where they
/// are known, whether they match or not. None of the moments scores below `min_score`.
#[must_use]
pub(crate) fn find_moments(
    matches: &[Match],
    shots: &[Span],
    fuser: &Fuser,
    rules: &MomentRules,
    min_score: f32,
) -> Vec<Moment> {
    find_first_moments(matches, shots, fuser, rules, min_score, usize::MAX)
}

/// The first `most` of what `find_moments` finds.
pub(super) fn find_first_moments(
    matches: &[Match],
    shots: &[Span],
    fuser: &Fuser,
    rules: &MomentRules,
    min_score: f32,
    most: usize,
) -> Vec<Moment> {
    let timeline = Timeline::new(matches, |one| strength(one, fuser));
    let (instants, mut scores) = instants(&timeline, fuser);
    let best = scores.iter().copied().fold(0.0, f32::max);
    if best <= 0.0 || best < min_score {
        return Vec::new();
    }
    let cutoff = min_score.max(rules.keep_ratio * best);
    let mut proposals: Vec<Proposal> = instants
        .into_iter()
        .filter(|instant| instant.score >= cutoff && instant.score > 0.0)
        .map(|instant| propose(&timeline, instant, shots, fuser, rules))
        .collect();
    proposals.sort_unstable_by(by_worth);
    let timed_cutoff = rules.keep_ratio * proposals.first().map_or(0.0, |first| first.timed_score);
    proposals.retain(|proposal| proposal.timed_score >= timed_cutoff);

    let mut told = Told::new(rules.same_iou, timeline.len());
    proposals.retain(|proposal| told.tell(proposal));
    let median = scores.len().saturating_sub(1) / 2;
    let background = *scores.select_nth_unstable_by(median, f32::total_cmp).1;
    let mut moments = join(&proposals, background, rules);
    moments.sort_unstable_by(|one, other| by_worth(&one.best, &other.best));
    let mut kept = Kept::new(rules.same_iou);
    let kept = moments.into_iter().filter(|moment| kept.keep(moment.best.span)).take(most);
    kept.map(|moment| tell(&timeline, moment, fuser)).collect()
}

/// The different instants, and the scores of all: matches at each other's centre are the same instant.
fn instants(timeline: &Timeline<'_>, fuser: &Fuser) -> (Vec<Instant>, Vec<f32>) {
    let mut instants: Vec<Instant> = Vec::with_capacity(timeline.len());
    let mut scores = Vec::with_capacity(timeline.len());
    // By position of the match whose centre it is.
    let mut of_match = vec![usize::MAX; timeline.len()];
    timeline.each_together(|anchor, together| {
        let mut seen = together.iter().flatten().map(|&position| of_match[position as usize]);
        let same = seen.find(|&at| instants.get(at).is_some_and(|instant| instant.together == together));
        let at = same.unwrap_or_else(|| {
            instants.push(Instant { together, score: score(timeline, &together, fuser) });
            instants.len() - 1
        });
        of_match[anchor as usize] = at;
        scores.push(instants[at].score);
    });
    (instants, scores)
}

/// The score of one instant; 0 where nothing at it is enough by itself.
fn score(timeline: &Timeline<'_>, together: &Together, fuser: &Fuser) -> f32 {
    if together.iter().flatten().any(|&position| timeline.get(position).is_sufficient) {
        fuser.score(&timeline.strengths(together))
    } else {
        0.0
    }
}

fn strength(one: &Match, fuser: &Fuser) -> f32 {
    if fuser.weights().get(one.channel) > 0.0 { fuser.strength(one.confidence, one.rank) } else { 0.0 }
}

/// Total for different moments, so that sorting is independent of the input's order.
fn by_worth(one: &Proposal, other: &Proposal) -> Ordering {
    (other.score.total_cmp(&one.score))
        .then(other.timed_score.total_cmp(&one.timed_score))
        .then(one.span.start.total_cmp(&other.span.start))
        .then(one.span.end.total_cmp(&other.span.end))
        .then(one.together.cmp(&other.together))
}

fn propose(timeline: &Timeline<'_>, instant: Instant, shots: &[Span], fuser: &Fuser, rules: &MomentRules) -> Proposal {
    let Instant { together, score } = instant;
    let strengths = timeline.strengths(&together);
    let metadata = Channel::Metadata.index();
    let mut without_metadata = strengths;
    without_metadata[metadata] = 0.0;
    let timed_score = if strengths[metadata] > 0.0 { fuser.score(&without_metadata) } else { score };
    let at = |channel: usize| Some(timeline.get(together[channel]?).span);
    let timed = || {
        (0..together.len()).filter(|&channel| channel != metadata).filter_map(|channel| Some((channel, at(channel)?)))
    };
    let Some(shared) = timed().map(|(_, span)| span).reduce(Span::intersect) else {
        // Only metadata: the moment is the video.
        let span = at(metadata).unwrap_or(Span { start: 0.0, end: 0.0 });
        return Proposal { together, notable: 0, span, peak_seconds: span.center(), score, timed_score };
    };
    let contributions = fuser.share(score, &strengths);
    let greatest = timed().map(|(channel, _)| contributions[channel]).fold(0.0, f32::max);
    let notable = || timed().filter(|&(channel, _)| contributions[channel] >= rules.notable_ratio * greatest);
    let shortest = notable().map(|(_, span)| span.duration()).fold(f64::INFINITY, f64::min);
    let near = notable().map(|(_, span)| span).filter(|span| rules.may_stretch(shortest, span.duration()));
    let peak_seconds = shared.center();
    Proposal {
        together,
        notable: notable().fold(0, |set, (channel, _)| set | 1 << channel),
        span: widen(near.reduce(Span::unite).unwrap_or(shared), peak_seconds, shots, rules),
        peak_seconds,
        score,
        timed_score,
    }
}

/// The span united with the shot at its peak, where that is not much longer.
fn widen(span: Span, peak_seconds: f64, shots: &[Span], rules: &MomentRules) -> Span {
    let after = shots.partition_point(|shot| shot.start <= peak_seconds);
    match shots[..after].last() {
        Some(&shot) if holds(shot, peak_seconds) && rules.may_stretch(span.duration(), shot.duration()) => {
            span.unite(shot)
        }
        _ => span,
    }
}

/// What better moments already said.
struct Told {
    spans: Kept,
    /// By position, whether one rests on the match.
    is_told: Vec<bool>,
}

impl Told {
    fn new(iou: f64, matches: usize) -> Self {
        Self { spans: Kept::new(iou), is_told: vec![false; matches] }
    }

    /// Whether the moment says something new; if so, takes note of it.
    fn tell(&mut self, proposal: &Proposal) -> bool {
        let notable = || {
            let positions = proposal.together.iter().enumerate();
            positions.filter(|(channel, _)| proposal.notable >> channel & 1 == 1).filter_map(|(_, position)| *position)
        };
        let is_old = proposal.notable != 0 && notable().all(|position| self.is_told[position as usize]);
        if is_old || !self.spans.keep(proposal.span) {
            return false;
        }
        notable().for_each(|position| self.is_told[position as usize] = true);
        true
    }
}

/// Joins runs of touching moments around the best of each. `proposals` come in order of worth.
fn join(proposals: &[Proposal], background: f32, rules: &MomentRules) -> Vec<Joined> {
    let mut by_start: Vec<usize> = (0..proposals.len()).collect();
    by_start.sort_unstable_by(|&at, &other| {
        let (a, b) = (proposals[at].span, proposals[other].span);
        a.start.total_cmp(&b.start).then(a.end.total_cmp(&b.end)).then(at.cmp(&other))
    });
    let mut place = vec![0; proposals.len()];
    for (at, &index) in by_start.iter().enumerate() {
        place[index] = at;
    }
    let mut is_taken = vec![false; proposals.len()];
    let mut all = Vec::with_capacity(proposals.len());
    for seed in 0..proposals.len() {
        if std::mem::replace(&mut is_taken[seed], true) {
            continue;
        }
        let mut joined = Joined { best: proposals[seed], support: Vec::new() };
        let mut take = |index: usize| {
            let may_join = !is_taken[index] && may_join(&joined.best, &proposals[index], background, rules);
            if may_join {
                joined.take(&proposals[index]);
                is_taken[index] = true;
            }
            may_join
        };
        let (before, from_seed) = by_start.split_at(place[seed]);
        // Away from the best one in either direction, up to the first that doesn't join.
        for &index in from_seed.iter().skip(1) {
            if !take(index) {
                break;
            }
        }
        for &index in before.iter().rev() {
            if !take(index) {
                break;
            }
        }
        all.push(joined);
    }
    all
}

/// Whether a moment becomes one with another, which is better and may have grown.
fn may_join(best: &Proposal, other: &Proposal, background: f32, rules: &MomentRules) -> bool {
    let excess = best.score - background;
    let union = best.span.unite(other.span);
    let gap = union.duration() - best.span.duration() - other.span.duration();
    excess > 0.0
        && other.score - background >= rules.join_ratio * excess
        && other.notable == best.notable
        && gap <= rules.gap_seconds
        && union.duration() <= rules.join_seconds
}

impl Joined {
    fn take(&mut self, other: &Proposal) {
        self.best.span = self.best.span.unite(other.span);
        self.support.extend(other.together.iter().flatten());
    }
}

fn tell(timeline: &Timeline<'_>, moment: Joined, fuser: &Fuser) -> Moment {
    let Joined { best, mut support } = moment;
    let scored = |position: u32, contribution: f32| {
        let evidence = timeline.get(position).clone();
        let weight = fuser.weights().get(evidence.channel);
        ScoredMatch { evidence, weight, contribution }
    };
    let contributions = fuser.share(best.score, &timeline.strengths(&best.together));
    support.sort_unstable();
    support.dedup();
    support.retain(|position| !best.together.contains(&Some(*position)));
    let own = best.together.iter().flatten().count();
    let mut matches = Vec::with_capacity(own + support.len());
    let own = best.together.iter().zip(contributions);
    matches.extend(own.filter_map(|(position, contribution)| Some(scored((*position)?, contribution))));
    matches.extend(support.into_iter().map(|position| scored(position, 0.0)));
    Moment { span: best.span, peak_seconds: best.peak_seconds, score: best.score, matches }
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
