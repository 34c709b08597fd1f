//! The atomics of what threads share without locks.
//!
//! `tests/loom` compiles the files that use them, and nothing else of the engine, with those of a model checker in their
//! place.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
