//! Videos and segments as columns, filters over them, and facets.

pub mod channel;
pub mod row_set;
pub mod video;
