//! The Python module `pixr._engine`.

use pyo3::prelude::*;

#[pymodule]
mod _engine {}
