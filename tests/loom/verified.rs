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
