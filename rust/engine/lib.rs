//! Pixr, an embeddable, multi-modal video search engine: segments in, moments out.
//!
//! Core concepts, each a room:
//!
//! - [`catalog`]: videos and segments, channels, columns, filters, facets.
//! - [`vector`] and [`text`]: the two kinds of evidence, exact search over vectors and BM25 over words.
//! - [`storage`]: the seam to the disk, the log, the manifest, part files; `FORMAT.md` has every byte.
//! - [`part`] and [`snapshot`]: an immutable set of videos, and a fixed list of such sets.
//! - [`search`]: from a query to calibrated, fused, explained moments.
//! - [`library`]: what a user holds.
//! - [`batch`]: segments as Arrow record batches.
//!
//! The engine knows bytes, vectors, words, time spans and scores. It has never heard of a video file, a model, Python or
//! HTTP.

mod backup;
pub mod batch;
pub mod catalog;
mod checkpoint;
mod cores;
pub mod error;
pub mod library;
mod maintenance;
mod merge;
mod named;
pub mod operation;
mod options;
pub mod part;
mod recovery;
mod repair;
mod report;
mod retention;
pub mod search;
mod settings;
mod shared;
pub mod snapshot;
pub mod storage;
mod sync;
mod syncer;
pub mod text;
pub mod vector;
mod writer;

pub use error::{Error, Result};
pub use library::{Access, Library, Options};
pub use repair::RepairReport;

// Libraries for property tests, shared with those in `tests/engine`, which know the crate by its name.
#[cfg(test)]
extern crate self as pixr;
#[cfg(test)]
#[path = "../../tests/engine/films.rs"]
#[allow(unreachable_pub, dead_code, clippy::unwrap_used)]
mod films;
