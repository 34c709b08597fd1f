//! One background thread a library: writes memory into parts when there is enough of it, and merges small parts.
//!
//! A failure in the background loses nothing, for the log has everything; it is kept and told to the next writer.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::checkpoint::{Scope, worth_merging};
use crate::error::{Error, Result};
use crate::library::Shared;
use crate::part::Home;

/// Rows in memory that start a checkpoint.
const MEMORY_ROWS: u64 = 100_000;
/// Bytes of log that start a checkpoint.
const LOG_BYTES: u64 = 128 << 20;
/// A writer waits for the background when memory has grown to so many times the limits.
const BACKPRESSURE: u64 = 4;

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
    pub(crate) fn wake(&self, shared: &Shared) -> Result<()> {
        if let Some(error) = self.failure.lock().take() {
            return Err(error);
        }
        let load = load(shared);
        if load >= BACKPRESSURE as f64 {
            return shared.checkpoint(Scope::Memory);
        }
        if load >= 1.0
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
    while woken.recv().is_ok() {
        let Some(shared) = shared.upgrade() else { return };
        let mut outcome = if load(&shared) >= 1.0 { shared.checkpoint(Scope::Memory) } else { Ok(()) };
        while outcome.is_ok() {
            let due = !worth_merging(&Arc::clone(&shared.snapshot.read())).is_empty();
            if !due {
                break;
            }
            outcome = shared.checkpoint(Scope::Merge);
        }
        if let Err(error) = outcome {
            *failure.lock() = Some(error);
        }
    }
}

/// How full memory and log are: 1 is the limit.
fn load(shared: &Shared) -> f64 {
    let rows: u64 = shared
        .snapshot
        .read()
        .parts
        .iter()
        .filter(|part| part.home == Home::Memory)
        .map(|part| u64::from(part.part.table().row_count()))
        .sum();
    let log_bytes = shared.writer.lock().as_ref().map_or(0, crate::writer::Writer::log_bytes);
    (rows as f64 / MEMORY_ROWS as f64).max(log_bytes as f64 / LOG_BYTES as f64)
}
