//! What the vector benches measure on.

use std::path::{Path, PathBuf};

use half::f16;
use pixr::vector::{QueryVector, normalise};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rows of one length, one after the other.
pub(crate) struct Matrix {
    pub(crate) dimension: usize,
    pub(crate) values: Vec<f16>,
}

impl Matrix {
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// The first `count` rows with `dimension` components each: cut, or followed by those of other rows.
    pub(crate) fn reshaped(&self, dimension: usize, count: usize) -> Result<Self, Failure> {
        let mut values = Vec::with_capacity(count * dimension);
        for row in 0..count.min(self.len()) {
            let sources = (0..dimension.div_ceil(self.dimension)).map(|piece| (row + 7919 * piece) % self.len());
            let components = sources.flat_map(|row| self.values.iter().skip(row * self.dimension).take(self.dimension));
            let components: Vec<f32> = components.take(dimension).map(|component| component.to_f32()).collect();
            values.extend(normalise("a reshaped row", &components)?);
        }
        Ok(Self { dimension, values })
    }

    pub(crate) fn queries(&self) -> Result<Vec<QueryVector>, Failure> {
        let query = |query: &[f16]| {
            QueryVector::new("query", &query.iter().map(|component| component.to_f32()).collect::<Vec<_>>())
        };
        Ok(self.values.chunks_exact(self.dimension).map(query).collect::<pixr::Result<_>>()?)
    }
}

/// Rows and queries: those of `$PIXR_BENCH_DATA` or `../shared/data`, else clustered noise.
pub(crate) fn load() -> Result<(Matrix, Matrix), Failure> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("PIXR_BENCH_DATA").map_or(beside, PathBuf::from);
    let vectors = std::env::var_os("PIXR_BENCH_VECTORS").map_or(folder.join("vectors.f16.npy"), PathBuf::from);
    if vectors.is_file() {
        return Ok((read_npy(&vectors)?, read_npy(&folder.join("queries.f16.npy"))?));
    }
    println!("no {}: clustered noise instead", vectors.display());
    Ok((clustered(200_000, 384, 1)?, clustered(500, 384, 2)?))
}

/// Reads a two-dimensional array of little-endian float16 in C order.
fn read_npy(path: &Path) -> Result<Matrix, Failure> {
    let bytes = std::fs::read(path)?;
    let header_len =
        bytes.get(8..10).and_then(|len| Some(u16::from_le_bytes(len.try_into().ok()?))).ok_or("no header")?;
    let (header, body) = bytes.split_at(10 + usize::from(header_len));
    let header = String::from_utf8_lossy(header);
    if !header.contains("'<f2'") || header.contains("'fortran_order': True") {
        return Err(format!("{} is not float16 in C order", path.display()).into());
    }
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).ok_or("no shape")?.0;
    let dimension = shape.split(',').nth(1).ok_or("not two dimensions")?.trim().parse()?;
    let (values, _) = body.as_chunks::<2>();
    Ok(Matrix { dimension, values: values.iter().map(|&value| f16::from_le_bytes(value)).collect() })
}

/// Rows around two hundred centres.
fn clustered(count: usize, dimension: usize, seed: u64) -> Result<Matrix, Failure> {
    let noise = |seed: u64| {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        }
    };
    let centres: Vec<f32> = std::iter::repeat_with(noise(0)).take(200 * dimension).collect();
    let mut next = noise(seed);
    let mut values = Vec::with_capacity(count * dimension);
    for _ in 0..count {
        let cluster = ((next() + 1.0) * 99.99) as usize;
        let centre = centres.iter().skip(cluster * dimension).take(dimension);
        let vector: Vec<f32> = centre.map(|component| component + 1.2 * next()).collect();
        values.extend(normalise("clustered noise", &vector)?);
    }
    Ok(Matrix { dimension, values })
}
