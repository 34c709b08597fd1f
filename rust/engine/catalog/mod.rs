//! Videos and segments as columns, filters over them, and facets.

pub mod channel;
pub mod facets;
pub mod filter;
pub mod row_set;
pub mod strings;
pub mod table;
pub mod video;
