//! Words: tantivy, and nothing else knows it.

mod directory;
pub mod index;
pub mod language;
mod likely;
mod lookup;
mod places;
mod postings;
pub mod query;
mod remembered;
mod search;
pub mod snippet;
pub mod stats;
mod stored;
#[cfg(test)]
mod tests;
pub mod words;
mod zeros;
