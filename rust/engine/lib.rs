//! Pixr, an embeddable, multi-modal video search engine.

pub mod catalog;
pub mod error;
pub mod search;
pub mod storage;
pub mod text;
pub mod vector;

pub use error::{Error, Result};
