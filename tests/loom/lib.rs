//! The lock-free files of the engine, each as it is, below loom: the orders in which a few threads can meet, and every value
//! that their atomics may then show them, are tried one by one.
//!
//! `Arc` and `OnceLock` stay the standard library's, which loom does not see: each does what it does at once. No file looks
//! into a `OnceLock` before it is dropped.

#![allow(dead_code, reason = "the engine uses the rest")]

#[cfg(not(loom))]
compile_error!("these are for RUSTFLAGS='--cfg loom'; `make loom` runs them");

mod sync;

#[path = "../../rust/engine/storage"]
mod storage {
    pub(crate) mod verified;
}

#[path = "../../rust/engine/vector"]
mod vector {
    pub(crate) mod graph_memory;
    pub(crate) mod residency;
}

#[cfg(test)]
mod graph_memory;
#[cfg(test)]
mod residency;
#[cfg(test)]
mod verified;

/// How often an order may take a processor from a thread that could go on. Each more takes some ten times as long.
#[cfg(test)]
const MOST_PREEMPTIONS: usize = 3;

/// Tries all orders of what `model` does with no more than `MOST_PREEMPTIONS`, or those that the environment says, and prints
/// how many there were.
#[cfg(test)]
fn try_all(name: &str, model: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let tried = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&tried);
    // Reads LOOM_MAX_PREEMPTIONS.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(MOST_PREEMPTIONS);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} executions", tried.load(Ordering::Relaxed));
}
