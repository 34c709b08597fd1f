//! Bytes of one section of a file, with checksums that are verified at first touch.
//!
//! A section is a run of bytes, mapped or in memory, cut into blocks of `BLOCK_BYTES`. Each block's CRC-32C is checked
//! once, when the block is first asked for; a flipped byte is an error that names the file, never a wrong answer.

use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Bytes that one checksum covers.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// Anything that owns bytes which never change and never move: a mapping or a vector.
pub trait ByteOwner: Deref<Target = [u8]> + Send + Sync + 'static {}
impl<T: Deref<Target = [u8]> + Send + Sync + 'static> ByteOwner for T {}

/// A shared, immutable run of bytes with a checksum for each block.
#[derive(Clone)]
pub struct Section {
    owner: Arc<dyn ByteOwner>,
    range: Range<usize>,
    checks: Option<Arc<Checks>>,
}

struct Checks {
    path: PathBuf,
    name: String,
    expected: Vec<u32>,
    verified: Vec<AtomicU64>,
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("byte_len", &self.range.len()).finish_non_exhaustive()
    }
}

impl Section {
    /// Bytes that were just made in this process and need no check.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { owner: Arc::new(bytes), range, checks: None }
    }

    /// All bytes of `owner`, which were made in this process and need no check.
    #[must_use]
    pub fn trusted(owner: Arc<dyn ByteOwner>) -> Self {
        let range = 0..owner.len();
        Self { owner, range, checks: None }
    }

    /// Bytes `range` of `owner`, whose blocks have the checksums `expected`.
    ///
    /// # Errors
    /// `damaged` if the range lies outside the bytes or the number of checksums does not fit.
    pub fn checked(
        owner: Arc<dyn ByteOwner>,
        range: Range<usize>,
        expected: Vec<u32>,
        path: &Path,
        name: &str,
    ) -> Result<Self> {
        if range.start > range.end || range.end > owner.len() {
            return Err(Error::damaged(
                path,
                format!("section {name} lies at {range:?} of a file of {} bytes", owner.len()),
            ));
        }
        let blocks = range.len().div_ceil(BLOCK_BYTES);
        if expected.len() != blocks {
            return Err(Error::damaged(
                path,
                format!("section {name} has {} checksums, expected {blocks}", expected.len()),
            ));
        }
        let verified = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let checks = Checks { path: path.to_owned(), name: name.to_owned(), expected, verified };
        Ok(Self { owner, range, checks: Some(Arc::new(checks)) })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The file that the bytes come from, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.checks.as_ref().map_or_else(|| PathBuf::from("(memory)"), |checks| checks.path.clone())
    }

    /// All bytes, every block verified.
    pub fn all(&self) -> Result<&[u8]> {
        self.slice(0..self.len())
    }

    /// Bytes `range`, every touched block verified.
    ///
    /// # Errors
    /// `damaged` if a block's checksum differs or the range is outside the section.
    pub fn slice(&self, range: Range<usize>) -> Result<&[u8]> {
        if range.start > range.end || range.end > self.len() {
            return Err(Error::damaged(
                self.path(),
                format!("asked for bytes {range:?} of a section of {}", self.len()),
            ));
        }
        if let Some(checks) = &self.checks
            && !range.is_empty()
        {
            for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
                self.verify_block(checks, block)?;
            }
        }
        self.raw().get(range).ok_or_else(|| Error::damaged(self.path(), "the section shrank"))
    }

    /// Verifies every block again, whether or not it was touched before.
    pub fn verify(&self) -> Result<()> {
        if let Some(checks) = &self.checks {
            for word in &checks.verified {
                word.store(0, Ordering::Relaxed);
            }
        }
        self.all().map(|_| ())
    }

    fn raw(&self) -> &[u8] {
        self.owner.get(self.range.clone()).unwrap_or_default()
    }

    fn verify_block(&self, checks: &Checks, block: usize) -> Result<()> {
        let (Some(word), Some(&expected)) = (checks.verified.get(block / 64), checks.expected.get(block)) else {
            return Err(Error::damaged(&checks.path, format!("section {} has no block {block}", checks.name)));
        };
        let bit = 1_u64 << (block % 64);
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let start = block * BLOCK_BYTES;
        let bytes = self.raw().get(start..(start + BLOCK_BYTES).min(self.len())).unwrap_or_default();
        let got = crc32c::crc32c(bytes);
        if got != expected {
            return Err(Error::damaged(
                &checks.path,
                format!("section {}, block {block}: checksum {got:08x}, expected {expected:08x}", checks.name),
            ));
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }
}

/// The checksum of every block of `bytes`, in order.
#[must_use]
pub fn block_checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect()
}

/// Named sections that a builder makes and a part file keeps.
pub type SectionBytes = Vec<(String, Vec<u8>)>;

/// Where a reader finds its sections by name.
pub trait Sections {
    /// The section called `name`, if there is one.
    fn get(&self, name: &str) -> Option<Section>;
}

impl Sections for std::collections::BTreeMap<String, Section> {
    fn get(&self, name: &str) -> Option<Section> {
        std::collections::BTreeMap::get(self, name).cloned()
    }
}
