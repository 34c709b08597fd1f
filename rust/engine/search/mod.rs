//! From a query to moments.

pub mod calibrate;
pub mod cursor;
pub mod fuse;
pub mod hit;
pub mod moments;
pub mod page;
pub mod query;
mod suppress;
mod timeline;
