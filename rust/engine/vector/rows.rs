//! Which rows of a part carry a vector.

use std::ops::Range;

/// The rows of a column, ascending. The position of a row is where its vector lies.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// Every row from `first` on, `len` of them; costs no memory.
    Run {
        /// The first row.
        first: u32,
        /// How many.
        len: u32,
    },
    /// The listed rows.
    List(&'a [[u8; 4]]),
}

impl Rows<'_> {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match *self {
            Self::Run { len, .. } => len as usize,
            Self::List(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at `position`; `None` past the end.
    #[inline]
    #[must_use]
    pub fn row(&self, position: u32) -> Option<u32> {
        match *self {
            Self::Run { first, len } => (position < len).then(|| first.wrapping_add(position)),
            Self::List(rows) => rows.get(position as usize).map(|&bytes| u32::from_le_bytes(bytes)),
        }
    }

    /// The position of `row`, if it carries a vector.
    #[must_use]
    pub fn position(&self, row: u32) -> Option<u32> {
        match *self {
            Self::Run { first, len } => row.checked_sub(first).filter(|&position| position < len),
            Self::List(rows) => rows
                .binary_search_by_key(&row, |&bytes| u32::from_le_bytes(bytes))
                .ok()
                .and_then(|position| u32::try_from(position).ok()),
        }
    }

    /// The positions of the rows within `range`.
    #[must_use]
    pub fn positions(&self, range: Range<u32>) -> Range<u32> {
        let below = |bound: u32| match *self {
            Self::Run { first, len } => bound.saturating_sub(first).min(len),
            Self::List(rows) => rows.partition_point(|&bytes| u32::from_le_bytes(bytes) < bound) as u32,
        };
        let end = below(range.end);
        below(range.start).min(end)..end
    }

    /// Whether any row of `range` carries a vector.
    #[must_use]
    pub fn any_within(&self, range: Range<u32>) -> bool {
        !self.positions(range).is_empty()
    }

    /// Every row, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len() as u32).filter_map(|position| self.row(position))
    }
}
