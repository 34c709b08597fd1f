//! One background thread a library: writes memory into parts when there is enough of it, merges small parts, and lets go
//! of snapshots that no cursor has asked for in a while.
//!
//! A failure in the background loses nothing, for the log has everything; it is kept and told to the next writer.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::checkpoint::{Scope, worth_merging};
use crate::error::{Error, Result};
use crate::library::Shared;
use crate::part::Home;

/// A writer waits for the background where memory, log or parts have grown to so many times their limits.
const BACKPRESSURE: f64 = 2.0;
/// How often kept snapshots are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct Maintenance {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Maintenance {
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Self> {
        let (wake, woken) = sync_channel(1);
        let failure = Arc::new(Mutex::new(None));
        let (weak, kept) = (Arc::downgrade(shared), Arc::clone(&failure));
        let thread = std::thread::Builder::new()
            .name("pixr-maintenance".to_owned())
            .spawn(move || run(&woken, &weak, &kept))
            .map_err(|error| Error::io(shared.storage.root(), "start a thread for", error))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), failure })
    }

    /// Called after each write: starts work that is due, waits where far too much is, and reports what failed before.
    /// Merging by itself is not due before memory or log are full: a small library would be rewritten by every write.
    pub(crate) fn wake(&self, shared: &Shared) -> Result<()> {
        self.wake_if(shared, false)
    }

    /// Called after a commit, which may have made the part that completes a merge.
    pub(crate) fn wake_to_merge(&self, shared: &Shared) -> Result<()> {
        self.wake_if(shared, true)
    }

    fn wake_if(&self, shared: &Shared, merge: bool) -> Result<()> {
        if let Some(error) = self.failure.lock().take() {
            return Err(error);
        }
        let load = load(shared);
        if load.log_and_memory >= BACKPRESSURE {
            return shared.checkpoint(Scope::Memory);
        }
        if load.parts >= BACKPRESSURE {
            return shared.checkpoint(Scope::Merge);
        }
        if (load.log_and_memory >= 1.0 || load.parts > 1.0 || merge && load.merge_is_due)
            && let Some(wake) = &self.wake
        {
            // A full channel means that the thread is already due to look.
            let _ = wake.try_send(());
        }
        Ok(())
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

fn run(woken: &Receiver<()>, shared: &Weak<Shared>, failure: &Mutex<Option<Error>>) {
    loop {
        let timed_out = match woken.recv_timeout(SWEEP_INTERVAL) {
            Ok(()) => false,
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        if timed_out {
            let current = Arc::clone(&shared.snapshot.read());
            shared.retention.sweep(&current);
            continue;
        }
        if let Err(error) = work_off(&shared) {
            *failure.lock() = Some(error);
        }
    }
}

/// Does what is due, until nothing is.
fn work_off(shared: &Shared) -> Result<()> {
    if load(shared).log_and_memory >= 1.0 {
        shared.checkpoint(Scope::Memory)?;
    }
    while load(shared).merge_is_due {
        shared.checkpoint(Scope::Merge)?;
    }
    Ok(())
}

/// How full the library is; 1 is a limit.
struct Load {
    log_and_memory: f64,
    parts: f64,
    merge_is_due: bool,
}

fn load(shared: &Shared) -> Load {
    let snapshot = Arc::clone(&shared.snapshot.read());
    let limits = &shared.options.limits;
    let in_memory = snapshot.parts.iter().filter(|part| part.home == Home::Memory);
    let memory: u64 = in_memory.map(|part| part.part.byte_len()).sum();
    let log_bytes = shared.writer.lock().as_ref().map_or(0, crate::writer::Writer::log_bytes);
    let share = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
    Load {
        log_and_memory: share(memory, limits.writer_memory).max(share(log_bytes, limits.log_bytes)),
        parts: share(snapshot.parts.len() as u64, limits.parts as u64),
        merge_is_due: !worth_merging(&snapshot, limits.parts).is_empty(),
    }
}
