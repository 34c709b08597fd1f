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
fn a_section_is_whole_when_the_last_block_was_added_and_somebody_looked() {
    try_all("whole once all are added", || {
        let verified = Arc::new(Verified::none_of(2));
        let adding = [0, 1].map(|block| {
            let verified = Arc::clone(&verified);
            thread::spawn(move || {
                verified.insert(block);
                verified.find_whole()
            })
        });
        if verified.is_whole() {
            assert!(verified.find_whole(), "it stays so");
        }
        let found = adding.map(|thread| thread.join().unwrap());
        assert!(!found.contains(&true) || verified.is_whole(), "whoever found it told the others");
        assert!(verified.find_whole() && verified.is_whole());
        assert!(!Verified::none_of(2).find_whole());
    });
}
