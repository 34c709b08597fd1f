//! `pixr._engine.HalfMatrix`: tables of a model, multiplied without numpy's threads.

use pixr::vector::HalfMatrix as Matrix;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::to_python;

/// Rows of float16.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct HalfMatrix(Matrix);

#[pymethods]
impl HalfMatrix {
    /// Takes little-endian float16 rows of `dimension` components each.
    #[staticmethod]
    fn of(rows: &[u8], dimension: usize) -> PyResult<Self> {
        Matrix::new(dimension, rows.to_vec()).map(Self).map_err(|error| to_python(&error))
    }

    /// With the rows as keys: `(products, means)` as float32, all of the first vector, then of the next. `products` are
    /// those of each key with the vector; `means` those of each row of `values` with the softmax of them over `temperature`.
    /// The little-endian float32 vectors follow one another.
    fn attend<'py>(
        &self,
        py: Python<'py>,
        values: &Self,
        vectors: &[u8],
        temperature: f32,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let components: Vec<f32> = vectors.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let attend = || self.0.attend(&values.0, components.chunks(self.0.dimension()), temperature);
        let found = py.detach(attend).map_err(|error| to_python(&error))?;
        let bytes = |numbers: &[f32]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            PyBytes::new(py, &bytes)
        };
        Ok((bytes(&found.products), bytes(&found.means)))
    }
}
