//! From a query to moments.
