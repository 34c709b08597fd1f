//! The engine as its users see it. One binary, because linking is slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod compound;
mod concurrency;
mod copies;
mod faults;
mod films;
mod golden;
mod kill;
mod library;
mod operations;
mod promises;
mod stress;
