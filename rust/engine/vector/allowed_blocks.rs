//! Which blocks of a column's codes hold rows that a filter lets through: the others are not read.

use std::ops::Range;

use super::codes::BLOCK_ROWS;
use super::rows::Rows;
use crate::catalog::row_set::RowSet;

/// Where there are more runs of allowed rows than one for so many blocks, finding the blocks without takes longer than
/// reading them.
const BLOCKS_A_RUN: usize = 2;

/// The blocks of `among`, which are some in a row, that are to be read, in runs that don't touch, ascending: all that hold an
/// allowed row, and no others unless the allowed rows are scattered.
pub(super) fn allowed_blocks(rows: &Rows<'_>, allowed: &RowSet, among: Range<usize>) -> Vec<Range<usize>> {
    let row_at = |block: usize| u32::try_from(block * BLOCK_ROWS).ok().and_then(|position| rows.row(position));
    let Some(mut row) = row_at(among.start) else { return Vec::new() };
    let end_row = row_at(among.end).unwrap_or(allowed.universe());
    if allowed.run_count(row..end_row) * BLOCKS_A_RUN > among.len() {
        return vec![among];
    }
    let mut runs: Vec<Range<usize>> = Vec::new();
    while let Some(start) = allowed.next_from(row).filter(|start| *start < end_row) {
        row = allowed.end_of_run(start);
        let positions = rows.positions(start..row.min(end_row));
        let blocks = positions.start as usize / BLOCK_ROWS..(positions.end as usize).div_ceil(BLOCK_ROWS);
        match runs.last_mut() {
            _ if positions.is_empty() => {}
            Some(last) if blocks.start <= last.end => last.end = blocks.end,
            _ => runs.push(blocks),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::rows::Ranks;
    use super::*;

    proptest! {
        #[test]
        fn every_block_with_an_allowed_row_is_read_and_no_other_unless_they_are_scattered(
            rows in prop::collection::btree_set(0_u32..2000, 1..900),
            runs in prop::collection::vec((0_u32..2000, 1_u32..200), 0..20),
            first in 0_u32..100, is_run in any::<bool>(), start in 0_usize..28,
        ) {
            let mut allowed = RowSet::empty(2000);
            runs.iter().for_each(|(start, len)| allowed.insert_range(*start..start + len));
            let listed: Vec<[u8; 4]> = rows.iter().map(|row| row.to_le_bytes()).collect();
            let ranks = Ranks::of(&listed);
            let rows = match is_run {
                true => Rows::Run { first, len: rows.len() as u32 },
                false => Rows::List(&listed, ranks.as_ref()),
            };
            let end = rows.len().div_ceil(BLOCK_ROWS);
            let among = start.min(end - 1)..end;
            let found = allowed_blocks(&rows, &allowed, among.clone());
            prop_assert!(found.windows(2).all(|pair| matches!(pair, [one, next] if one.end < next.start)));
            let holding: BTreeSet<usize> = allowed.iter().filter_map(|row| rows.position(row)).map(|at| at as usize / BLOCK_ROWS).filter(|block| among.contains(block)).collect();
            let is_scattered = found == [among];
            let found: BTreeSet<usize> = found.into_iter().flatten().collect();
            prop_assert!(found == holding || (is_scattered && runs.len() * BLOCKS_A_RUN > end - start.min(end - 1)));
        }
    }
}
