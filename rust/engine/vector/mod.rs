//! Vectors of one space: exact search over codes, bounds and re-scoring, and approximate search through a graph.
//!
//! Core concepts:
//!
//! - [`normalise`] makes what is stored: unit-length f16. [`QueryVector`] is what is asked: unit-length f32.
//! - [`VectorColumn`] holds one channel's vectors in one part: f16 rows, and beside them 1-bit codes (`codes`) of a
//!   fifteenth of the size.
//! - A score is the inner product of query and stored vector by one function (`distance`), so it is the same number
//!   whatever the part, the position, the thread count, the kernel or the path that found the row.
//! - `flat` scans the f16 rows: the truth. `scan` reads the codes, leaves out every row that their bound excludes, and
//!   scores the others like `flat`.
//!
//! - `estimate` says what rows can score at most, from their codes: by it videos are put in an order in which few have to
//!   be scored.
//! - `vertical` keeps columns of shares component by component, and bounds what a query that asks for few of them can find.
//! - `approximate` walks a `graph`, if the column is large enough to have one, and scores what it finds like `flat`. It
//!   may miss a row; it never gives another score.
//!
//! Cost for 384 dimensions: 768 bytes a row for the vectors, 52 for the codes, 320 for the graph. An exact search reads
//! all codes and a few rows; an approximate one some thousand nodes of the graph and a few rows. Codes and graph stay
//! resident once touched; rows of a file that are scored one by one do not (`docs/SCALING.md`).

mod allowed_blocks;
mod approximate;
mod available_memory;
mod best;
mod byte_matrix;
mod coded;
mod codes;
mod column;
mod distance;
mod estimate;
mod flat;
mod graph;
mod graph_memory;
mod half_matrix;
mod kernels;
mod layout;
mod normalise;
mod query;
mod residency;
mod rotation;
mod rows;
mod scan;
#[cfg(test)]
#[expect(clippy::panic, reason = "a test fails by panicking")]
mod tests;
mod vertical;

pub use approximate::{Near, approximate_top_k};
pub(crate) use approximate::{PASSED, Passed, passed_by, read_ahead};
pub use byte_matrix::{Attention, ByteMatrix};
pub use column::{Asked, Index, VectorColumn};
pub(crate) use estimate::{Closeness, Estimator, Reach};
pub use graph_memory::GraphMemory;
pub use half_matrix::HalfMatrix;
pub use normalise::normalise;
pub use query::QueryVector;
pub use rows::{Ranks, Rows};
pub use scan::{Path, Work};

#[cfg(target_endian = "big")]
compile_error!("the vector sections are little-endian and are read in place");

/// Name of the kernels that this machine uses: `avx512`, `avx2`, `neon` or `scalar`. For reports.
#[must_use]
pub fn kernel_name() -> &'static str {
    kernels::kernels().name
}
