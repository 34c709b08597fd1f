//! A dense set of row or video numbers within one part: one bit each.

/// A set of numbers below `len`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowSet {
    words: Vec<u64>,
    len: u32,
    /// How many it holds: asked several times for each word of a question, of hundreds of thousands of rows.
    count: u32,
}

impl RowSet {
    /// The empty set over `0..len`.
    #[must_use]
    pub fn empty(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len, count: 0 }
    }

    /// Every number in `0..len`.
    #[must_use]
    pub fn full(len: u32) -> Self {
        let mut set = Self { words: vec![u64::MAX; (len as usize).div_ceil(64)], len, count: len };
        if let (Some(last), tail @ 1..) = (set.words.last_mut(), len % 64) {
            *last = (1 << tail) - 1;
        }
        set
    }

    /// How many numbers the set could hold.
    #[must_use]
    pub fn universe(&self) -> u32 {
        self.len
    }

    /// How many it holds.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether `number` is in the set; false outside `0..universe`.
    #[inline]
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// The first number from `number` on that is in the set.
    #[inline]
    pub(crate) fn next_from(&self, number: u32) -> Option<u32> {
        self.first_bit(number, |word| word)
    }

    /// The first number from `number` on that is not in the set, at most `universe`.
    #[inline]
    pub(crate) fn end_of_run(&self, number: u32) -> u32 {
        self.first_bit(number, |word| !word).map_or(self.len, |end| end.min(self.len))
    }

    /// The first number from `number` on whose bit is set once `of` was applied to its word.
    #[inline]
    fn first_bit(&self, number: u32, of: impl Fn(u64) -> u64) -> Option<u32> {
        let index = number as usize / 64;
        let mut word = of(*self.words.get(index)?) & (u64::MAX << (number % 64));
        let mut rest = self.words.get(index + 1..)?.iter();
        let mut first = number - number % 64;
        while word == 0 {
            word = of(*rest.next()?);
            first += 64;
        }
        Some(first + word.trailing_zeros())
    }

    /// How many runs of consecutive numbers begin in the words that hold `range`.
    pub(crate) fn run_count(&self, range: std::ops::Range<u32>) -> usize {
        let words = self.words.get(range.start as usize / 64..(range.end as usize).div_ceil(64)).unwrap_or_default();
        let begun =
            |last: &mut u64, word: &u64| Some((word & !(word << 1 | std::mem::replace(last, word >> 63))).count_ones());
        words.iter().scan(0, begun).map(|count| count as usize).sum()
    }

    /// Adds `number`; ignored outside `0..universe`.
    pub fn insert(&mut self, number: u32) {
        if number < self.len
            && let Some(word) = self.words.get_mut(number as usize / 64)
        {
            let bit = 1 << (number % 64);
            self.count += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Adds every number of `range`.
    pub(crate) fn insert_range(&mut self, range: std::ops::Range<u32>) {
        let (mut from, end) = (range.start, range.end.min(self.len));
        while from < end {
            // As far as the word reaches.
            let count = (end - from).min(64 - from % 64);
            self.insert_bits(from, u64::MAX >> (64 - count));
            from += count;
        }
    }

    /// Adds what `other` holds of `range`, moved so that the start of the range becomes `first`.
    pub(crate) fn insert_from(&mut self, first: u32, other: &Self, range: std::ops::Range<u32>) {
        let (mut from, mut to) = (range.start, first);
        while from < range.end && to < self.len {
            // As far as neither set reaches the end of a word.
            let count = (range.end - from).min(self.len - to).min(64 - from % 64).min(64 - to % 64);
            let bits = other.words.get(from as usize / 64).map_or(0, |word| word >> (from % 64));
            self.insert_bits(to, bits & (u64::MAX >> (64 - count)));
            (from, to) = (from + count, to + count);
        }
    }

    /// Adds the numbers from `first` on whose bits are set, which must lie in one word.
    fn insert_bits(&mut self, first: u32, bits: u64) {
        if let Some(word) = self.words.get_mut(first as usize / 64) {
            let bits = bits << (first % 64);
            self.count += (bits & !*word).count_ones();
            *word |= bits;
        }
    }

    /// Takes `number` out.
    pub fn remove(&mut self, number: u32) {
        if let Some(word) = self.words.get_mut(number as usize / 64) {
            let bit = 1 << (number % 64);
            self.count -= u32::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Keeps what both sets hold.
    pub(crate) fn intersect(&mut self, other: &Self) {
        for (index, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(index).copied().unwrap_or(0);
        }
        self.recount();
    }

    /// Adds what `other` holds, within this set's universe.
    pub(crate) fn unite(&mut self, other: &Self) {
        for (index, word) in self.words.iter_mut().enumerate() {
            *word |= other.words.get(index).copied().unwrap_or(0);
        }
        self.trim();
        self.recount();
    }

    /// Turns the set into its complement.
    pub(crate) fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.trim();
        self.count = self.len - self.count;
    }

    /// The bits, 64 numbers a word, lowest number in the lowest bit.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    index as u32 * 64 + bit
                })
            })
        })
    }

    fn trim(&mut self) {
        if let (Some(last), tail @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << tail) - 1;
        }
    }

    fn recount(&mut self) {
        self.count = self.words.iter().map(|word| word.count_ones()).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_inserted_from_another_set_is_what_that_holds(
            held in prop::collection::btree_set(0_u32..200, 0..150), first in 0_u32..200, start in 0_u32..220, len in 0_u32..220,
        ) {
            let (mut other, mut set) = (RowSet::empty(200), RowSet::empty(150));
            held.iter().for_each(|number| other.insert(*number));
            set.insert(5);
            set.insert_from(first, &other, start..start + len);
            let moved = held.iter().filter(|number| (start..start + len).contains(number)).map(|number| number - start + first);
            let expected: BTreeSet<u32> = moved.filter(|number| *number < 150).chain([5]).collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_set_counts_what_it_holds(
            changes in prop::collection::vec((0_u8..6, 0_u32..220, 0_u32..220), 0..20), other in 0_u32..220,
        ) {
            let (mut set, mut held) = (RowSet::empty(200), BTreeSet::new());
            let odd: BTreeSet<u32> = (1..other).step_by(2).collect();
            let as_set = |numbers: &BTreeSet<u32>, len: u32| {
                let mut set = RowSet::empty(len);
                numbers.iter().for_each(|number| set.insert(*number));
                set
            };
            for (change, one, end) in changes {
                match change {
                    0 => set.insert(one),
                    1 => set.remove(one),
                    2 => set.insert_range(one..end),
                    3 => set.intersect(&as_set(&odd, other)),
                    4 => set.unite(&as_set(&odd, other)),
                    _ => set.invert(),
                }
                match change {
                    0 => held.extend([one]),
                    1 => held.retain(|number| *number != one),
                    2 => held.extend(one..end),
                    3 => held.retain(|number| odd.contains(number)),
                    4 => held.extend(&odd),
                    _ => held = (0..200).filter(|number| !held.contains(number)).collect(),
                }
                held.retain(|number| *number < 200);
                prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), held.clone());
                prop_assert_eq!(set.count() as usize, held.len());
                prop_assert_eq!(&set, &as_set(&held, 200));
            }
        }
    }

    proptest! {
        #[test]
        fn runs_begin_and_end_where_numbers_do(
            held in prop::collection::btree_set(0_u32..300, 0..200), len in 0_u32..300, from in 0_u32..400,
        ) {
            let mut set = RowSet::empty(len);
            held.iter().for_each(|number| set.insert(*number));
            prop_assert_eq!(set.next_from(from), set.iter().find(|number| *number >= from));
            prop_assert_eq!(set.end_of_run(from.min(len)), (from.min(len)..len).find(|number| !set.contains(*number)).unwrap_or(len));
            let begun = set.iter().filter(|number| number.checked_sub(1).is_none_or(|before| !set.contains(before)));
            prop_assert_eq!(set.run_count(0..len), begun.count());
            prop_assert_eq!(set.count() as usize, set.iter().count());
        }
    }

    #[test]
    fn set_operations_stay_within_the_universe() {
        let mut set = RowSet::full(70);
        assert_eq!(set.count(), 70);
        set.remove(3);
        set.invert();
        assert_eq!(set.iter().collect::<Vec<_>>(), [3]);
        set.unite(&RowSet::full(100));
        assert_eq!(set.count(), 70);
        set.insert(70);
        assert!(!set.contains(70));
        let mut few = RowSet::empty(70);
        few.insert_range(60..66);
        set.intersect(&few);
        assert_eq!(set.iter().collect::<Vec<_>>(), [60, 61, 62, 63, 64, 65]);
    }
}
