//! Does the same with every one of a list, on all cores or on the caller's alone.
//!
//! Waking other threads costs tens of microseconds each time, and more where a model's threads spin on the other cores,
//! as an encoder's do just after it made the query. So a small library is searched on one thread, as is any where there are
//! no other threads.

use rayon::prelude::*;

use crate::error::Result;
use crate::snapshot::Snapshot;

/// Up to so many rows one thread does all.
const SERIAL_ROWS: u64 = 4096;

/// How work on a snapshot is spread.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    is_parallel: bool,
}

impl Spread {
    pub(super) fn over(snapshot: &Snapshot) -> Self {
        Self { is_parallel: snapshot.row_count() > SERIAL_ROWS && rayon::current_num_threads() > 1 }
    }

    /// What `work` makes of each, in order; the first error if there is one. A task takes at least `least` of them.
    pub(super) fn map<T: Sync, R: Send>(
        self,
        items: &[T],
        least: usize,
        work: impl Fn(usize, &T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        if self.is_parallel {
            items.par_iter().enumerate().with_min_len(least).map(|(at, item)| work(at, item)).collect()
        } else {
            items.iter().enumerate().map(|(at, item)| work(at, item)).collect()
        }
    }
}
