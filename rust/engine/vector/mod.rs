//! Vectors of one space: exact search over codes, bounds and re-scoring.
