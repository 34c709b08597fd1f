//! Has the system keep some bytes of a mapped file in large pages.
//!
//! Linux brings what is touched of a mapping in pages of 2 MB where that is asked for and the file system can, but only if
//! its cache has none of these bytes in small pages yet. A few that were read before would keep all of them small, so they
//! are given back, to be read again with the others. What the cache has whole is left as it is.
#![expect(unsafe_code, reason = "the calls that tell and change what is mapped take addresses")]

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Bytes of a large page of x86-64 and, where small ones have 4 KiB, of ARM.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Asks that `range` of a mapped file, which is about to be read, be kept in large pages. No more than a hint.
pub(super) fn want_large_pages(map: &Mmap, file: &File, range: &Range<usize>) {
    // In as few calls as can be: what is read meanwhile comes back in small pages.
    for run in to_read_again(map, range) {
        give_back(map, file, &run);
    }
    let _ = map.advise_range(Advice::HugePage, range.start, range.len());
}

/// The large pages that the cache has in part or not at all, in runs that don't touch.
fn to_read_again(map: &Mmap, range: &Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = (start + 1).next_multiple_of(LARGE_PAGE_BYTES).min(range.end);
        match runs.last_mut() {
            _ if is_cached(map, &(start..end)) => {}
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
        start = end;
    }
    runs
}

/// Whether all of it is in the system's cache, or nobody tells: who can't write to a file is not told.
fn is_cached(map: &Mmap, range: &Range<usize>) -> bool {
    // SAFETY: asks for a number.
    let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    let start = range.start / page_bytes * page_bytes;
    let Some(bytes) = map.get(start..range.end) else { return true };
    let mut pages = vec![1_u8; bytes.len().div_ceil(page_bytes)];
    // SAFETY: `bytes` begin with a page of the mapping and lie within it, and `pages` has a byte for each of its pages.
    let _ = unsafe { libc::mincore(bytes.as_ptr().cast_mut().cast(), bytes.len(), pages.as_mut_ptr()) };
    pages.iter().all(|page| page & 1 == 1)
}

/// Takes what is mapped out of the page table, since what is there stays in the cache, and then out of the cache.
fn give_back(map: &Mmap, file: &File, range: &Range<usize>) {
    // SAFETY: the mapping is shared and can't be written to, so the same bytes are there again when it is touched.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    let (start, length) = (range.start as libc::off64_t, range.len() as libc::off64_t);
    // SAFETY: the descriptor is that of an open file.
    let _ = unsafe { libc::posix_fadvise64(file.as_raw_fd(), start, length, libc::POSIX_FADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_after_they_were_given_back() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..(9_u32 << 20) + 700).map(|i| (i / 300) as u8).collect();
        std::fs::write(&path, &bytes)?;
        let file = File::open(&path)?;
        file.sync_all()?;
        // SAFETY: nobody else has the file.
        let map = unsafe { Mmap::map(&file)? };
        let range = 4096 + 64..bytes.len() - 100;
        assert_eq!(&*map, &bytes);
        assert!(to_read_again(&map, &range).is_empty());
        give_back(&map, &file, &(2 << 20..6 << 20));
        // SAFETY: `place` has room for what is asked.
        let is_ext4 = unsafe {
            let mut place: libc::statfs = std::mem::zeroed();
            libc::fstatfs(file.as_raw_fd(), &raw mut place) == 0 && place.f_type == libc::EXT4_SUPER_MAGIC
        };
        if is_ext4 {
            assert_eq!(to_read_again(&map, &range).first(), Some(&(2 << 20..6 << 20)));
        }
        assert_eq!(map.get(4 << 20), bytes.get(4 << 20));
        want_large_pages(&map, &file, &range);
        assert_eq!(&*map, &bytes);
        Ok(())
    }
}
