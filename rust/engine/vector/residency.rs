//! Where a graph of a file is on its way into memory, and so whether it may be walked.
//!
//! ```text
//! unasked ─▶ asking ─────▶ held ─▶ reading ─▶ read
//!               ▼           ▲ └────────────────▲     all of its blocks were verified before: there is nothing to read
//!            refused ─▶ asking again
//!               ▲───────────┘
//! ```
//!
//! Threads share it without a lock. Whatever they do at once, one at a time asks for the bytes, so that none is refused for
//! bytes that the same graph is given twice; one reads, and once; and the bytes are held until both the graph is closed and
//! its reading has ended. `tests/loom` tries it.

use std::sync::{Arc, OnceLock};

use super::graph_memory::{GraphMemory, Taken};
use crate::sync::{AtomicU8, Ordering};

const UNASKED: u8 = 0;
const ASKING: u8 = 1;
const REFUSED: u8 = 2;
const ASKING_AGAIN: u8 = 3;
/// From here on it has its bytes.
const HELD: u8 = 4;
const READING: u8 = 5;
const READ: u8 = 6;

/// Whether a graph has its bytes of an allowance, and was read.
#[derive(Debug)]
pub(crate) struct Residency {
    state: AtomicU8,
    /// Set by the thread that was asking, and not looked at before it is dropped.
    taken: OnceLock<Taken>,
}

/// The one reading of a graph. However it ends, the graph may be walked then.
#[derive(Debug)]
pub(crate) struct Reading(Arc<Residency>);

impl Residency {
    /// Of a graph that has not asked for its bytes.
    pub(crate) fn of_file() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(UNASKED), taken: OnceLock::new() })
    }

    /// Of a graph that was made in this process.
    pub(crate) fn in_memory() -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(READ), taken: OnceLock::new() })
    }

    /// Whether a graph of so many bytes may be walked: once it got them of `memory` and was read, or `is_verified` says that
    /// it was anyway. Who is told so finds verified what was read.
    pub(crate) fn is_ready(&self, memory: &Arc<GraphMemory>, bytes: u64, is_verified: impl FnOnce() -> bool) -> bool {
        match self.state.load(Ordering::Acquire) {
            READ => true,
            READING => false,
            _ => {
                let is_read = self.hold(memory, bytes) && is_verified();
                is_read && self.change(HELD, READ, Ordering::Release).unwrap_or_else(|state| state == READ)
            }
        }
    }

    /// Whether the bytes were refused when they were last asked for.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), REFUSED | ASKING_AGAIN)
    }

    /// The reading of the graph, for the first who asks once it has its bytes.
    pub(crate) fn begin_reading(self: &Arc<Self>, memory: &Arc<GraphMemory>, bytes: u64) -> Option<Reading> {
        let begins = self.state.load(Ordering::Relaxed) <= HELD
            && self.hold(memory, bytes)
            && self.change(HELD, READING, Ordering::Relaxed).is_ok();
        begins.then(|| Reading(Arc::clone(self)))
    }

    /// Whether it has its bytes. Asks for them if not, unless another thread is asking.
    fn hold(&self, memory: &Arc<GraphMemory>, bytes: u64) -> bool {
        let before = self.state.load(Ordering::Relaxed);
        let during = match before {
            UNASKED => ASKING,
            REFUSED => ASKING_AGAIN,
            state => return state >= HELD,
        };
        if let Err(state) = self.change(before, during, Ordering::Relaxed) {
            return state >= HELD;
        }
        let is_held = memory.take(bytes).is_some_and(|taken| self.taken.set(taken).is_ok());
        self.state.store(if is_held { HELD } else { REFUSED }, Ordering::Relaxed);
        is_held
    }

    /// Goes on from one state to another; otherwise the state that it is in.
    fn change(&self, from: u8, to: u8, order: Ordering) -> Result<bool, u8> {
        self.state.compare_exchange(from, to, order, Ordering::Relaxed).map(|_| true)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.state.store(READ, Ordering::Release);
    }
}
