//! `pixr._engine.squeeze`: pictures as a network takes them, several times as fast as Pillow makes them of RGB.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use numpy::ndarray::Array4;
use numpy::{IntoPyArray, PyArray4, PyReadonlyArray3};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Squeezes RGB pictures, uint8 `(height, width, 3)`, to squares by the bicubic filter that Pillow has, one after the
/// other: uint8 `(pictures, side, side, 3)`.
#[pyfunction]
pub(crate) fn squeeze<'py>(
    py: Python<'py>,
    pictures: Vec<PyReadonlyArray3<'py, u8>>,
    side: u32,
) -> PyResult<Bound<'py, PyArray4<u8>>> {
    let given: Vec<Picture<'_>> = pictures.iter().map(Picture::of).collect::<PyResult<_>>()?;
    let edge = side as usize;
    let squeeze = || {
        let mut all = vec![0; given.len() * edge * edge * 3];
        let mut resizer = Resizer::new();
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        let mut narrow = Image::new(0, 0, PixelType::U8x3);
        for (picture, small) in given.iter().zip(all.chunks_exact_mut(edge * edge * 3)) {
            let Picture { width, height, pixels } = picture;
            let picture = ImageRef::new(*width, *height, pixels, PixelType::U8x3).map_err(refuse)?;
            // In two steps, since Pillow resizes rows before columns and rounds between: else vectors would move.
            if narrow.height() != *height {
                narrow = Image::new(side, *height, PixelType::U8x3);
            }
            resizer.resize(&picture, &mut narrow, &options).map_err(refuse)?;
            let mut small = Image::from_slice_u8(side, side, small, PixelType::U8x3).map_err(refuse)?;
            resizer.resize(&narrow, &mut small, &options).map_err(refuse)?;
        }
        Array4::from_shape_vec((given.len(), edge, edge, 3), all).map_err(refuse)
    };
    py.detach(squeeze).map(|squares| squares.into_pyarray(py))
}

/// A picture whose rows follow one another; copied only where the array's don't.
struct Picture<'a> {
    width: u32,
    height: u32,
    pixels: Cow<'a, [u8]>,
}

impl<'a> Picture<'a> {
    fn of(array: &'a PyReadonlyArray3<'_, u8>) -> PyResult<Self> {
        let pixels = array.as_array();
        let (height, width, channels) = pixels.dim();
        if channels != 3 {
            return Err(refuse(format!("a picture has 3 channels, got {channels}")));
        }
        let pixels = array.as_slice().map_or_else(|_| pixels.iter().copied().collect(), Cow::Borrowed);
        Ok(Self {
            width: u32::try_from(width).map_err(refuse)?,
            height: u32::try_from(height).map_err(refuse)?,
            pixels,
        })
    }
}

fn refuse(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
