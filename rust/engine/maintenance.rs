//! One background thread for each library: it writes memory into parts when there is enough of it, merges small parts, and
//! lets go of snapshots that no cursor has asked for in a while.
//!
//! A failure in the background loses nothing, because the log has everything, and does not make a write fail that was
//! stored: `info` reports it, and it is tried again. Only where memory, log or parts have grown to twice their limits does a
//! writer do the work itself before it writes; then a failure is the writer's own, and nothing of its write is stored.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::Scope;
use crate::error::{Error, Result};
use crate::merge::worth_merging;
use crate::part::Home;
use crate::shared::Shared;

/// A writer waits for the background where memory, log or parts have grown to this many times their limits.
const BACKPRESSURE: f64 = 2.0;
/// How often kept snapshots are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How long the background waits after a failure before it tries again, since building a part is work.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) struct Maintenance {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let weak = Arc::downgrade(shared);
        let thread = std::thread::Builder::new()
            .name("pixr-maintenance".to_owned())
            .spawn(move || run(&woken, &weak))
            .map_err(|error| Error::io(shared.storage.root(), "start a thread for", error))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Called before each write: waits where far too much is in memory, log or parts.
    ///
    /// # Errors
    /// As a checkpoint: there is no room, and none can be made.
    pub(crate) fn make_room(&self, shared: &Shared) -> Result<()> {
        let is_full = || fullness(shared) >= BACKPRESSURE;
        let has_many_parts = || part_share(shared) >= BACKPRESSURE;
        if !is_full() && !has_many_parts() {
            return Ok(());
        }
        // What the background is doing just now may be enough.
        drop(shared.checkpoint.lock());
        if is_full() {
            shared.checkpoint(Scope::Memory)?;
        }
        if has_many_parts() {
            shared.checkpoint(Scope::Merge)?;
        }
        Ok(())
    }

    /// Called after each write: starts work that is due. Merging by itself is not due before memory or log are full: a
    /// small library would be rewritten by every write.
    pub(crate) fn wake(&self, shared: &Shared) {
        if fullness(shared) >= 1.0 || part_share(shared) > 1.0 {
            self.wake_now();
        }
    }

    /// Called after a commit, which may have made the part that completes a merge.
    pub(crate) fn wake_to_merge(&self, shared: &Shared) {
        if merge_is_due(shared) {
            self.wake_now();
        }
    }

    fn wake_now(&self) {
        if let Some(wake) = &self.wake {
            // A full channel means that the thread is already due to look.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(woken: &Receiver<()>, shared: &Weak<Shared>) {
    let mut failed: Option<Instant> = None;
    let mut swept = Instant::now();
    loop {
        let interval = if failed.is_some() { RETRY_INTERVAL } else { SWEEP_INTERVAL };
        let is_woken = match woken.recv_timeout(interval) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        if swept.elapsed() >= SWEEP_INTERVAL {
            let current = Arc::clone(&shared.snapshot.read());
            shared.retention.sweep(&current);
            swept = Instant::now();
        }
        let is_due = failed.map_or(is_woken, |since| since.elapsed() >= RETRY_INTERVAL);
        if is_due {
            let outcome = work_off(&shared);
            failed = outcome.is_err().then(Instant::now);
            *shared.background_failure.lock() = outcome.err().map(|error| error.to_string());
        }
    }
}

/// Does what is due, until nothing is.
fn work_off(shared: &Shared) -> Result<()> {
    if fullness(shared) >= 1.0 {
        shared.checkpoint(Scope::Memory)?;
    }
    while merge_is_due(shared) {
        shared.checkpoint(Scope::Merge)?;
    }
    Ok(())
}

/// How full memory and logs are, whichever is fuller; 1 is the limit.
fn fullness(shared: &Shared) -> f64 {
    let snapshot = Arc::clone(&shared.snapshot.read());
    let limits = &shared.options.limits;
    let in_memory = snapshot.parts.iter().filter(|part| part.home == Home::Memory);
    let memory: u64 = in_memory.map(|part| part.part.byte_len()).sum();
    let log_bytes = shared.writer.lock().as_ref().map_or(0, crate::writer::Writer::log_bytes);
    share(memory, limits.writer_memory).max(share(log_bytes, limits.log_bytes))
}

/// How many parts there are, compared with the limit; 1 is the limit.
fn part_share(shared: &Shared) -> f64 {
    share(shared.snapshot.read().parts.len() as u64, shared.options.limits.parts as u64)
}

fn merge_is_due(shared: &Shared) -> bool {
    let snapshot = Arc::clone(&shared.snapshot.read());
    !worth_merging(&snapshot.parts, shared.options.limits.parts).is_empty()
}

fn share(used: u64, limit: u64) -> f64 {
    used as f64 / limit.max(1) as f64
}
