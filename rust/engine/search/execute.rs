//! Answers a query from a snapshot: ranks, cuts a page, describes its hits, counts.

use std::time::Instant;

use super::compound;
use super::cursor::Cursor;
use super::hit::{SearchResult, Timing};
use super::page::cut_page;
use super::query::Query;
use super::rank::Ranked;
use super::run::Run;
use super::spread::Spread;
use crate::error::Result;
use crate::snapshot::Snapshot;

/// Up to this many rows every video is scored: that costs less than finding out which could be left out.
const EXHAUSTIVE_ROWS: u64 = 4000;

/// The snapshot that a query's cursor names; none without a cursor.
pub(crate) fn cursor_snapshot(query: &Query, secret: &[u8; 32]) -> Result<Option<u64>> {
    if query.cursor.is_none() {
        return Ok(None);
    }
    query.validate()?;
    Ok(Cursor::of(query, &query.digest()?, secret)?.map(|cursor| cursor.snapshot))
}

/// Answers a query from one snapshot.
pub(crate) fn search(snapshot: &Snapshot, query: &Query, secret: &[u8; 32]) -> Result<SearchResult> {
    Spread::over(snapshot).search(|| search_past(EXHAUSTIVE_ROWS, snapshot, query, secret))
}

/// As `search`, but with a limit of its own on the rows up to which every video is scored.
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
    let run = Run::new(exhaustive_rows, snapshot, query)?;
    let digest = query.digest()?;
    let position = Cursor::of(query, &digest, secret)?.map(|cursor| cursor.position);
    let limit = query.limit as usize;
    let Ranked { hits, returned, relation, plan, is_near } = run.rank(position.as_ref(), limit)?;
    let (range, next) = cut_page(&hits, |hit| (hit.score, &hit.id), position.as_ref(), limit);
    let page = hits.get(range).unwrap_or_default();
    let told = run.spread.map(page, 1, |_, hit| run.tell(hit))?;
    let counting = Instant::now();
    let returned = returned.map_or_else(|| run.videos_with_evidence(), Ok)?;
    let total = returned.iter().map(|videos| u64::from(videos.count())).sum();
    let facets = run.count_facets(&returned)?;
    let counting_seconds = counting.elapsed().as_secs_f64();
    if is_near {
        run.read_graphs_ahead();
    }
    let cursor = |position| Cursor { snapshot: snapshot.number, digest, position }.encode(secret);
    Ok(SearchResult {
        hits: told,
        total,
        total_relation: relation,
        facets,
        next_cursor: next.map(cursor),
        snapshot: snapshot.number,
        plan,
        timing: Timing { seconds: begun.elapsed().as_secs_f64(), counting_seconds },
    })
}
