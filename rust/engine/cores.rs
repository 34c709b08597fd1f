//! Shares the cores of the machine among searches.
//!
//! A search that is alone is spread over all of them. It runs on a thread of rayon's pool, where a piece of work is handed to another
//! thread for little; from any other thread each loop would be handed over whole, and its end waited for. Searches that come
//! meanwhile stay on the threads of their callers: handed to the pool as well, they would be taken up in the middle of the first
//! one, by a thread that waits for a piece of it, and hold that up until they ended.
//!
//! A fork of a process gets a copy of the pool without its threads, where work waits for ever. So each process has a pool of its own,
//! and nothing is left to rayon's global one.
//!
//! Answers don't depend on any of this.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError};

use crate::error::Result;

static SEARCHES: Searches = Searches::new();

/// The pool of this process, made when it is first needed; none if the system gives no threads.
fn pool() -> Option<&'static ThreadPool> {
    static FIRST: OnceLock<(u32, Option<ThreadPool>)> = OnceLock::new();
    static OF_FORK: Mutex<Option<(u32, Option<&'static ThreadPool>)>> = Mutex::new(None);
    let here = process::id();
    let (first, pool) = FIRST.get_or_init(|| (here, new_pool("search").ok()));
    if *first == here {
        return pool.as_ref();
    }
    let mut of_fork = OF_FORK.lock();
    match *of_fork {
        Some((process, pool)) if process == here => pool,
        _ => {
            // Never dropped: that would wait for the threads to end, which a fork of this one doesn't have.
            let pool = new_pool("search").ok().map(|pool| &*Box::leak(Box::new(pool)));
            *of_fork = Some((here, pool));
            pool
        }
    }
}

/// A pool with a thread for each core, which are called after what they are for.
pub(crate) fn new_pool(purpose: &'static str) -> std::result::Result<ThreadPool, ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().thread_name(move |thread| format!("pixr-{purpose}-{thread}")).build()
}

/// Carries out work whose loops are rayon's, on the pool of this process unless this thread is one of a pool already.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) if rayon::current_thread_index().is_none() => pool.install(work),
        _ => work(),
    }
}

/// Carries out a search, on all cores if no other is under way and its loops are worth it, else on this thread.
pub(crate) fn share<R: Send>(is_worth_spreading: bool, search: impl FnOnce() -> R + Send) -> R {
    SEARCHES.share(is_worth_spreading, search)
}

/// Counts those that are under way.
struct Searches {
    under_way: AtomicUsize,
}

impl Searches {
    const fn new() -> Self {
        Self { under_way: AtomicUsize::new(0) }
    }

    fn share<R: Send>(&self, is_worth_spreading: bool, search: impl FnOnce() -> R + Send) -> R {
        let is_alone = self.under_way.fetch_add(1, Ordering::Relaxed) == 0;
        let _ends = Ends(self);
        if is_alone && is_worth_spreading && pool().is_some_and(|pool| pool.current_num_threads() > 1) {
            on_pool(search)
        } else {
            search()
        }
    }
}

/// A search that ends when this is dropped, also by a panic.
struct Ends<'a>(&'a Searches);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `work` makes of each item, in order; the first error if there is one. Spread over the cores where this thread's search is,
/// so that a thread takes at least `least_together` items at a time.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    least_together: usize,
    work: impl Fn(usize, &T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    map_with(items, least_together, || (), |(), at, item| work(at, item))
}

/// The same with what `room` makes, once for the items that a thread takes one after the other.
pub(crate) fn map_with<T: Sync, R: Send, S>(
    items: &[T],
    least_together: usize,
    room: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, &T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let is_spread = rayon::current_thread_index().is_some();
    if is_spread {
        let items = items.par_iter().enumerate().with_min_len(least_together);
        items.map_init(room, |room, (at, item)| work(room, at, item)).collect()
    } else {
        let mut room = room();
        items.iter().enumerate().map(|(at, item)| work(&mut room, at, item)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_spread_only_while_it_is_alone() {
        let searches = Searches::new();
        let is_spread = || rayon::current_thread_index().is_some();
        let meanwhile = || std::thread::scope(|scope| scope.spawn(|| searches.share(true, is_spread)).join().ok());
        let has_others = pool().is_some_and(|pool| pool.current_num_threads() > 1);
        for _ in 0..2 {
            let both = searches.share(true, || (is_spread(), meanwhile()));
            assert_eq!(both, (has_others, Some(false)));
        }
        assert!(!searches.share(false, is_spread));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            searches.share(true, || std::panic::resume_unwind(Box::new(())));
        }));
        assert!(panicked.is_err());
        assert_eq!(searches.share(true, is_spread), has_others);
    }
}
