//! `pixr._engine.VectorColumn`: vectors and their index alone, for measuring them beside other libraries.

use std::collections::BTreeMap;

use half::f16;
use pixr::Error;
use pixr::storage::section::{Section, SectionBytes};
use pixr::vector::{Index, QueryVector, VectorColumn as Column};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;

/// Unit vectors in memory with the codes and the graph that a part of a library has.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct VectorColumn {
    column: Column,
    byte_len: usize,
}

/// Row numbers as little-endian u32, and cosines as float32.
type Found<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pymethods]
impl VectorColumn {
    /// Builds from little-endian float16 rows of unit length.
    #[staticmethod]
    fn build(py: Python<'_>, vectors: &[u8], dimension: usize) -> PyResult<Self> {
        let build = || {
            let values: Vec<f16> = vectors.as_chunks::<2>().0.iter().map(|two| f16::from_le_bytes(*two)).collect();
            let rows: Vec<u32> = (0..).take(values.len() / dimension.max(1)).collect();
            let mut sections = SectionBytes::new();
            Column::build("rows", dimension, &rows, &values, Index::Graph, &mut sections)?;
            let byte_len = sections.iter().map(|(_, bytes)| bytes.len()).sum();
            let sections: BTreeMap<String, Section> =
                sections.into_iter().map(|(name, bytes)| (name, Section::from_vec(bytes))).collect();
            let nothing = || Error::InvalidQuery { detail: "a column needs vectors".to_owned() };
            let column = Column::open("rows", &sections)?.ok_or_else(nothing)?;
            Ok(Self { column, byte_len })
        };
        py.detach(build).map_err(|error: Error| to_python(&error))
    }

    /// Bytes of all of it, as on disk.
    #[getter]
    fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// The `k` best rows of a little-endian float32 query: exactly, or with so much effort approximately.
    #[pyo3(signature = (query, k, effort=None))]
    fn search<'py>(&self, py: Python<'py>, query: &[u8], k: usize, effort: Option<usize>) -> PyResult<Found<'py>> {
        let components: Vec<f32> = query.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let search = || {
            let query = QueryVector::new("the query", &components)?;
            match effort {
                Some(effort) => self.column.approximate_top_k(&query, k, effort, None),
                None => self.column.top_k(&query, k, None),
            }
        };
        let found = py.detach(search).map_err(|error: Error| to_python(&error))?;
        let rows: Vec<u8> = found.iter().flat_map(|(row, _)| row.to_le_bytes()).collect();
        let scores: Vec<u8> = found.iter().flat_map(|(_, score)| score.to_le_bytes()).collect();
        Ok((PyBytes::new(py, &rows), PyBytes::new(py, &scores)))
    }
}
