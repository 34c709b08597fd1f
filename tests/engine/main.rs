//! The engine as its users see it. One binary, because linking is slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod compound;
mod faults;
mod films;
mod kill;
mod library;
mod promises;
