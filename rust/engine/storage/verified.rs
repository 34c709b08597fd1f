//! Which blocks of a section were verified: a bit for each, set after the block's checksum was right.
//!
//! A bit is never taken back, and none is lost where two threads set bits of one word at once. Nothing else has to become
//! visible together with a bit, since the bytes of a section never change: a thread that does not see it yet verifies the
//! block again, which costs time and changes nothing.

use crate::sync::{AtomicU64, Ordering};

/// A set of blocks that threads add to without a lock.
pub(crate) struct Verified {
    words: Vec<AtomicU64>,
    /// How many blocks are not there yet.
    left: AtomicU64,
}

impl Verified {
    /// No block of `blocks` is verified yet.
    pub(crate) fn none_of(blocks: usize) -> Self {
        let words = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, left: AtomicU64::new(blocks as u64) }
    }

    #[inline]
    pub(crate) fn contains(&self, block: usize) -> bool {
        let word = self.words.get(block / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (block % 64)) != 0)
    }

    /// Whether all blocks are there.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Adds a block of those that there are.
    pub(crate) fn insert(&self, block: usize) {
        let bit = 1 << (block % 64);
        if let Some(word) = self.words.get(block / 64)
            && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
