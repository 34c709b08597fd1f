use std::sync::Arc;

use loom::thread;

use crate::storage::verified::Verified;
use crate::try_all;

/// Two of the blocks share a word, one has another.
#[test]
fn blocks_that_threads_add_at_once_are_all_there_and_no_others() {
    try_all("blocks added at once", || {
        let verified = Arc::new(Verified::none_of(66));
        let adding = [3, 4, 65].map(|block| {
            let verified = Arc::clone(&verified);
            thread::spawn(move || {
                verified.insert(block);
                assert!(verified.contains(block), "a thread sees its own");
            })
        });
        let seen: Vec<usize> =
            (0..66).filter(|block| [2, 3, 65].contains(block) && verified.contains(*block)).collect();
        assert!(!seen.contains(&2));
        adding.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(seen.into_iter().chain([3, 4, 65]).all(|block| verified.contains(block)), "none is taken back");
        assert!([0, 2, 5, 64].iter().all(|&block| !verified.contains(block)));
    });
}

#[test]
fn blocks_are_all_there_once_each_was_added_however_often() {
    try_all("all added twice", || {
        let verified = Arc::new(Verified::none_of(2));
        let adding = [[0, 1], [1, 0]].map(|blocks| {
            let verified = Arc::clone(&verified);
            thread::spawn(move || blocks.into_iter().for_each(|block| verified.insert(block)))
        });
        let is_whole = verified.is_whole();
        adding.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(verified.is_whole(), "each is counted once; looked at between them, it was {is_whole}");
        let verified = Verified::none_of(2);
        verified.insert(0);
        verified.insert(0);
        assert!(!verified.is_whole(), "one of them twice is not both");
    });
}
