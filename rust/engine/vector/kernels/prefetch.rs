//! Asks for bytes that will be read soon.
#![expect(unsafe_code, reason = "prefetch hints are intrinsics")]

const LINE_BYTES: usize = 64;
/// How far ahead of what is being read the next bytes are asked for. A processor does so by itself, but not past the end of a
/// page (4 KiB), so that a pass over codes waits for memory at every page: it took 1.2 to 1.6 times as long.
const BYTES_AHEAD: usize = 8192;

/// `items` in order, in pieces of `length`, each of which was asked for while earlier ones were read.
#[inline(always)]
pub(in super::super) fn pieces_ahead<T>(items: &[T], length: usize) -> impl Iterator<Item = &[T]> {
    items.chunks_exact(length).enumerate().map(move |(index, piece)| {
        let ahead = items.get(index * length + BYTES_AHEAD / size_of::<T>()..).unwrap_or_default();
        prefetch(ahead.get(..length).unwrap_or(ahead));
        piece
    })
}

/// Hints that `items` will be read; has no effect but on time.
#[inline(always)]
pub(in super::super) fn prefetch<T>(items: &[T]) {
    for line in items.chunks(LINE_BYTES.div_ceil(size_of::<T>())) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86_64, and a prefetch never faults; the pointer comes from a live slice anyway.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: PRFM is a hint that never faults and touches no register or flag.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{line}]",
                line = in(reg) line.as_ptr(),
                options(nostack, readonly, preserves_flags)
            );
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = line;
    }
}

/// The same of one of many `items` here and there: into the second cache where that is known to be quicker. A core of
/// x86-64 has a dozen or so requests of its first cache under way at most, and waits where more are made; codes in a row
/// are scanned sooner from the first.
#[inline(always)]
pub(in super::super) fn prefetch_one_of_many<T>(items: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in items.chunks(LINE_BYTES.div_ceil(size_of::<T>())) {
        // SAFETY: as for `prefetch`.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    prefetch(items);
}
