//! Lists with a zero for each row, in which scores are added up. Each thread keeps a few for its next query: for a large
//! part, getting fresh ones from the system takes longer than adding up a few words.

use std::cell::RefCell;

/// Shorter lists are made anew each time.
const SHORTEST: usize = 4096;
/// A thread keeps at most this many lists.
const KEPT: usize = 2;
/// Longer lists, of more than 16 MB, are not kept.
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

/// Takes back a list that `take` gave. It must hold nothing but zeros again.
pub(super) fn give_back(zeros: Vec<f32>) {
    if (SHORTEST..=LONGEST).contains(&zeros.len()) {
        ZEROS.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                kept.push(zeros);
            }
        });
    }
}
