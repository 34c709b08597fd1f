//! The Python module `pixr._engine`: convert, let go of the GIL, call the engine, convert back.
//!
//! Structured values cross the border as JSON, vectors as little-endian float32 bytes, segments as Arrow batches through
//! the C data interface; answers to searches are made as Python objects at once.

mod answer;
mod arrow;
mod asked;
mod errors;
mod library;
mod matrix;
mod options;
mod pictures;
mod processor;
mod vectors;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// A search makes and drops thousands of small lists on the way.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Refuses interpreters beside the first, such as mod_wsgi has them: answers are made of the classes of one interpreter, so
/// another got objects that were none of its `pixr.Hit`, and pyarrow and onnxruntime wait for ever there.
fn refuse_subinterpreter() -> PyResult<()> {
    #[expect(unsafe_code, reason = "the stable interface of interpreters is one of pointers")]
    // SAFETY: a module is initialised by a thread that is attached to an interpreter, which these two ask for.
    let number = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if number == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "pixr runs in a process's main interpreter only, not in a subinterpreter \
         (mod_wsgi: WSGIApplicationGroup %{GLOBAL})",
    ))
}

#[pymodule(gil_used = false)]
mod _engine {
    use pyo3::prelude::*;

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

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::refuse_subinterpreter()
    }
}
