//! Bytes in memory that start where a mapping would: at a multiple of 64.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

use super::section::ByteOwner;

/// The alignment of every section, on disk and in memory.
pub(crate) const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// A growable run of bytes whose first one lies at a multiple of [`ALIGNMENT`], so that numbers of any width that were
/// written at aligned offsets can be read in place.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    /// Adds `bytes` at the end.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let start = self.len;
        self.len += bytes.len();
        self.lines.resize(self.len.div_ceil(ALIGNMENT), Line::zeroed());
        if let Some(target) = bytemuck::cast_slice_mut::<Line, u8>(&mut self.lines).get_mut(start..self.len) {
            target.copy_from_slice(bytes);
        }
    }

    /// Keeps the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.lines.truncate(self.len.div_ceil(ALIGNMENT));
    }
}

impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut aligned = Self::default();
        aligned.extend_from_slice(bytes);
        aligned
    }
}

impl ByteOwner for AlignedBytes {}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice::<Line, u8>(&self.lines).get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut::<Line, u8>(&mut self.lines).get_mut(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_the_same_and_aligned_while_they_grow_and_shrink() {
        let mut aligned = AlignedBytes::default();
        let mut plain = Vec::new();
        for step in 0..200_u8 {
            let piece = vec![step; usize::from(step) % 67];
            aligned.extend_from_slice(&piece);
            plain.extend_from_slice(&piece);
            if step % 7 == 0 {
                aligned.truncate(plain.len() / 2);
                plain.truncate(plain.len() / 2);
            }
            assert_eq!(&*aligned, &*plain);
            assert_eq!(aligned.as_ptr() as usize % ALIGNMENT, 0);
        }
    }
}
