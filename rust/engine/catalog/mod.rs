//! Videos and segments as columns, and filters and facets over them.

pub mod channel;
mod columns;
pub mod facets;
pub mod filter;
mod filter_json;
pub mod row_set;
pub mod strings;
pub mod table;
pub mod timestamp;
pub mod validate;
pub mod video;

#[cfg(test)]
mod tests;
