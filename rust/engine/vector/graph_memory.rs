//! How many bytes of graphs are walked.
//!
//! A walk reads a graph here and there, so it is fast in memory and waits for a disk at every step. Graphs therefore take
//! their bytes out of an allowance before they are first walked, and give them back when they are closed; one that does
//! not get them is not walked, and the 1-bit codes, a sixth of it and read in a row, are scanned instead.
//!
//! What is taken together is never more than the allowance, and comes back once.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// An allowance of bytes for graphs.
#[derive(Debug)]
pub struct GraphMemory {
    bytes: u64,
    taken: AtomicU64,
}

/// Bytes that a graph took; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    memory: Arc<GraphMemory>,
    bytes: u64,
}

impl GraphMemory {
    /// An allowance of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { bytes, taken: AtomicU64::new(0) })
    }

    /// Takes bytes, if so many are left.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|&taken| taken <= self.bytes);
        let done = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        done.is_ok().then(|| Taken { memory: Arc::clone(self), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_while_they_last_and_come_back() {
        let memory = GraphMemory::new(100);
        let first = memory.take(60);
        assert!(first.is_some() && memory.take(41).is_none());
        assert!(memory.take(40).is_some_and(|second| memory.take(1).is_none() && second.bytes == 40));
        drop(first);
        assert!(memory.take(100).is_some() && memory.take(u64::MAX).is_none());
    }
}
