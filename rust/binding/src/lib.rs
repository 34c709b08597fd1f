//! The Python module `pixr._engine`: convert, let go of the GIL, call the engine, convert back.
//!
//! Structured values cross the border as JSON, vectors as little-endian float32 bytes, segments as Arrow batches through
//! the C data interface; answers to searches are made as Python objects at once.

mod answer;
mod arrow;
mod errors;
mod library;
mod matrix;
mod pictures;
mod processor;
mod vectors;

use pyo3::prelude::*;

/// A search makes and drops thousands of small lists on the way.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(gil_used = false)]
mod _engine {
    #[pymodule_export]
    use crate::arrow::Batch;
    #[pymodule_export]
    use crate::library::Library;
    #[pymodule_export]
    use crate::matrix::{ByteMatrix, HalfMatrix};
    #[pymodule_export]
    use crate::pictures::squeeze;
    #[pymodule_export]
    use crate::processor::cuts_sums_of_bytes;
    #[pymodule_export]
    use crate::vectors::VectorColumn;
}
