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

impl<'a> Rows<'a> {
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
            Self::List(rows) => {
                let position = below(rows, row);
                (rows.get(position) == Some(&row.to_le_bytes())).then_some(position as u32)
            }
        }
    }

    /// The positions of the rows within `range`.
    #[must_use]
    pub fn positions(&self, range: Range<u32>) -> Range<u32> {
        let below = |bound: u32| match *self {
            Self::Run { first, len } => bound.saturating_sub(first).min(len),
            Self::List(rows) => below(rows, bound) as u32,
        };
        let end = below(range.end);
        below(range.start).min(end)..end
    }

    /// The positions of rows that ascend: found from where the one before was.
    #[must_use]
    pub fn cursor(self) -> Cursor<'a> {
        Cursor { rows: self, at: 0 }
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

/// Finds the positions of rows that ascend.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rows: Rows<'a>,
    at: usize,
}

impl Cursor<'_> {
    /// The position of the first row that is not below `row`; never before that of an earlier call.
    #[inline]
    pub fn seek(&mut self, row: u32) -> u32 {
        match self.rows {
            Rows::Run { first, len } => row.saturating_sub(first).min(len),
            Rows::List(rows) => {
                let is_below = |at: usize| rows.get(at).is_some_and(|&bytes| u32::from_le_bytes(bytes) < row);
                let mut step = 1;
                while is_below(self.at + step - 1) {
                    self.at += step;
                    step *= 2;
                }
                let rest = rows.get(self.at..(self.at + step).min(rows.len())).unwrap_or_default();
                self.at += rest.partition_point(|&bytes| u32::from_le_bytes(bytes) < row);
                self.at as u32
            }
        }
    }

    /// The position of `row`, if it carries a vector.
    #[inline]
    pub fn position(&mut self, row: u32) -> Option<u32> {
        let position = self.seek(row);
        self.rows.row(position).filter(|found| *found == row).map(|_| position)
    }
}

/// How many of the ascending rows lie below `bound`. Rows are spread evenly but for little, so the search widens from
/// where the row would be, which touches a few lines of memory where halving touches one a step.
fn below(rows: &[[u8; 4]], bound: u32) -> usize {
    let at = |position: usize| rows.get(position).map_or(u32::MAX, |&bytes| u32::from_le_bytes(bytes));
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return 0 };
    let (first, last) = (u32::from_le_bytes(first), u32::from_le_bytes(last));
    if bound <= first {
        return 0;
    }
    if bound > last {
        return rows.len();
    }
    let share = u64::from(bound - first) * (rows.len() as u64 - 1) / u64::from(last - first);
    let (mut low, mut high, mut step) = (share as usize, share as usize, 1);
    while low > 0 && at(low) >= bound {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    while high < rows.len() && at(high) < bound {
        low = high;
        high = (high + step).min(rows.len());
        step *= 2;
    }
    let within = rows.get(low..high).unwrap_or_default();
    low + within.partition_point(|&bytes| u32::from_le_bytes(bytes) < bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_found_as_by_halving(
            rows in prop::collection::btree_set(prop_oneof![0_u32..300, any::<u32>()], 0..200),
            bound in prop_oneof![0_u32..300, any::<u32>()],
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let bytes: Vec<[u8; 4]> = rows.iter().map(|row| row.to_le_bytes()).collect();
            for bound in rows.iter().copied().chain([bound]) {
                prop_assert_eq!(below(&bytes, bound), rows.partition_point(|row| *row < bound));
            }
            let list = Rows::List(&bytes);
            let (mut cursor, mut asked) = (list.cursor(), rows.clone());
            asked.extend([bound, bound / 2, bound.saturating_add(1)]);
            asked.sort_unstable();
            for row in asked {
                prop_assert_eq!(cursor.seek(row), below(&bytes, row) as u32);
                prop_assert_eq!(cursor.position(row), list.position(row));
            }
            prop_assert_eq!(list.position(bound), rows.binary_search(&bound).ok().map(|position| position as u32));
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), rows);
        }
    }
}
