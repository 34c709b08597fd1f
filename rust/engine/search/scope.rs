//! Which of a video's evidence counts, and which of its moments differ enough from the others to be shown.

use super::matches::Match;
use super::query::{Except, Query};
use super::timeline::is_timed;
use crate::catalog::channel::Channel;
use crate::catalog::video::Span;
use crate::error::Result;
use crate::part::Part;
use crate::vector::VectorColumn;

/// Two moments this far apart in time are not near each other at all.
const NEAR_SECONDS: f64 = 60.0;

impl Query {
    /// Whether some evidence of a video does not count.
    pub(super) fn has_scope(&self) -> bool {
        self.between.is_some() || self.except.is_some()
    }
}

/// Takes out what lies outside of the query's scope. Metadata belongs to no time, and stays.
pub(super) fn restrict(query: &Query, video: &str, matches: &mut Vec<Match>) {
    if let Some(between) = query.between {
        matches.retain_mut(|one| !is_timed(one) || cut(&mut one.span, between));
    }
    if let Some(Except { video: named, start, end }) = &query.except
        && named == video
    {
        let left_out = Span { start: *start, end: *end };
        matches.retain(|one| {
            let length = one.span.duration();
            let is_inside = if length > 0.0 {
                one.span.overlap(left_out) >= length / 2.0
            } else {
                one.span.start == *start || (*start..*end).contains(&one.span.start)
            };
            !(is_timed(one) && is_inside)
        });
    }
}

/// Cuts shots off where the query's scope ends, so that a moment which widens to a shot stays within it.
pub(super) fn cut_shots(query: &Query, shots: &mut Vec<Span>) {
    if let Some(between) = query.between {
        shots.retain_mut(|shot| cut(shot, between));
    }
}

/// Cuts a span off at either of two instants; false where it lies outside of them.
fn cut(span: &mut Span, [from, to]: [f64; 2]) -> bool {
    let Span { start, end } = *span;
    *span = Span { start: start.max(from), end: end.min(to) };
    span.end > span.start || (start == end && (from..to).contains(&start))
}

/// Of moments that come best first, keeps at most `most`, and none that is as much like a better one as `1 - diversity` or
/// more. `place` gives a moment's span and peak.
///
/// Every moment is compared with the kept ones: linear in the moments, and in `most`.
pub(super) fn diversify<T>(
    part: &Part,
    video: u32,
    diversity: f32,
    most: usize,
    moments: &mut Vec<T>,
    place: impl Fn(&T) -> (Span, f64),
) -> Result<()> {
    let pictures = Pictures::of(part, video)?;
    let mut kept: Vec<(Span, Option<Vec<f32>>)> = Vec::new();
    let mut is_kept = Vec::with_capacity(moments.len());
    for moment in moments.iter() {
        if kept.len() == most {
            break;
        }
        let (span, peak_seconds) = place(moment);
        let picture = pictures.at(peak_seconds)?;
        let is_alike = kept.iter().any(|(other, shown)| {
            nearness(span, *other).max(cosine(picture.as_deref(), shown.as_deref())) >= 1.0 - diversity
        });
        is_kept.push(!is_alike);
        if !is_alike {
            kept.push((span, picture));
        }
    }
    let mut is_kept = is_kept.into_iter();
    moments.retain(|_| is_kept.next().unwrap_or(false));
    Ok(())
}

/// 1 where spans touch, 0 where a minute lies between them.
fn nearness(one: Span, other: Span) -> f32 {
    let gap = (one.start - other.end).max(other.start - one.end).max(0.0);
    (1.0 - gap / NEAR_SECONDS).max(0.0) as f32
}

fn cosine(one: Option<&[f32]>, other: Option<&[f32]>) -> f32 {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().zip(other).map(|(a, b)| a * b).sum(),
        _ => 0.0,
    }
}

/// The pictures of a video, by when they are shown.
struct Pictures<'a> {
    column: Option<&'a VectorColumn>,
    shown: Vec<(f64, u32)>,
}

impl<'a> Pictures<'a> {
    fn of(part: &'a Part, video: u32) -> Result<Self> {
        let column = part.vectors(Channel::Frame);
        let mut shown = Vec::new();
        if let Some(column) = column {
            let rows = column.rows()?;
            for row in part.table().rows(video)?.filter(|&row| rows.position(row).is_some()) {
                shown.push((part.table().span(row)?.start, row));
            }
        }
        shown.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(Self { column, shown })
    }

    /// The vector of the last picture that begins by then.
    fn at(&self, seconds: f64) -> Result<Option<Vec<f32>>> {
        let after = self.shown.partition_point(|(start, _)| *start <= seconds);
        let (Some(column), Some(&(_, row))) = (self.column, self.shown[..after].last()) else { return Ok(None) };
        Ok(column.vector(row)?.map(|vector| vector.into_iter().map(f32::from).collect()))
    }
}
