//! Zeros to add up in, one for each row, kept by the thread for its next query: to ask for fresh ones costs a large part
//! more than to add up a few words.

use std::cell::RefCell;

/// Fewer are made anew each time.
const SHORTEST: usize = 4096;
/// So many are kept, …
const KEPT: usize = 2;
/// … of at most so many numbers, 16 MB.
const LONGEST: usize = 4 << 20;

thread_local! {
    static ZEROS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// At least `len` zeros.
pub(super) fn take(len: usize) -> Vec<f32> {
    if len < SHORTEST {
        return vec![0.0; len];
    }
    let kept = ZEROS.with_borrow_mut(Vec::pop);
    match kept {
        Some(zeros) if zeros.len() >= len => zeros,
        _ => vec![0.0; len],
    }
}

/// Takes what `take` gave, all zeros again.
pub(super) fn give_back(zeros: Vec<f32>) {
    if (SHORTEST..=LONGEST).contains(&zeros.len()) {
        ZEROS.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                kept.push(zeros);
            }
        });
    }
}
