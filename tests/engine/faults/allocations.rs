//! Counts what each thread allocates, so that tests can bound it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

// SAFETY: every call is handed on to the system's allocator as it came; counting neither allocates nor panics.
#[expect(unsafe_code, reason = "a global allocator is unsafe to write")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size).saturating_sub(signed(layout.size())));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Starts to measure this thread.
pub fn begin() {
    PEAK.with(|peak| peak.set(HELD.get()));
    START.set(HELD.get());
}

thread_local! {
    static START: Cell<isize> = const { Cell::new(0) };
}

/// The most bytes that this thread held at once since [`begin`], beyond what it held then.
pub fn peak() -> usize {
    usize::try_from(PEAK.get() - START.get()).unwrap_or(0)
}

#[test]
fn what_a_thread_holds_is_counted() {
    begin();
    drop(vec![0_u8; 1 << 20]);
    assert!((1 << 20..2 << 20).contains(&peak()));
    begin();
    assert!(peak() < 1000);
}
