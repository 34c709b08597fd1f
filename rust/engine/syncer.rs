//! Syncs the log in the background for `Durability::Group`.
//!
//! A sync that fails marks the log, so that the next write reports it; nobody else has to be told.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::options::{GROUP_INTERVAL, GROUP_LAG};
use crate::storage::log::Log;

pub(crate) struct Syncer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// What writers hand to the thread that syncs.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pending: Option<Pending>,
    /// Since when the first record of a running sync has waited.
    running: Option<Instant>,
    stopping: bool,
}

/// Records that are to be synced.
struct Pending {
    log: Arc<Log>,
    /// Of the last record.
    sequence: u64,
    /// Since when the first record has waited.
    since: Instant,
}

impl Syncer {
    pub(crate) fn start() -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let of_thread = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("pixr-sync".to_owned())
            .spawn(move || run(&of_thread))
            .map_err(|error| Error::io("pixr-sync", "start a thread for", error))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Says that the log has records up to `sequence` that are not synced. Waits only where the disk has fallen behind.
    pub(crate) fn note(&self, log: &Arc<Log>, sequence: u64) -> Result<()> {
        let now = Instant::now();
        let waiting_since = {
            let mut state = self.queue.state.lock();
            // A later log starts only when the one before is synced, so what waited there is done.
            let since = match &state.pending {
                Some(pending) if pending.log.number() == log.number() => pending.since,
                _ => now,
            };
            state.pending = Some(Pending { log: Arc::clone(log), sequence, since });
            state.running.unwrap_or(since).min(since)
        };
        self.queue.changed.notify_one();
        if now.duration_since(waiting_since) > GROUP_LAG {
            return log.sync_up_to(sequence);
        }
        Ok(())
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.queue.state.lock().stopping = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(queue: &Queue) {
    let mut state = queue.state.lock();
    loop {
        while state.pending.is_none() && !state.stopping {
            queue.changed.wait(&mut state);
        }
        if !state.stopping {
            // Others gather meanwhile; stopping cuts it short.
            let deadline = Instant::now() + GROUP_INTERVAL;
            while !state.stopping && !queue.changed.wait_until(&mut state, deadline).timed_out() {}
        }
        match state.pending.take() {
            Some(Pending { log, sequence, since }) => {
                state.running = Some(since);
                parking_lot::MutexGuard::unlocked(&mut state, || {
                    // The log remembers a failure.
                    let _ = log.sync_up_to(sequence);
                });
                state.running = None;
            }
            None if state.stopping => return,
            None => {}
        }
    }
}
