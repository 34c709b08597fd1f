//! Shares the cores of the machine among searches.
//!
//! A search that is alone is spread over all of them. It runs on a thread of rayon's pool, where a piece of work is handed to another
//! thread for little; from any other thread each loop would be handed over whole, and its end waited for. Its loops take tens to
//! hundreds of microseconds, and to wake a thread takes tens; so while it runs the others stay awake from one loop to the next, and
//! its own thread waits awake for the end of a loop (`AWAKE`).
//!
//! Searches that come meanwhile stay on the threads of their callers: handed to the pool as well, they would be taken up in the
//! middle of the first one, by a thread that waits for a piece of it, and hold that up until they ended.
//!
//! A fork of a process gets a copy of the pool without its threads, where work waits for ever. So each process has a pool of its own,
//! and nothing is left to rayon's global one.
//!
//! Answers don't depend on any of this.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuildError, Yield};

use crate::error::Result;

static SEARCHES: Searches = Searches::new();

/// A thread without work stays awake for as long within a search: rayon's own sleep after some fifteen microseconds.
const AWAKE: Duration = Duration::from_micros(100);
/// Threads at most that stay awake between loops, the searcher among them: each asks all others for work all the time.
const MOST_AWAKE: usize = 8;

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
        let _ends = Defer(|| _ = self.under_way.fetch_sub(1, Ordering::Relaxed));
        if is_alone && is_worth_spreading && pool().is_some_and(|pool| pool.current_num_threads() > 1) {
            on_pool(|| awake(search))
        } else {
            search()
        }
    }
}

/// Carries out a search that asks for the other threads of this one's pool often, while which they stay awake.
///
/// They are not waited for: one may have found other work meanwhile, as building a part is.
pub(crate) fn awake<R>(search: impl FnOnce() -> R) -> R {
    let Some(searcher) = rayon::current_thread_index() else { return search() };
    let has_ended = Arc::new(AtomicBool::new(false));
    for _ in 1..rayon::current_num_threads().min(MOST_AWAKE) {
        let has_ended = Arc::clone(&has_ended);
        rayon::spawn(move || {
            // The searcher comes here where it waits for the end of a loop, and nobody else was awake to take this.
            if rayon::current_thread_index() != Some(searcher) {
                help_until(|| has_ended.load(Ordering::Relaxed));
            }
        });
    }
    let _ends = Defer(|| has_ended.store(true, Ordering::Relaxed));
    search()
}

/// Does what other threads of the pool ask for, until `has_ended` or for as long there was nothing to do.
fn help_until(has_ended: impl Fn() -> bool) {
    let mut idle_since = Instant::now();
    while !has_ended() {
        match rayon::yield_now() {
            Some(Yield::Executed) => idle_since = Instant::now(),
            Some(Yield::Idle) if idle_since.elapsed() < AWAKE => thread::yield_now(),
            _ => return,
        }
    }
}

/// Is called when it is dropped, also by a panic.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What `work` makes of each item, in order; the first error if there is one. Spread over the cores where this thread's search is:
/// each thread takes the next `together` items.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    together: usize,
    work: impl Fn(usize, &T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    map_with(items, together, || (), |(), at, item| work(at, item))
}

/// The same with what `room` makes, once for each thread.
pub(crate) fn map_with<T: Sync, R: Send, S>(
    items: &[T],
    together: usize,
    room: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, &T) -> Result<R> + Sync + Send,
) -> Result<Vec<R>> {
    let together = together.max(1);
    let caller = rayon::current_thread_index();
    let threads = match caller {
        Some(_) => rayon::current_num_threads().min(items.len().div_ceil(together)),
        None => 1,
    };
    if threads <= 1 {
        let mut room = room();
        return items.iter().enumerate().map(|(at, item)| work(&mut room, at, item)).collect();
    }
    let (next, begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let take = || {
        begun.fetch_add(1, Ordering::SeqCst);
        let ends = Defer(|| _ = ended.fetch_add(1, Ordering::SeqCst));
        let mut room = room();
        let mut made = Vec::new();
        'taking: loop {
            let from = next.fetch_add(together, Ordering::Relaxed);
            let Some(taken) = items.get(from..items.len().min(from.saturating_add(together))) else { break };
            for (at, item) in (from..).zip(taken) {
                let of_item = work(&mut room, at, item);
                let has_failed = of_item.is_err();
                made.push((at, of_item));
                if has_failed {
                    break 'taking;
                }
            }
        }
        drop(ends);
        // The others are free for other work, which the caller would have to wait for.
        if rayon::current_thread_index() == caller {
            help_until(|| begun.load(Ordering::SeqCst) == ended.load(Ordering::SeqCst));
        }
        made
    };
    let mut made = on_threads(threads, &take);
    made.sort_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, of_item)| of_item).collect()
}

/// All that `take` gives on so many threads, or on fewer where the others come too late.
fn on_threads<T: Send>(threads: usize, take: &(impl Fn() -> Vec<T> + Sync)) -> Vec<T> {
    if threads <= 1 {
        return take();
    }
    let (mut all, others) = rayon::join(|| on_threads(threads / 2, take), || on_threads(threads - threads / 2, take));
    all.extend(others);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

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

    #[test]
    fn loops_give_all_in_order_or_the_first_error_on_any_number_of_threads() {
        let items: Vec<usize> = (0..1000).collect();
        let nested = |at: usize| map(&items, 7, |_, item| Ok(item * at)).map(|all| all.iter().sum::<usize>());
        let failing = |_, &item: &usize| match item {
            400 | 700 => Err(Error::DimensionMismatch { what: String::new(), expected: 0, got: item }),
            _ => Ok(item),
        };
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                awake(|| {
                    for together in [0, 1, 3, 999, 1000, 5000] {
                        assert_eq!(
                            map(&items, together, |at, item| Ok((at, *item))).expect("all"),
                            items.iter().map(|&item| (item, item)).collect::<Vec<_>>()
                        );
                        assert!(matches!(
                            map(&items, together, failing),
                            Err(Error::DimensionMismatch { got: 400, .. })
                        ));
                    }
                    assert_eq!(map::<usize, usize>(&[], 1, |_, _| Ok(0)).expect("none"), Vec::<usize>::new());
                    let sums = map(&[1, 2, 3], 1, |_, &at| nested(at)).expect("all");
                    assert_eq!(sums, [499_500, 999_000, 1_498_500]);
                });
                let panics =
                    || map(&items, 1, |at, _| if at == 400 { std::panic::resume_unwind(Box::new(())) } else { Ok(at) });
                assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| awake(panics))).is_err());
            });
        }
    }
}
