//! Which blocks of a section were verified: a bit for each, set after the block's checksum was right.
//!
//! A bit is never taken back, and none is lost where two threads set bits of one word at once. Nothing has to be seen
//! together with a bit, for the bytes of a section never change: a thread that does not see it yet verifies the block
//! again, which costs time and changes nothing.

use crate::sync::{AtomicU8, AtomicU64, Ordering};

/// A set of blocks that threads add to without a lock.
pub(crate) struct Verified {
    blocks: usize,
    words: Vec<AtomicU64>,
    /// Not 0 once all were found to be there.
    whole: AtomicU8,
}

impl Verified {
    /// None of so many blocks.
    pub(crate) fn none_of(blocks: usize) -> Self {
        let words = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { blocks, words, whole: AtomicU8::new(0) }
    }

    /// Whether all blocks were found to be there.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed) != 0
    }

    /// Looks whether all blocks are there, and takes note of it.
    pub(crate) fn find_whole(&self) -> bool {
        let is_whole = self.is_whole() || (0..self.blocks).all(|block| self.contains(block));
        if is_whole {
            self.whole.store(1, Ordering::Relaxed);
        }
        is_whole
    }

    #[inline]
    pub(crate) fn contains(&self, block: usize) -> bool {
        let word = self.words.get(block / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (block % 64)) != 0)
    }

    /// Adds a block of those that there are.
    pub(crate) fn insert(&self, block: usize) {
        if let Some(word) = self.words.get(block / 64) {
            word.fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
    }
}
