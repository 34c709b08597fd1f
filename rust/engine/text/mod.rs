//! Words: tantivy, and nothing else knows it.

mod directory;
pub(crate) mod excerpt;
pub mod index;
pub mod language;
mod likely;
mod lookup;
mod lookup_cache;
mod places;
mod postings;
pub mod query;
mod search;
pub mod stats;
mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod words;
mod zeros;
