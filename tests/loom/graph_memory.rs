use std::sync::Arc;

use loom::thread;

use crate::try_all;
use crate::vector::graph_memory::GraphMemory;

#[test]
fn what_is_taken_together_never_passes_the_allowance() {
    try_all("three that don't all fit", || {
        let memory = GraphMemory::new(100);
        let takers = [60, 50, 40].map(|bytes| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.take(bytes).map(|taken| (bytes, taken)))
        });
        let taken = takers.map(|thread| thread.join().unwrap());
        let held: u64 = taken.iter().flatten().map(|(bytes, _)| bytes).sum();
        assert!((50..=100).contains(&held), "{held} of 100 bytes");
        // The count is that of what is held.
        let rest = memory.take(100 - held);
        assert!(rest.is_some() && memory.take(1).is_none());
    });
}

#[test]
fn what_fits_together_is_never_refused() {
    try_all("three that fit", || {
        let memory = GraphMemory::new(100);
        let takers = [60, 30, 10].map(|bytes| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || memory.take(bytes))
        });
        let taken = takers.map(|thread| thread.join().unwrap());
        assert!(taken.iter().all(Option::is_some) && memory.take(1).is_none());
    });
}

/// Not one byte is missing at the end, and not one too many came back.
#[test]
fn bytes_come_back_once_while_others_are_taken() {
    try_all("two take and give back, one takes", || {
        let memory = GraphMemory::new(100);
        let takers = [60, 50].map(|bytes| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || drop(memory.take(bytes)))
        });
        let kept = memory.take(40);
        takers.into_iter().for_each(|thread| thread.join().unwrap());
        let rest = memory.take(if kept.is_some() { 60 } else { 100 });
        assert!(rest.is_some() && memory.take(1).is_none());
        drop((kept, rest));
        assert!(memory.take(100).is_some_and(|_all| memory.take(1).is_none()));
    });
}
