//! `pixr._engine.squeeze`: pictures as a network takes them, several times as fast as Pillow makes them of RGB.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// Squeezes RGB pictures, `(pixels, width, height)`, to squares by the bicubic filter that Pillow has, one after the other.
#[pyfunction]
pub(crate) fn squeeze<'py>(
    py: Python<'py>,
    pictures: Vec<(PyBackedBytes, u32, u32)>,
    side: u32,
) -> PyResult<Bound<'py, PyBytes>> {
    let square = (side as usize).pow(2) * 3;
    PyBytes::new_with(py, pictures.len() * square, |all| {
        py.detach(|| {
            let mut resizer = Resizer::new();
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
            let mut narrow = Image::new(0, 0, PixelType::U8x3);
            for ((pixels, width, height), small) in pictures.iter().zip(all.chunks_exact_mut(square)) {
                let picture = ImageRef::new(*width, *height, pixels, PixelType::U8x3).map_err(refuse)?;
                // In two steps, since Pillow resizes rows before columns and rounds between: else vectors would move.
                if narrow.height() != *height {
                    narrow = Image::new(side, *height, PixelType::U8x3);
                }
                resizer.resize(&picture, &mut narrow, &options).map_err(refuse)?;
                let mut small = Image::from_slice_u8(side, side, small, PixelType::U8x3).map_err(refuse)?;
                resizer.resize(&narrow, &mut small, &options).map_err(refuse)?;
            }
            Ok(())
        })
    })
}

fn refuse(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
