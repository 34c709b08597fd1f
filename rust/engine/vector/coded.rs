//! The rows with the best estimates by the 1-bit codes, for columns whose graph is not in memory.
//!
//! All codes are read, in a row, and a fixed number of rows is then read and scored, whatever the number of rows and of
//! columns: that is what bounds the reads of a question over data larger than memory. Rounds and chunks are those of an
//! exact search (`scan`), so the answer never depends on the number of threads.

use super::codes::{Candidate, SLACK};
use super::column::Asked;
use super::query::QueryVector;
use super::scan::{FIRST_ROUND_ROWS, ROUND_GROWTH};
use crate::error::Result;

/// The `count` allowed rows of all columns with the best estimates: which column, and where in it. Columns without codes
/// have none.
///
/// # Errors
/// `damaged` where a checksum says so.
pub(super) fn best_estimates(
    asked: &[(usize, Asked<'_>)],
    query: &QueryVector,
    count: usize,
) -> Result<Vec<(usize, Candidate)>> {
    let mut best: Vec<(usize, Candidate)> = Vec::new();
    let mut floor = f32::NEG_INFINITY;
    let mut round_rows = FIRST_ROUND_ROWS;
    for &(at, Asked { column, allowed }) in asked {
        let Some(codes) = column.codes() else { continue };
        codes.section.expect(0..codes.section.len());
        // Without an allowance for errors, the scan keeps what is estimated to reach the floor.
        let code_query = codes.coder.query(query.components()).by_estimate();
        let (rows, end) = (column.rows()?, column.len() as u32);
        let mut start = 0;
        while start < end {
            let round = start..start.saturating_add(round_rows).min(end);
            let found = column.candidates(codes, &code_query, floor + SLACK, round.clone(), &rows, allowed)?;
            best.extend(found.into_iter().map(|candidate| (at, candidate)));
            if best.len() > count {
                best.select_nth_unstable_by(count.saturating_sub(1), |(at, a), (other, b)| {
                    b.estimate.total_cmp(&a.estimate).then((at, a.position).cmp(&(other, b.position)))
                });
                best.truncate(count);
                floor = best.last().map_or(floor, |(_, worst)| worst.estimate);
            }
            start = round.end;
            round_rows = round_rows.saturating_mul(ROUND_GROWTH);
        }
    }
    Ok(best)
}
