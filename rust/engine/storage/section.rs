//! Bytes of one section of a file, with checksums that are verified at first touch.
//!
//! A section is a run of bytes, mapped or in memory, cut into blocks of `BLOCK_BYTES`. Each block's CRC-32C is checked
//! once, when the block is first asked for; a flipped byte is an error that names the file, never a wrong answer.

use std::io;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::verified::Verified;
use crate::error::{Error, Result};

/// Bytes that one checksum covers.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// How many blocks the disk is asked for ahead where bytes seem to be read in a row, since the block before was read.
const BLOCKS_AHEAD: usize = 16;
/// How many blocks of a long run are asked for at a time at most.
const MOST_BLOCKS_ASKED: usize = 128;

/// Anything that owns bytes which never change and never move: a mapping or a vector.
pub trait ByteOwner: Deref<Target = [u8]> + Send + Sync + 'static {
    /// Reads the bytes from `at` on into `room` without the mapping, if there is a file: what is read this way does not stay
    /// resident. `None` where the bytes are in memory anyway.
    fn read_at(&self, at: usize, room: &mut [u8]) -> Option<io::Result<()>> {
        let _ = (at, room);
        None
    }

    /// Hints that the bytes will be read: a disk does better with many requests at once.
    fn expect(&self, range: Range<usize>) {
        let _ = range;
    }

    /// Hints that the bytes will be read here and there from now on, which is quicker in a few large pages than in many
    /// small ones.
    fn expect_everywhere(&self, range: Range<usize>) {
        let _ = range;
    }
}

impl ByteOwner for Vec<u8> {}

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
    verified: Verified,
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
    pub(crate) fn trusted(owner: Arc<dyn ByteOwner>) -> Self {
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
        let verified = Verified::none_of(blocks);
        let checks = Checks { path: path.to_owned(), name: name.to_owned(), expected, verified };
        Ok(Self { owner, range, checks: Some(Arc::new(checks)) })
    }

    /// All bytes of the file or memory that this is a section of, none of them verified.
    pub(crate) fn file(&self) -> &[u8] {
        &self.owner
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
        if let Some(checks) = self.checks.as_ref().filter(|checks| !checks.verified.is_whole()) {
            let wanted = blocks(&range);
            let mut asked = wanted.start;
            for block in wanted.clone() {
                if !checks.verified.contains(block) {
                    if block >= asked {
                        asked = self.ask_ahead(checks, block, wanted.end);
                    }
                    checks.verify(block, self.block(block))?;
                }
            }
        }
        self.raw().get(range).ok_or_else(|| Error::damaged(self.path(), "the section shrank"))
    }

    /// Bytes `range` like [`slice`](Self::slice), for few bytes here and there of a large section: those of a file are read
    /// into `room`, which gets their length, so that nothing of the section becomes resident.
    ///
    /// # Errors
    /// As [`slice`](Self::slice); `io` if the file can't be read.
    pub fn read<'a>(&'a self, range: Range<usize>, room: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        if range.start > range.end || range.end > self.len() {
            return self.slice(range);
        }
        if let Some(checks) = &self.checks {
            for block in blocks(&range).filter(|&block| !checks.verified.contains(block)) {
                let start = block * BLOCK_BYTES;
                room.resize((self.len() - start).min(BLOCK_BYTES), 0);
                match self.owner.read_at(self.range.start + start, room) {
                    Some(done) => done.map_err(|source| Error::io(&checks.path, "read", source))?,
                    None => return self.slice(range),
                }
                checks.verify(block, room)?;
            }
        }
        room.resize(range.len(), 0);
        match self.owner.read_at(self.range.start + range.start, room) {
            Some(done) => done.map(|()| room.as_slice()).map_err(|source| Error::io(self.path(), "read", source)),
            None => self.slice(range),
        }
    }

    /// Where bytes `range` are, in memory or mapped, unverified: for hints, which don't touch them.
    #[must_use]
    pub(crate) fn place_of(&self, range: Range<usize>) -> Option<&[u8]> {
        self.raw().get(range)
    }

    /// Whether the bytes were made in this process.
    #[must_use]
    pub(crate) fn is_in_memory(&self) -> bool {
        self.checks.is_none()
    }

    /// Whether every block has been verified, and so was in memory at least once.
    #[must_use]
    pub(crate) fn is_verified(&self) -> bool {
        self.checks.as_ref().is_none_or(|checks| checks.verified.is_whole())
    }

    /// All bytes, if every block has been verified, so that nothing has to be looked up at each touch.
    #[must_use]
    pub fn settled(&self) -> Option<&[u8]> {
        self.is_verified().then(|| self.raw())
    }

    /// Hints that bytes `range` will be read, where reading them for the first time means reading whole blocks.
    pub fn expect(&self, range: Range<usize>) {
        let Some(checks) = &self.checks else { return };
        let blocks = blocks(&range);
        if range.end <= self.len() && blocks.clone().any(|block| !checks.verified.contains(block)) {
            let end = (blocks.end * BLOCK_BYTES).min(self.len());
            self.owner.expect(self.range.start + blocks.start * BLOCK_BYTES..self.range.start + end);
        }
    }

    /// Reads all bytes in a row, into large pages where the system has them for files. For bytes that will be touched here
    /// and there, where each small page costs a look at the page table.
    ///
    /// # Errors
    /// As [`slice`](Self::slice).
    pub(crate) fn settle(&self) -> Result<()> {
        let Some(checks) = &self.checks else { return Ok(()) };
        self.owner.expect_everywhere(self.range.clone());
        // Not asked for in advance: that brings them in small pages, and what is touched in a row the system reads ahead.
        // Blocks that were verified before are touched too, since their small pages may have been given back.
        for block in 0..checks.expected.len() {
            checks.verify(block, self.block(block))?;
        }
        Ok(())
    }

    /// Like [`expect`](Self::expect), also where the blocks were verified: the system may have given their pages away.
    pub(crate) fn request(&self, range: Range<usize>) {
        if self.checks.is_some() && range.end <= self.len() {
            self.owner.expect(self.range.start + range.start..self.range.start + range.end);
        }
        self.expect(range);
    }

    /// Asks the disk for the blocks from `start` on: by itself the system reads as far around a touched page of a mapping as
    /// it is set to, which may be megabytes or one page. If the block before `start` was read, bytes are probably read in a
    /// row, and some blocks that follow are asked for as well. Returns the end of what was asked for.
    fn ask_ahead(&self, checks: &Checks, start: usize, wanted_end: usize) -> usize {
        let goes_on = start.checked_sub(1).is_some_and(|before| checks.verified.contains(before));
        let ahead = if goes_on { start + BLOCKS_AHEAD } else { start };
        let end = wanted_end.max(ahead).min(start + MOST_BLOCKS_ASKED);
        self.expect(start * BLOCK_BYTES..self.len().min(end * BLOCK_BYTES));
        end
    }

    fn raw(&self) -> &[u8] {
        self.owner.get(self.range.clone()).unwrap_or_default()
    }

    /// The bytes of a block, the last one shorter.
    fn block(&self, block: usize) -> &[u8] {
        let start = block * BLOCK_BYTES;
        self.raw().get(start..(start + BLOCK_BYTES).min(self.len())).unwrap_or_default()
    }
}

impl Checks {
    fn verify(&self, block: usize, bytes: &[u8]) -> Result<()> {
        let Some(&expected) = self.expected.get(block) else {
            return Err(Error::damaged(&self.path, format!("section {} has no block {block}", self.name)));
        };
        let got = crc32c::crc32c(bytes);
        if got != expected {
            return Err(Error::damaged(
                &self.path,
                format!("section {}, block {block}: checksum {got:08x}, expected {expected:08x}", self.name),
            ));
        }
        self.verified.insert(block);
        Ok(())
    }
}

/// The blocks that hold bytes `range`; none for no bytes.
fn blocks(range: &Range<usize>) -> Range<usize> {
    let first = range.start / BLOCK_BYTES;
    if range.is_empty() { first..first } else { first..range.end.div_ceil(BLOCK_BYTES) }
}

/// The checksum of every block of `bytes`, in order.
#[must_use]
pub(crate) fn block_checksums(bytes: &[u8]) -> Vec<u32> {
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

#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    use super::super::disk::DiskStorage;
    use super::super::seam::Storage;
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn opened(
        bytes: &[u8],
        expected: &[u8],
    ) -> std::result::Result<(tempfile::TempDir, Section), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("file"), bytes)?;
        let owner = DiskStorage::create(dir.path())?.read("file")?;
        let section = Section::checked(owner, 64..bytes.len(), block_checksums(expected), Path::new("file"), "bytes")?;
        Ok((dir, section))
    }

    #[test]
    fn bytes_are_the_same_read_and_mapped() -> Outcome {
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 164).map(|i| (i * i / 7) as u8).collect();
        let content = &bytes[64..];
        let (_dir, section) = opened(&bytes, content)?;
        let in_memory = Section::from_vec(content.to_vec());
        let mut room = Vec::new();
        let last = content.len();
        for range in
            [0..0, 0..1, 5..BLOCK_BYTES, BLOCK_BYTES - 1..BLOCK_BYTES + 1, 10..last, last - 1..last, last..last]
        {
            for section in [&section, &in_memory] {
                assert_eq!(section.read(range.clone(), &mut room)?, &content[range.clone()]);
                assert_eq!(section.slice(range.clone())?, &content[range.clone()]);
            }
        }
        assert_eq!(section.read(last..last + 1, &mut room).map_err(|error| error.code()).err(), Some("damaged"));
        Ok(())
    }

    #[test]
    fn a_flipped_byte_is_an_error_when_its_block_is_read() -> Outcome {
        let mut bytes: Vec<u8> = (0..2 * BLOCK_BYTES + 64).map(|i| i as u8).collect();
        let expected = bytes[64..].to_vec();
        bytes[64 + BLOCK_BYTES + 9] ^= 1;
        let (_dir, section) = opened(&bytes, &expected)?;
        let mut room = Vec::new();
        assert_eq!(section.read(0..10, &mut room)?, &expected[..10]);
        for _ in 0..2 {
            match section.read(BLOCK_BYTES + 100..BLOCK_BYTES + 110, &mut room) {
                Err(Error::Damaged { detail, .. }) => assert!(detail.contains("block 1"), "{detail}"),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    #[test]
    fn a_section_is_settled_once_all_of_it_was_read() -> Outcome {
        let mut bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 64).map(|i| (i / 7) as u8).collect();
        let expected = bytes[64..].to_vec();
        let (_dir, section) = opened(&bytes, &expected)?;
        assert_eq!(section.slice(BLOCK_BYTES..BLOCK_BYTES + 1)?.len(), 1);
        assert!(section.settled().is_none() && !section.is_verified());
        section.settle()?;
        assert_eq!((section.settled(), section.is_verified()), (Some(expected.as_slice()), true));
        let (_dir, section) = opened(&bytes, &expected)?;
        section.all()?;
        assert!(section.settled().is_some());
        bytes[64 + 2 * BLOCK_BYTES + 9] ^= 1;
        let (_dir, section) = opened(&bytes, &expected)?;
        assert!(matches!(section.settle(), Err(Error::Damaged { .. })));
        assert!(section.settled().is_none() && section.slice(0..9).is_ok());
        Ok(())
    }

    /// Of a file, counting the bytes that are read past the mapping.
    struct Counting(Vec<u8>, AtomicUsize);

    impl Deref for Counting {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.0
        }
    }

    impl ByteOwner for Counting {
        fn read_at(&self, at: usize, room: &mut [u8]) -> Option<io::Result<()>> {
            self.1.fetch_add(room.len(), Ordering::Relaxed);
            room.copy_from_slice(self.0.get(at..at + room.len())?);
            Some(Ok(()))
        }
    }

    #[test]
    fn a_block_is_read_whole_once_and_then_no_more_than_is_asked_for() -> Outcome {
        let bytes = vec![7; 3 * BLOCK_BYTES];
        let owner = Arc::new(Counting(bytes.clone(), 0.into()));
        let shared: Arc<dyn ByteOwner> = Arc::<Counting>::clone(&owner);
        let section = Section::checked(shared, 0..bytes.len(), block_checksums(&bytes), Path::new("file"), "bytes")?;
        let mut room = Vec::new();
        for expected in [BLOCK_BYTES + 768, 768, 768] {
            owner.1.store(0, Ordering::Relaxed);
            section.read(BLOCK_BYTES + 768..BLOCK_BYTES + 1536, &mut room)?;
            assert_eq!(owner.1.load(Ordering::Relaxed), expected);
        }
        Ok(())
    }

    /// Of a file, keeping what is asked for ahead.
    struct Asked(Vec<u8>, Mutex<Vec<Range<usize>>>);

    impl Deref for Asked {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.0
        }
    }

    impl ByteOwner for Asked {
        fn expect(&self, range: Range<usize>) {
            self.1.lock().unwrap_or_else(PoisonError::into_inner).push(range);
        }
    }

    #[test]
    fn blocks_are_asked_for_before_they_are_touched_and_ahead_where_they_are_read_in_a_row() -> Outcome {
        const BLOCKS: usize = 2 * MOST_BLOCKS_ASKED;
        let bytes = vec![7; BLOCKS * BLOCK_BYTES - 100];
        let owner = Arc::new(Asked(bytes.clone(), Mutex::default()));
        let shared: Arc<dyn ByteOwner> = Arc::<Asked>::clone(&owner);
        let section = Section::checked(shared, 0..bytes.len(), block_checksums(&bytes), Path::new("file"), "bytes")?;
        let asked_by = |range: Range<usize>| -> Result<Vec<(usize, usize)>> {
            section.slice(range)?;
            let asked = std::mem::take(&mut *owner.1.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(asked.into_iter().map(|bytes| (bytes.start / BLOCK_BYTES, bytes.end.div_ceil(BLOCK_BYTES))).collect())
        };
        let at = |block: usize| block * BLOCK_BYTES..block * BLOCK_BYTES + 10;
        assert_eq!(asked_by(at(3))?, [(3, 4)]);
        assert!(asked_by(at(3))?.is_empty());
        assert_eq!(asked_by(at(4))?, [(4, 4 + BLOCKS_AHEAD)]);
        assert_eq!(asked_by(at(BLOCKS - 1))?, [(BLOCKS - 1, BLOCKS)]);
        assert_eq!(asked_by(0..bytes.len())?, [(0, MOST_BLOCKS_ASKED), (MOST_BLOCKS_ASKED, BLOCKS)]);
        Ok(())
    }
}
