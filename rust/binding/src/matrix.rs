//! `pixr._engine.HalfMatrix`: tables of a model, multiplied without numpy's threads.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
use pixr::vector::HalfMatrix as Matrix;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::to_python;

type Rows<'py> = Bound<'py, PyArray2<f32>>;

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

    /// The product of each vector with each row: float32 `(vectors, dimension)` in, `(vectors, rows)` out.
    fn products<'py>(&self, py: Python<'py>, vectors: PyReadonlyArray2<'py, f32>) -> PyResult<Rows<'py>> {
        let (count, components) = components_of(&vectors);
        let found = py.detach(|| self.0.products(components.chunks(self.0.dimension())));
        to_array(py, count, found.map_err(|error| to_python(&error))?)
    }

    /// With the rows as keys: `(products, means)`. `products` are as above; `means`, float32 `(vectors, values)`, those of
    /// each row of `values` with the softmax of them over `temperature`.
    fn attend<'py>(
        &self,
        py: Python<'py>,
        values: &Self,
        vectors: PyReadonlyArray2<'py, f32>,
        temperature: f32,
    ) -> PyResult<(Rows<'py>, Rows<'py>)> {
        let (count, components) = components_of(&vectors);
        let attend = || self.0.attend(&values.0, components.chunks(self.0.dimension()), temperature);
        let found = py.detach(attend).map_err(|error| to_python(&error))?;
        Ok((to_array(py, count, found.products)?, to_array(py, count, found.means)?))
    }
}

/// How many vectors there are, and the components of all.
fn components_of(vectors: &PyReadonlyArray2<'_, f32>) -> (usize, Vec<f32>) {
    let vectors = vectors.as_array();
    (vectors.nrows(), vectors.iter().copied().collect())
}

fn to_array(py: Python<'_>, count: usize, numbers: Vec<f32>) -> PyResult<Rows<'_>> {
    let row = numbers.len().checked_div(count).unwrap_or(0);
    let array = Array2::from_shape_vec((count, row), numbers);
    array.map(|array| array.into_pyarray(py)).map_err(|error| PyValueError::new_err(error.to_string()))
}
