//! Does the same work for every item of a list, on all cores or on the caller's thread alone.
//!
//! Waking other threads costs tens of microseconds each time, and more while a model's threads spin on the other cores, as
//! an encoder's do just after it encoded the query. So a small library is searched on one thread.

use crate::cores;
use crate::error::Result;
use crate::snapshot::Snapshot;

/// A snapshot of at most this many rows is searched on one thread.
const SERIAL_ROWS: u64 = 4096;

/// The least number of videos that are worth a task of their own, where each is scored.
pub(super) const VIDEOS_A_TASK: usize = 16;

/// Whether work on a snapshot is worth spreading over threads.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    is_worth_it: bool,
}

impl Spread {
    pub(super) fn over(snapshot: &Snapshot) -> Self {
        Self { is_worth_it: snapshot.row_count() > SERIAL_ROWS }
    }

    /// Carries out a whole search, on all cores where they are free and it is worth it.
    pub(super) fn search<R: Send>(self, search: impl FnOnce() -> R + Send) -> R {
        cores::share(self.is_worth_it, search)
    }

    /// What `work` makes of each item, in order; the first error if there is one. A thread takes `together`
    /// items at a time.
    pub(super) fn map<T: Sync, R: Send>(
        self,
        items: &[T],
        together: usize,
        work: impl Fn(usize, &T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        self.map_with(items, together, || (), |(), at, item| work(at, item))
    }

    /// The same with what `room` makes, once for each thread.
    pub(super) fn map_with<T: Sync, R: Send, S>(
        self,
        items: &[T],
        together: usize,
        room: impl Fn() -> S + Sync + Send,
        work: impl Fn(&mut S, usize, &T) -> Result<R> + Sync + Send,
    ) -> Result<Vec<R>> {
        let together = if self.is_worth_it { together } else { items.len() };
        cores::map_with(items, together, room, work)
    }
}
