//! Words: tantivy, and nothing else knows it.
