//! `pixr._engine.VectorColumn`: vectors and their index alone, for measuring them beside other libraries.

use std::path::PathBuf;

use half::f16;
use pixr::Error;
use pixr::storage::disk::DiskStorage;
use pixr::storage::names::{FileName, create_directories};
use pixr::storage::part_file::{open_part, write_part};
use pixr::storage::seam::Storage;
use pixr::storage::section::SectionBytes;
use pixr::vector::{Index, QueryVector, VectorColumn as Column};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;

/// The number of the part that holds a column.
const PART: u64 = 1;

/// Unit vectors in a part's file, with the codes and the graph that a part of a library has.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct VectorColumn {
    column: Column,
    byte_len: u64,
}

/// Row numbers as little-endian u32, and cosines as float32.
type Found<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pymethods]
impl VectorColumn {
    /// Writes a part of little-endian float16 rows of unit length into a new directory, and opens it.
    #[staticmethod]
    fn build(py: Python<'_>, vectors: &[u8], dimension: usize, directory: PathBuf) -> PyResult<Self> {
        let build = || {
            let values: Vec<f16> = vectors.as_chunks::<2>().0.iter().map(|two| f16::from_le_bytes(*two)).collect();
            let rows: Vec<u32> = (0..).take(values.len() / dimension.max(1)).collect();
            let mut sections = SectionBytes::new();
            Column::build("rows", dimension, &rows, &values, Index::Graph, &mut sections)?;
            let storage = DiskStorage::create(directory)?;
            create_directories(&storage)?;
            let byte_len = write_part(&storage, PART, &sections)?;
            Self::read(&storage, byte_len)
        };
        py.detach(build).map_err(|error: Error| to_python(&error))
    }

    /// Opens what `build` wrote, mapped.
    #[staticmethod]
    fn open(py: Python<'_>, directory: PathBuf) -> PyResult<Self> {
        let open = || {
            let storage = DiskStorage::open(directory)?;
            let byte_len = storage.len(&FileName::Part(PART).to_string())?;
            Self::read(&storage, byte_len)
        };
        py.detach(open).map_err(|error: Error| to_python(&error))
    }

    /// Bytes of its file.
    #[getter]
    fn byte_len(&self) -> u64 {
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

impl VectorColumn {
    fn read(storage: &DiskStorage, byte_len: u64) -> pixr::Result<Self> {
        let nothing = || Error::InvalidQuery { detail: "a column needs vectors".to_owned() };
        let column = Column::open("rows", &open_part(storage, PART, byte_len)?)?.ok_or_else(nothing)?;
        Ok(Self { column, byte_len })
    }
}
