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

/// Hints that `items` will be read; has no effect but on time. Into the second cache, on x86-64: a core has no more than a
/// dozen or so requests of its first cache under way, and waits where more are made.
#[inline(always)]
pub(in super::super) fn prefetch<T>(items: &[T]) {
    for line in items.chunks(LINE_BYTES.div_ceil(size_of::<T>())) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86_64, and a prefetch never faults; the pointer comes from a live slice anyway.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
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
