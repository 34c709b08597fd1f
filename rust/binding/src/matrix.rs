//! `pixr._engine.HalfMatrix` and `ByteMatrix`: tables of a model, multiplied without numpy's threads.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pixr::vector;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::to_python;

type Rows<'py> = Bound<'py, PyArray2<f32>>;

/// Rows of float16.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct HalfMatrix(vector::HalfMatrix);

#[pymethods]
impl HalfMatrix {
    /// Takes little-endian float16 rows of `dimension` components each.
    #[staticmethod]
    fn of(rows: &[u8], dimension: usize) -> PyResult<Self> {
        vector::HalfMatrix::new(dimension, rows.to_vec()).map(Self).map_err(|error| to_python(&error))
    }

    /// The product of each vector with each row: float32 `(vectors, dimension)` in, `(vectors, rows)` out.
    fn products<'py>(&self, py: Python<'py>, vectors: PyReadonlyArray2<'py, f32>) -> PyResult<Rows<'py>> {
        let (count, components) = components_of(&vectors);
        let found = py.detach(|| self.0.products(components.chunks(self.0.dimension())));
        to_array(py, count, found.map_err(|error| to_python(&error))?)
    }
}

/// Rows of bytes, each with a scale.
#[pyclass(frozen, module = "pixr._engine")]
pub(crate) struct ByteMatrix(vector::ByteMatrix);

#[pymethods]
impl ByteMatrix {
    /// Takes int8 levels, `(rows, dimension)`, and float32 scales, `(rows,)`.
    #[staticmethod]
    fn of(levels: PyReadonlyArray2<'_, i8>, scales: PyReadonlyArray1<'_, f32>) -> PyResult<Self> {
        let levels = levels.as_array();
        let scales = scales.as_array().to_vec();
        let rows: Vec<i8> = levels.iter().copied().collect();
        vector::ByteMatrix::new(levels.ncols(), &rows, scales).map(Self).map_err(|error| to_python(&error))
    }

    /// The product of each vector with each row: float32 `(vectors, dimension)` in, `(vectors, rows)` out.
    fn products<'py>(&self, py: Python<'py>, vectors: PyReadonlyArray2<'py, f32>) -> PyResult<Rows<'py>> {
        let (count, components) = components_of(&vectors);
        let found = py.detach(|| self.0.products(components.chunks(self.0.dimension())));
        to_array(py, count, found.map_err(|error| to_python(&error))?)
    }

    /// The greatest product of each vector with any row: float32 `(vectors, dimension)` in, as many numbers out.
    fn greatest(&self, py: Python<'_>, vectors: PyReadonlyArray2<'_, f32>) -> PyResult<Vec<f32>> {
        let (_, components) = components_of(&vectors);
        py.detach(|| self.0.greatest(components.chunks(self.0.dimension()))).map_err(|error| to_python(&error))
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
