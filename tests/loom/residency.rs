use std::sync::Arc;

use loom::thread;

use crate::storage::verified::Verified;
use crate::try_all;
use crate::vector::graph_memory::GraphMemory;
use crate::vector::residency::Residency;

const BLOCKS: usize = 2;

fn has_all(verified: &Verified) -> bool {
    (0..BLOCKS).all(|block| verified.contains(block))
}

/// Where each of two threads took the bytes of a graph, another graph once was refused its own meanwhile, though all fit.
#[test]
fn a_graph_takes_its_bytes_once_whoever_asks_and_none_is_refused_that_fits() {
    try_all("two threads ask for one graph, one for another", || {
        let memory = GraphMemory::new(100);
        let (shared, other) = (Residency::of_file(), Residency::of_file());
        let ask = |graph: &Arc<Residency>, bytes: u64| {
            let (memory, graph) = (Arc::clone(&memory), Arc::clone(graph));
            thread::spawn(move || {
                assert!(!graph.is_ready(&memory, bytes, || false));
                assert!(!graph.is_refused());
            })
        };
        let asking = [ask(&shared, 40), ask(&shared, 40), ask(&other, 60)];
        asking.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!shared.is_refused() && !other.is_refused() && memory.take(1).is_none());
        assert!(shared.is_ready(&memory, 40, || true) && other.is_ready(&memory, 60, || true));
        drop(other);
        assert!(memory.take(61).is_none() && memory.take(60).is_some());
        drop(shared);
        assert!(memory.take(100).is_some());
    });
}

/// Answers are planned by it: exact ones, of a graph that is too large, would read all vectors.
#[test]
fn a_graph_that_does_not_fit_stays_refused_while_it_asks_again() {
    try_all("two threads ask again, one looks", || {
        let (memory, graph) = (GraphMemory::new(100), Residency::of_file());
        assert!(!graph.is_ready(&memory, 101, || true) && graph.is_refused());
        let asking = [(); 2].map(|()| {
            let (memory, graph) = (Arc::clone(&memory), Arc::clone(&graph));
            thread::spawn(move || {
                assert!(!graph.is_ready(&memory, 101, || true) && graph.is_refused());
            })
        });
        assert!(graph.is_refused());
        asking.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(graph.is_refused() && memory.take(100).is_some());
    });
}

#[test]
fn a_refused_graph_gets_its_bytes_once_they_have_come_back() {
    try_all("one graph is closed, two threads ask for another", || {
        let memory = GraphMemory::new(100);
        let (first, second) = (Residency::of_file(), Residency::of_file());
        assert!(first.is_ready(&memory, 60, || true));
        assert!(!second.is_ready(&memory, 50, || true) && second.is_refused());
        let closing = thread::spawn(move || drop(first));
        let asking = [(); 2].map(|()| {
            let (memory, second) = (Arc::clone(&memory), Arc::clone(&second));
            thread::spawn(move || {
                let is_ready = second.is_ready(&memory, 50, || true);
                assert!(!is_ready || !second.is_refused());
            })
        });
        asking.into_iter().for_each(|thread| thread.join().unwrap());
        closing.join().unwrap();
        assert!(second.is_ready(&memory, 50, || true) && !second.is_refused());
        assert!(memory.take(51).is_none() && memory.take(50).is_some());
        drop(second);
        assert!(memory.take(100).is_some());
    });
}

/// Two threads end a query, which begins the reading; a third asks whether it may walk.
#[test]
fn a_graph_is_read_once_and_whoever_walks_it_finds_verified_what_was_read() {
    try_all("two threads begin to read, one would walk", || {
        let (memory, graph) = (GraphMemory::new(100), Residency::of_file());
        let verified = Arc::new(Verified::none_of(BLOCKS));
        let reading = [(); 2].map(|()| {
            let (memory, graph, verified) = (Arc::clone(&memory), Arc::clone(&graph), Arc::clone(&verified));
            thread::spawn(move || {
                let reading = graph.begin_reading(&memory, 60);
                let has_read = reading.is_some();
                if has_read {
                    (0..BLOCKS).for_each(|block| verified.insert(block));
                }
                has_read
            })
        });
        if graph.is_ready(&memory, 60, || false) {
            assert!(has_all(&verified), "a walk verifies again what was read");
        }
        let readings = reading.into_iter().map(|thread| thread.join().unwrap()).filter(|&read| read).count();
        let late = graph.begin_reading(&memory, 60).is_some();
        assert!(readings + usize::from(late) == 1, "{readings} readings, another at the end: {late}");
        assert!(graph.is_ready(&memory, 60, || false) && memory.take(40).is_some() && memory.take(41).is_none());
    });
}

/// Searches may verify every block before the reading begins, and threads see the bits at different times.
#[test]
fn a_graph_that_was_verified_block_by_block_is_walked_without_being_read() {
    try_all("one thread verifies, two would walk or read", || {
        let (memory, graph) = (GraphMemory::new(100), Residency::of_file());
        let verified = Arc::new(Verified::none_of(BLOCKS));
        let verifying = Arc::clone(&verified);
        let verifying = thread::spawn(move || (0..BLOCKS).for_each(|block| verifying.insert(block)));
        let other = {
            let (memory, graph, verified) = (Arc::clone(&memory), Arc::clone(&graph), Arc::clone(&verified));
            thread::spawn(move || {
                if graph.is_ready(&memory, 60, || has_all(&verified)) {
                    assert!(has_all(&verified) && graph.begin_reading(&memory, 60).is_none());
                }
            })
        };
        if graph.is_ready(&memory, 60, || has_all(&verified)) {
            assert!(has_all(&verified), "a walk verifies again what was verified");
            assert!(graph.begin_reading(&memory, 60).is_none(), "nothing is left to read");
        }
        verifying.join().unwrap();
        other.join().unwrap();
        assert!(graph.is_ready(&memory, 60, || has_all(&verified)));
    });
}

#[test]
fn a_graph_that_is_closed_while_it_is_read_gives_its_bytes_back_afterwards() {
    try_all("one thread reads, one closes", || {
        let (memory, graph) = (GraphMemory::new(100), Residency::of_file());
        let reading = graph.begin_reading(&memory, 60).unwrap();
        let reader = {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                assert!(memory.take(41).is_none(), "it is being read");
                drop(reading);
            })
        };
        assert!(!graph.is_refused());
        drop(graph);
        drop(memory.take(41));
        reader.join().unwrap();
        assert!(memory.take(100).is_some());
    });
}
