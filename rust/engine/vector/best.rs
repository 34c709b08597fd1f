//! The k best rows of a stream.

use std::cmp::Ordering;

/// Score descending, then row ascending: the order of every answer.
pub(super) fn by_score(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Keeps the k best of what is pushed, in amortised constant time each.
#[derive(Debug)]
pub(super) struct Best {
    k: usize,
    entries: Vec<(u32, f32)>,
    /// Lowest score that can still matter.
    bar: f32,
}

impl Best {
    pub(super) fn new(k: usize) -> Self {
        Self { k, entries: Vec::new(), bar: f32::NEG_INFINITY }
    }

    /// Takes a row; a score that is not a number is no score.
    #[inline]
    pub(super) fn push(&mut self, row: u32, score: f32) {
        if score >= self.bar {
            self.entries.push((row, score));
            if self.entries.len() >= 2 * self.k + 64 {
                self.shrink();
            }
        }
    }

    /// The k-th best score so far, or minus infinity while there are fewer.
    pub(super) fn bar(&mut self) -> f32 {
        self.shrink();
        self.bar
    }

    fn shrink(&mut self) {
        if self.k == 0 {
            self.entries.clear();
            self.bar = f32::INFINITY;
        } else if self.entries.len() >= self.k {
            let (_, kth, _) = self.entries.select_nth_unstable_by(self.k - 1, by_score);
            self.bar = kth.1;
            self.entries.truncate(self.k);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (row, score) in other.entries {
            self.push(row, score);
        }
    }

    /// The k best in order.
    pub(super) fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.shrink();
        self.entries.sort_unstable_by(by_score);
        self.entries
    }
}
