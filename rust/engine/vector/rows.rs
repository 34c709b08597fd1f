//! Which rows of a part carry a vector.

use std::ops::Range;

/// Bits of a word of `Ranks`.
const WORD_ROWS: u32 = u64::BITS;
/// Where fewer than one row in so many is listed there are no ranks: they would take more than twelve times the list's bytes.
const MOST_ROWS_BETWEEN: u32 = 256;

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
    /// The listed rows, and where each is listed unless they are few and far between.
    List(&'a [[u8; 4]], Option<&'a Ranks>),
}

impl<'a> Rows<'a> {
    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match *self {
            Self::Run { len, .. } => len as usize,
            Self::List(rows, _) => rows.len(),
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
            Self::List(rows, _) => rows.get(position as usize).map(number),
        }
    }

    /// The position of `row`, if it carries a vector.
    #[inline]
    #[must_use]
    pub fn position(&self, row: u32) -> Option<u32> {
        match *self {
            Self::Run { first, len } => row.checked_sub(first).filter(|&position| position < len),
            Self::List(_, Some(ranks)) => ranks.position(row),
            Self::List(rows, None) => rows.binary_search_by_key(&row, number).ok().map(|position| position as u32),
        }
    }

    /// The positions of the rows within `range`.
    #[must_use]
    pub(crate) fn positions(&self, range: Range<u32>) -> Range<u32> {
        let end = self.below(range.end);
        self.below(range.start).min(end)..end
    }

    /// Whether any row of `range` carries a vector.
    #[must_use]
    pub(crate) fn any_within(&self, range: Range<u32>) -> bool {
        !self.positions(range).is_empty()
    }

    /// Every row, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        let rows = *self;
        (0..rows.len() as u32).filter_map(move |position| rows.row(position))
    }

    /// How many rows lie below `bound`.
    #[inline]
    fn below(&self, bound: u32) -> u32 {
        match *self {
            Self::Run { first, len } => bound.saturating_sub(first).min(len),
            Self::List(_, Some(ranks)) => ranks.below(bound),
            Self::List(rows, None) => rows.partition_point(|row| number(row) < bound) as u32,
        }
    }
}

/// Where rows are listed: a bit for each row from the first listed one to the last, and how many are listed before each
/// word of bits (the rank of Jacobson 1989, "Space-efficient static trees and graphs"). Twelve bytes for 64 rows, so those
/// of a large part stay in the cache where its list would not.
#[derive(Debug, Default)]
pub struct Ranks {
    first: u32,
    bits: Vec<u64>,
    before: Vec<u32>,
}

impl Ranks {
    /// Those of a list that ascends; `None` where its rows are few and far between, which are as soon found in the list.
    #[must_use]
    pub(super) fn of(rows: &[[u8; 4]]) -> Option<Self> {
        let (first, last) = (number(rows.first()?), number(rows.last()?));
        if (last.checked_sub(first)? / MOST_ROWS_BETWEEN) as usize > rows.len() {
            return None;
        }
        let mut bits = vec![0; ((last - first) / WORD_ROWS) as usize + 1];
        for row in rows.iter().map(number) {
            let (word, bit) = place(row - first);
            bits.get_mut(word).into_iter().for_each(|word: &mut u64| *word |= bit);
        }
        let add = |sum: &mut u32, word: &u64| Some(std::mem::replace(sum, *sum + word.count_ones()));
        let before = bits.iter().chain(std::iter::once(&0)).scan(0, add).collect();
        Some(Self { first, bits, before })
    }

    /// How many listed rows lie below `bound`.
    #[inline]
    fn below(&self, bound: u32) -> u32 {
        let (word, bit) = place(bound.saturating_sub(self.first));
        match (self.before.get(word), self.bits.get(word)) {
            (Some(before), Some(bits)) => before + (bits & (bit - 1)).count_ones(),
            _ => self.before.last().copied().unwrap_or_default(),
        }
    }

    /// The place of a row in the list, if it is in it.
    #[inline]
    fn position(&self, row: u32) -> Option<u32> {
        let (word, bit) = place(row.checked_sub(self.first)?);
        let bits = self.bits.get(word).filter(|bits| *bits & bit != 0)?;
        Some(self.before.get(word)? + (bits & (bit - 1)).count_ones())
    }
}

fn number(bytes: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*bytes)
}

/// The word and the bit of a row that is so far from the first.
#[inline]
fn place(offset: u32) -> (usize, u64) {
    ((offset / WORD_ROWS) as usize, 1 << (offset % WORD_ROWS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_found_as_by_halving(
            rows in prop_oneof![
                prop::collection::btree_set(prop_oneof![0_u32..300, 0..1_u32 << 14], 0..200),
                prop::collection::btree_set(0..u32::MAX, 0..20),
            ],
            others in prop::collection::vec(prop_oneof![0_u32..300, any::<u32>()], 0..50),
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let bytes: Vec<[u8; 4]> = rows.iter().map(|row| row.to_le_bytes()).collect();
            let ranks = Ranks::of(&bytes);
            let list = Rows::List(&bytes, ranks.as_ref());
            for bound in rows.iter().copied().chain(rows.iter().map(|row| row.saturating_add(1))).chain(others) {
                let below = rows.partition_point(|row| *row < bound) as u32;
                prop_assert_eq!(list.positions(0..bound), 0..below);
                prop_assert_eq!(list.positions(bound..u32::MAX), below..rows.len() as u32);
                prop_assert_eq!(list.position(bound), rows.binary_search(&bound).ok().map(|position| position as u32));
            }
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), rows);
        }
    }

    #[test]
    fn ranks_are_kept_of_no_more_rows_than_are_worth_it() {
        let of = |rows: &[u32]| Ranks::of(&rows.iter().map(|row| row.to_le_bytes()).collect::<Vec<_>>());
        assert!(of(&[]).is_none());
        assert!(of(&[7]).is_some_and(|ranks| ranks.bits.len() == 1));
        assert!(of(&[7, 700]).is_some_and(|ranks| ranks.bits.len() == 11));
        // What a damaged file may hold takes no memory.
        assert!(of(&[0, u32::MAX]).is_none());
    }
}
