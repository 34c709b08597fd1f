//! From a query to moments.
//!
//! A [`query::Query`] is checked against a snapshot (`ask`). While it runs (`run`), its evidence is found and completed
//! (`evidence`, [`mod@matches`]), mapped to confidences ([`calibrate`]) and fused ([`fuse`]) on the `timeline` into moments
//! ([`moments`]); `rank` chooses which videos that is done for, and `tell` says what they say. `execute` takes these steps and
//! cuts a page out of the ordered hits ([`page`], [`cursor`]). Questions related in time (`compound`) are several such runs.

mod ask;
pub mod calibrate;
mod compound;
pub mod cursor;
mod evidence;
pub(crate) mod execute;
pub mod fuse;
pub mod hit;
pub mod matches;
pub mod moments;
pub mod page;
pub mod query;
mod rank;
mod relate;
mod run;
#[cfg(test)]
mod samples;
mod scope;
mod spread;
mod suppress;
mod tell;
#[cfg(test)]
mod tests;
mod timeline;
