//! Which parts are worth merging, so that few have to be opened and searched and deleted videos give their bytes back.
//!
//! Parts belong to size classes by their live rows. Where enough of one class have gathered they become one part, which
//! is then of a higher class: a row is rewritten only a few times, however large the library grows.

use std::collections::BTreeSet;

use crate::part::{Home, LivePart};

/// This many parts of one size class are worth merging.
pub(crate) const MERGE_FAN_IN: usize = 8;
/// The live rows of two parts of one size class differ by less than a factor of two to the power of this.
const SIZE_CLASS_BITS: u32 = 3;
/// Merging makes no part of more rows than this: building one takes memory for all of it.
const MERGE_MAX_ROWS: u32 = 4_000_000;
/// A part of which more than this share is deleted is rewritten.
const MERGE_DEAD_SHARE: f64 = 0.3;

/// The size class of a part with this many live rows.
pub(crate) fn size_class(row_count: u32) -> u32 {
    row_count.max(1).ilog2() / SIZE_CLASS_BITS
}

/// Which of a snapshot's parts on disk to rewrite as one, by their places in it; empty where merging is not worth it.
pub(crate) fn worth_merging(parts: &[LivePart], most_parts: usize) -> BTreeSet<usize> {
    let on_disk = parts.iter().enumerate().filter(|(_, part)| part.home != Home::Memory);
    let files: Vec<OnDisk> = on_disk
        .map(|(index, part)| OnDisk { index, live: part.rows.count(), all: part.part.table().row_count() })
        .collect();
    tiered(files, most_parts)
}

/// A part on disk: its place in the snapshot, and how many rows it has.
struct OnDisk {
    index: usize,
    live: u32,
    all: u32,
}

/// Tiered merging. These are rewritten, the smallest first, as long as the part that they make stays within
/// `MERGE_MAX_ROWS`: parts of which a large share is deleted, and the parts of every size class of which `MERGE_FAN_IN`
/// have gathered. If that is nothing and there are more than `most_parts`, the smallest are merged however large they are.
fn tiered(mut files: Vec<OnDisk>, most_parts: usize) -> BTreeSet<usize> {
    files.sort_unstable_by_key(|file| (file.live, file.index));
    let mut room = MERGE_MAX_ROWS;
    let mut chosen = BTreeSet::new();
    for file in &files {
        let is_dead = f64::from(file.live) < f64::from(file.all) * (1.0 - MERGE_DEAD_SHARE);
        // One alone is rewritten however large it is.
        if is_dead && (chosen.is_empty() || file.live <= room) {
            room = room.saturating_sub(file.live);
            chosen.insert(file.index);
        }
    }
    for class in files.chunk_by(|one, other| size_class(one.live) == size_class(other.live)) {
        if class.len() < MERGE_FAN_IN {
            continue;
        }
        let mut left = room;
        let fitting = class.iter().filter(|file| !chosen.contains(&file.index)).take_while(|file| {
            let fits = file.live <= left;
            left = left.saturating_sub(file.live);
            fits
        });
        let fitting: Vec<&OnDisk> = fitting.collect();
        if fitting.len() + chosen.len() > 1 {
            room -= fitting.iter().map(|file| file.live).sum::<u32>();
            chosen.extend(fitting.into_iter().map(|file| file.index));
        }
    }
    let most_parts = most_parts.max(1);
    if files.len() > most_parts && chosen.len() < 2 {
        let surplus = (files.len() - most_parts).max(MERGE_FAN_IN - 1);
        chosen.extend(files.iter().take(surplus + 1).map(|file| file.index));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(rows: &[(u32, u32)]) -> Vec<OnDisk> {
        rows.iter().enumerate().map(|(index, &(live, all))| OnDisk { index, live, all }).collect()
    }

    fn alive(rows: &[u32]) -> Vec<OnDisk> {
        files(&rows.iter().map(|&rows| (rows, rows)).collect::<Vec<_>>())
    }

    const MANY: usize = 1000;

    #[test]
    fn parts_of_one_size_class_are_merged_once_enough_have_gathered() {
        assert_eq!(tiered(alive(&[600; MERGE_FAN_IN - 1]), MANY), BTreeSet::new());
        assert_eq!(tiered(alive(&[600; MERGE_FAN_IN]), MANY), (0..MERGE_FAN_IN).collect());
    }

    #[test]
    fn no_part_above_the_largest_is_made_unless_there_are_too_many_parts() {
        let half = MERGE_MAX_ROWS / 2;
        assert_eq!(tiered(alive(&[half - 1; 9]), MANY), BTreeSet::from([0, 1]));
        assert_eq!(tiered(alive(&[half + 1; 9]), MANY), BTreeSet::new());
        assert_eq!(tiered(alive(&[half + 1; 9]), 4), (0..9).take(MERGE_FAN_IN).collect());
    }

    #[test]
    fn a_part_of_which_much_is_deleted_is_rewritten() {
        let large = 2 * MERGE_MAX_ROWS;
        assert_eq!(tiered(files(&[(10, 10), (large, large), (60, 100), (71, 100)]), MANY), BTreeSet::from([2]));
        assert_eq!(tiered(files(&[(large, 2 * large)]), MANY), BTreeSet::from([0]));
    }

    proptest! {
        #[test]
        fn merging_ends_and_makes_no_part_above_the_largest(
            rows in prop::collection::vec((0_u32..3_000_000, 0_u32..400_000), 0..60),
        ) {
            let mut rows: Vec<(u32, u32)> = rows.into_iter().map(|(live, dead)| (live, live + dead)).collect();
            for _ in 0..200 {
                let chosen = tiered(files(&rows), MANY);
                if chosen.is_empty() {
                    return Ok(());
                }
                let merged = chosen.iter().filter_map(|&index| rows.get(index)).map(|(live, _)| live).sum::<u32>();
                prop_assert!(merged <= MERGE_MAX_ROWS || chosen.len() == 1);
                let mut index = 0;
                rows.retain(|_| {
                    index += 1;
                    !chosen.contains(&(index - 1))
                });
                rows.push((merged, merged));
            }
            prop_assert!(false, "merging does not end");
        }
    }
}
