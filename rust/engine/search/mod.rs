//! From a query to moments.
//!
//! A [`query::Query`] is checked against a snapshot (`ask`), finds and completes its evidence (`evidence`), maps it to
//! confidences ([`calibrate`]), fuses them ([`fuse`]) on the timeline into moments ([`moments`]), and cuts a page out of
//! the ordered hits ([`page`], [`cursor`]). `execute` runs the steps; `rank` chooses what to score, by `bounds`.

mod ask;
mod bounds;
pub mod calibrate;
pub mod compound;
pub mod cursor;
mod evidence;
pub(crate) mod execute;
pub mod fuse;
pub mod hit;
pub mod moments;
mod near;
pub mod page;
pub mod query;
mod rank;
mod relate;
mod scope;
mod spread;
mod steps;
mod suppress;
mod timeline;
