//! Columns of shares, component by component: bounds for queries that ask for few of the components.
//!
//! Where components are shares of something (how likely each concept is, how often each word), hardly any is below zero,
//! a text asks for a few of them, and a score of a hundredth already tells: less than the error of a code of the whole
//! vector. So such columns are kept a second time, one byte a component, with the bytes of one component side by side
//! ("vertical", as in PDX: Kuffo, Krippner and Boncz, SIGMOD 2025), and a query reads the components that it asks for.
//!
//! ```text
//! d × [f32 low, f32 range]   of component i: what none of the column is below, and how far they reach above
//! d × [count × u8]           code c of every row, rounded up: component i is at most low + range (c / 255)²
//! ```
//!
//! The bound of a row is the sum over the components asked for, of what the others with a positive weight can add
//! to a vector of unit length (Cauchy and Schwarz), of what those that the query is most against take off at least, by the
//! code below, and of the lows of the others with a negative weight. It is never below the score, and tells what the score
//! is not below. Where too many rows are still in question, more components are read (`sharpen`). Columns with more
//! below zero than `MOST_NEGATIVE` have no such section.

use std::ops::Range;

use half::f16;
use rayon::prelude::*;

use super::kernels::{Kernels, Squares};
use crate::error::{Error, Result};
use crate::storage::section::Section;

/// The length of the vector of all lows below zero, up to which a column counts as one of shares.
const MOST_NEGATIVE: f32 = 0.5;
/// A query that needs more than this part of the components reads the vectors instead.
const FEWEST_SPARED: usize = 8;
/// A query reads this part of the components: those that it asks for most and, at least a third, those that it is against
/// most. Without them a bound is as far above the score as a floor is above nothing.
const MOST_READ: usize = 10;
const AGAINST: usize = 3;
/// The same for one that is read more closely.
const MOST_READ_CLOSELY: usize = 4;
/// So many times the tolerance a bound may be above the score before reading the vectors takes less.
const LOOSEST: f32 = 3.0;
/// Turning to a component costs about as much as reading it in this many rows.
const ROWS_A_COMPONENT: usize = 128;
/// Codes squared span the range.
const LARGEST_CODE: f32 = 255.0;
const LARGEST_SQUARE: f32 = LARGEST_CODE * LARGEST_CODE;
/// Covers the rounding of a sum in f32.
const SLACK: f32 = 2e-5;
/// Covers the length of a vector of unit length rounded to f16.
const LONGEST: f32 = 1.001;
/// Components that one task encodes: a line of a vector's memory.
const COMPONENTS_TOGETHER: usize = 32;
const HEAD_BYTES: usize = 8;

/// The section of a column.
#[derive(Debug, Clone)]
pub(super) struct Vertical {
    section: Section,
    dimension: usize,
    count: usize,
}

/// A query prepared to bound rows.
pub(super) struct VerticalQuery<'a> {
    vertical: &'a Vertical,
    /// Components that are read, each with what a squared code counts, and how much less the code must be for that.
    asked: Vec<(usize, f32, u8)>,
    /// How many of them are read at first.
    first: usize,
    at_first: Gap,
    at_last: Gap,
}

/// How far a bound may be above the score.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gap {
    /// What every row has before components are read.
    base: f32,
    /// What those can add at most, and what those can take off that the query is against.
    adding: f32,
    taking: f32,
    /// What those do take off at most, of a vector of unit length.
    taken: f32,
    /// What a row may lack that is not read.
    unread: f32,
}

/// What a query asks of a component.
struct Wanted {
    index: usize,
    weight: f32,
    low: f32,
    range: f32,
}

/// Bytes of a section.
pub(super) fn byte_len(dimension: usize, count: usize) -> Option<usize> {
    count.checked_add(HEAD_BYTES)?.checked_mul(dimension)
}

/// The section for `vectors`, one after the other; none where their components are no shares.
pub(super) fn encode(dimension: usize, vectors: &[f16]) -> Option<Vec<u8>> {
    let count = vectors.len().checked_div(dimension)?;
    let bounds = bounds(dimension, vectors);
    let below: f32 = bounds.iter().map(|(low, _)| low.min(0.0).powi(2)).sum();
    if below.sqrt() > MOST_NEGATIVE {
        return None;
    }
    let mut bytes = vec![0; byte_len(dimension, count)?];
    let (head, codes) = bytes.split_at_mut(HEAD_BYTES * dimension);
    for (slot, (low, range)) in head.as_chunks_mut::<HEAD_BYTES>().0.iter_mut().zip(&bounds) {
        let [low, range] = [low.to_le_bytes(), range.to_le_bytes()];
        slot.copy_from_slice([low, range].as_flattened());
    }
    codes.par_chunks_mut(count * COMPONENTS_TOGETHER).enumerate().for_each(|(group, codes)| {
        let first = group * COMPONENTS_TOGETHER;
        let bounds = bounds.get(first..).unwrap_or_default();
        for (row, vector) in vectors.chunks_exact(dimension).enumerate() {
            let components = vector.get(first..).unwrap_or_default();
            for ((of_component, &(low, range)), value) in codes.chunks_exact_mut(count).zip(bounds).zip(components) {
                if let Some(code) = of_component.get_mut(row) {
                    *code = code_of(value.to_f32(), low, range);
                }
            }
        }
    });
    Some(bytes)
}

/// The low and the range of every component.
fn bounds(dimension: usize, vectors: &[f16]) -> Vec<(f32, f32)> {
    let none = || vec![(f32::INFINITY, f32::NEG_INFINITY); dimension];
    let widen = |mut bounds: Vec<(f32, f32)>, vector: &[f16]| {
        for ((low, high), value) in bounds.iter_mut().zip(vector) {
            (*low, *high) = (low.min(value.to_f32()), high.max(value.to_f32()));
        }
        bounds
    };
    let both = |one: Vec<(f32, f32)>, other: Vec<(f32, f32)>| {
        one.into_iter().zip(other).map(|(one, other)| (one.0.min(other.0), one.1.max(other.1))).collect()
    };
    let found = vectors.par_chunks_exact(dimension).fold(none, widen).reduce(none, both);
    found.into_iter().map(|(low, high)| (low, high - low)).collect()
}

/// The least code whose component is not below `value`.
fn code_of(value: f32, low: f32, range: f32) -> u8 {
    if value <= low || range <= 0.0 {
        return 0;
    }
    // A cast keeps to the range.
    let code = (255.0 * ((value - low) / range).sqrt()).ceil() as u8;
    let short = low + range / LARGEST_SQUARE * f32::from(code).powi(2) < value;
    code.saturating_add(u8::from(short))
}

impl Vertical {
    pub(super) fn new(section: Section, dimension: usize, count: usize) -> Self {
        Self { section, dimension, count }
    }

    /// Prepares a unit-length query whose bounds may be above the scores by `tolerance` for what is not read; none
    /// where it asks for so many components that reading the vectors takes no longer.
    ///
    /// # Errors
    /// `damaged` where a checksum says so or the head makes no sense.
    pub(super) fn query(&self, components: &[f32], tolerance: f32) -> Result<Option<VerticalQuery<'_>>> {
        let (head, _) = self.section.slice(0..HEAD_BYTES * self.dimension)?.as_chunks::<HEAD_BYTES>();
        let (mut base, mut unread, mut lows) = (0.0, 0.0, 0.0);
        let (mut wanted, mut against) = (Vec::new(), Vec::new());
        for (index, (&weight, bytes)) in components.iter().zip(head).enumerate() {
            let [a, b, c, d, e, f, g, h] = *bytes;
            let (low, range) = (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]));
            if !low.is_finite() || !range.is_finite() || range < 0.0 {
                let detail = format!("component {index} reaches {range} above {low}");
                return Err(Error::damaged(self.section.path(), detail));
            }
            lows += low.min(0.0).powi(2);
            if weight <= 0.0 {
                base += weight * low;
                against.push(Wanted { index, weight, low, range });
            } else if low + range <= 0.0 {
                base += weight * (low + range);
                unread += weight * range;
            } else {
                wanted.push(Wanted { index, weight, low, range });
            }
        }
        wanted.sort_unstable_by(|one, other| other.weight.total_cmp(&one.weight));
        against.sort_unstable_by(|one, other| one.weight.total_cmp(&other.weight));
        let most = self.dimension / MOST_READ;
        let first_wanted = count_until(&wanted, most - most / AGAINST, tolerance);
        let first_against = most.saturating_sub(first_wanted).min(against.len());
        if length(wanted.get(first_wanted..).unwrap_or_default()) * LONGEST > tolerance * LOOSEST {
            return Ok(None);
        }
        let most = (self.dimension / MOST_READ_CLOSELY).saturating_sub(first_wanted + first_against);
        let last_wanted = count_until(&wanted, first_wanted + most / 2, tolerance / 2.0).max(first_wanted);
        let most_against = (first_against + most).saturating_sub(last_wanted - first_wanted);
        let last_against = count_until(&against, most_against, tolerance / 2.0).max(first_against);
        // Of a vector of unit length, less all lows below zero.
        let longest = LONGEST + lows.sqrt();
        let gap = |of_wanted: usize, of_against: usize| {
            let (read, rest) = wanted.split_at(of_wanted);
            let (taking, spared) = against.split_at(of_against);
            let rest = length(rest) * LONGEST;
            Gap {
                base: base + rest + read.iter().map(|one| one.weight * one.low).sum::<f32>() + SLACK,
                adding: read.iter().map(|one| one.weight * one.range).sum(),
                taking: -taking.iter().map(|one| one.weight * one.range).sum::<f32>(),
                taken: length(taking) * longest,
                unread: unread + 2.0 * (rest + SLACK) + length(spared) * longest,
            }
        };
        let (at_first, at_last) = (gap(first_wanted, first_against), gap(last_wanted, last_against));
        let counts = |one: &Wanted, less: u8| (one.index, one.weight * (one.range / LARGEST_SQUARE), less);
        let mut asked = Vec::with_capacity(last_wanted + last_against);
        for (of_wanted, of_against) in
            [(0..first_wanted, 0..first_against), (first_wanted..last_wanted, first_against..last_against)]
        {
            asked.extend(wanted.get(of_wanted).unwrap_or_default().iter().map(|one| counts(one, 0)));
            asked.extend(against.get(of_against).unwrap_or_default().iter().map(|one| counts(one, 1)));
        }
        Ok(Some(VerticalQuery { vertical: self, asked, first: first_wanted + first_against, at_first, at_last }))
    }
}

/// The length of the vector of some weights.
fn length(of: &[Wanted]) -> f32 {
    of.iter().map(|one| one.weight * one.weight).sum::<f32>().sqrt()
}

/// How many, at most `most`, to read before what the rest can add is within the tolerance.
fn count_until(of: &[Wanted], most: usize, tolerance: f32) -> usize {
    let mut rest = 0.0;
    let spared = of.iter().rev().take_while(|one| {
        rest += one.weight * one.weight;
        f32::sqrt(rest) * LONGEST <= tolerance
    });
    (of.len() - spared.count()).min(most)
}

impl Gap {
    /// A score that a row with this bound is not below.
    ///
    /// The square of a code c above zero is at most 2c - 1 above that of what it stands for. The sum over all components, by
    /// Cauchy and Schwarz, is at most two of 255 parts of the root of what they add, times what they could.
    pub(super) fn least(self, bound: f32) -> f32 {
        let added = (bound - self.base + self.taken).max(0.0);
        let rounded = 2.0 / LARGEST_CODE * ((self.adding * added).sqrt() + (self.taking * self.taken).sqrt());
        bound - self.unread - rounded - self.taking / LARGEST_SQUARE
    }
}

impl VerticalQuery<'_> {
    /// Whether bounding so many rows in a row takes less than scoring them.
    pub(super) fn is_worth(&self, rows: usize) -> bool {
        self.first * (rows + ROWS_A_COMPONENT) <= rows * self.vertical.dimension / FEWEST_SPARED
    }

    /// For each position a score that it does not exceed.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(super) fn uppers(&self, kernels: &Kernels, positions: Range<u32>) -> Result<Vec<f32>> {
        let mut uppers = vec![self.at_first.base; positions.len()];
        self.read(0..self.first, kernels, positions, &mut uppers)?;
        Ok(uppers)
    }

    /// Whether reading more of so many rows takes less than scoring the `open` ones of them here and there.
    pub(super) fn is_worth_more(&self, rows: usize, open: usize) -> bool {
        let more = self.asked.len() - self.first;
        // A vector here and there takes about as long as so many bytes in a row as it has components.
        more > 0 && more * (rows + ROWS_A_COMPONENT) <= open * self.vertical.dimension
    }

    /// Makes the bounds of positions closer.
    ///
    /// # Errors
    /// `damaged` where a checksum says so.
    pub(super) fn sharpen(&self, kernels: &Kernels, positions: Range<u32>, uppers: &mut [f32]) -> Result<()> {
        uppers.iter_mut().for_each(|upper| *upper += self.at_last.base - self.at_first.base);
        self.read(self.first..self.asked.len(), kernels, positions, uppers)
    }

    /// How far above the scores bounds are, before they were made closer or after.
    pub(super) fn gap(&self, is_sharpened: bool) -> Gap {
        if is_sharpened { self.at_last } else { self.at_first }
    }

    /// Adds what the components asked for say of each position.
    fn read(&self, asked: Range<usize>, kernels: &Kernels, positions: Range<u32>, uppers: &mut [f32]) -> Result<()> {
        for four in self.asked.get(asked).unwrap_or_default().chunks(4) {
            let mut asked = [Squares { weight: 0.0, less: 0, codes: &[] }; 4];
            for (slot, &(index, weight, less)) in asked.iter_mut().zip(four) {
                let first = HEAD_BYTES * self.vertical.dimension + index * self.vertical.count;
                let codes = first + positions.start as usize..first + positions.end as usize;
                *slot = Squares { weight, less, codes: self.vertical.section.slice(codes)? };
            }
            // Where fewer are left, the first stands for the others and counts nothing.
            let filler = Squares { weight: 0.0, ..asked[0] };
            asked.iter_mut().skip(four.len()).for_each(|slot| *slot = filler);
            (kernels.add_squares)(&asked, uppers);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::column::{Index, VectorColumn};
    use super::super::estimate::Closeness;
    use super::super::query::QueryVector;
    use super::super::tests::{clustered, halves, sections};
    use super::*;
    use crate::catalog::row_set::RowSet;
    use crate::storage::section::SectionBytes;

    const DIMENSION: usize = 200;
    const ROWS: usize = 2500;

    /// Shares of concepts as a classifier gives them: a few are likely, hardly any is impossible.
    fn shares(count: usize, seed: u64) -> Vec<f32> {
        let mut shares: Vec<f32> = clustered(count, DIMENSION, seed).iter().map(|value| (4.0 * value).exp()).collect();
        for vector in shares.chunks_mut(DIMENSION) {
            let whole: f32 = vector.iter().sum();
            vector.iter_mut().for_each(|share| *share /= whole);
            // Nothing, by a hair less than nothing.
            vector.iter_mut().take(1).for_each(|share| *share = -1e-4);
        }
        shares
    }

    fn column(vectors: &[f32], rows: &[u32]) -> Result<(VectorColumn, SectionBytes)> {
        let mut bytes = SectionBytes::new();
        VectorColumn::build("frame", DIMENSION, rows, &halves(vectors, DIMENSION)?, Index::Codes, &mut bytes)?;
        let column = VectorColumn::open("frame", &sections(bytes.clone()))?;
        Ok((column.ok_or(Error::Internal { detail: "no column".to_owned() })?, bytes))
    }

    /// A query for some components, most for the first of them, and against others.
    fn query(asked: &[usize], against: f32) -> Result<QueryVector> {
        let mut components = vec![-against; DIMENSION];
        for (index, &component) in asked.iter().enumerate() {
            components[component % DIMENSION] = 1.0 / (1 + index) as f32;
        }
        QueryVector::new("query", &components)
    }

    #[test]
    fn vectors_with_components_below_zero_are_kept_once() -> Result<()> {
        let rows: Vec<u32> = (0..ROWS as u32).collect();
        let (_, of_shares) = column(&shares(ROWS, 1), &rows)?;
        let (_, of_directions) = column(&clustered(ROWS, DIMENSION, 1), &rows)?;
        let is_vertical = |bytes: &SectionBytes| bytes.iter().any(|(name, _)| name == "frame.vertical");
        assert!(is_vertical(&of_shares) && !is_vertical(&of_directions));
        Ok(())
    }

    #[test]
    fn a_head_that_makes_no_sense_is_damage() -> Result<()> {
        let rows: Vec<u32> = (0..ROWS as u32).collect();
        let (_, mut bytes) = column(&shares(ROWS, 1), &rows)?;
        for (_, section) in bytes.iter_mut().filter(|(name, _)| name == "frame.vertical") {
            section[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        }
        let Some(column) = VectorColumn::open("frame", &sections(bytes.clone()))? else { return Ok(()) };
        let found = column.at_least(&query(&[3], 0.0)?, 0.1, None);
        assert_eq!(found.map_err(|error| error.code()).err(), Some("damaged"));
        bytes.iter_mut().filter(|(name, _)| name == "frame.vertical").for_each(|(_, section)| section.truncate(900));
        let opened = VectorColumn::open("frame", &sections(bytes));
        assert_eq!(opened.map_err(|error| error.code()).err(), Some("damaged"));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn rows_are_found_as_by_the_plain_scan_and_few_are_scored(
            asked in prop::collection::vec(0..DIMENSION, 1..12), against in 0.0_f32..0.001, seed: u64, step in 1_u32..4,
        ) {
            let rows: Vec<u32> = (0..ROWS as u32).map(|row| 5 + step * row).collect();
            let (column, _) = column(&shares(ROWS, seed), &rows)?;
            let query = query(&asked, against)?;
            let mut allowed = RowSet::empty(5 + step * ROWS as u32);
            rows.iter().filter(|row| *row % 3 > 0).for_each(|row| allowed.insert(*row));
            for floor in [0.005, 0.02, 0.1, 0.3, 0.6] {
                prop_assert!(column.vertical(&query, floor / 4.0)?.is_some());
                for allowed in [None, Some(&allowed)] {
                    let (found, work) = column.at_least_with_work(&query, floor, allowed)?;
                    prop_assert_eq!(&found, &column.flat_at_least(&query, floor, allowed)?);
                    let near = column.flat_at_least(&query, 0.6 * floor - 0.02, allowed)?.len();
                    prop_assert!(work.scored_rows <= near, "{} of {near} for {}", work.scored_rows, found.len());
                }
            }
            let estimator = column.estimator(&query)?;
            for closeness in [Closeness::Rough, Closeness::Close] {
                let (mut exact, mut bounds) = (Vec::new(), Vec::new());
                column.score_rows(&query, 100..900, &mut exact)?;
                estimator.most(closeness, 100..900, &mut bounds)?;
                prop_assert_eq!(bounds.len(), 800);
                let mut exact = exact.into_iter().peekable();
                for (row, most) in (100..).zip(bounds) {
                    match exact.next_if(|(of, _)| *of == row) {
                        Some((_, score)) => prop_assert!(score <= most && most <= score + 0.05, "{score} {most}"),
                        None => prop_assert_eq!(most, f32::NEG_INFINITY),
                    }
                }
            }
            // Where everything is in question, where little is, and where nothing is.
            for floor in [-1.0, 0.3, 1.1] {
                let (mut exact, mut rough, mut bounds) = (Vec::new(), Vec::new(), Vec::new());
                column.score_rows(&query, 100..2100, &mut exact)?;
                estimator.most(Closeness::Rough, 100..2100, &mut rough)?;
                bounds.clone_from(&rough);
                let reach = estimator.sharpen(100..2100, floor, &mut bounds)?;
                prop_assert!(floor < 1.0 || bounds == rough);
                let mut above = 0.0;
                for &(row, score) in &exact {
                    let bound = bounds[row as usize - 100];
                    let least = reach.least(bound);
                    prop_assert!(least <= score && score <= bound, "{least} {score} {bound}");
                    prop_assert!(bound <= least + 0.3, "{least} {bound}");
                    above += bound - score;
                }
                let before: f32 = exact.iter().map(|&(row, score)| rough[row as usize - 100] - score).sum();
                prop_assert!(above <= before + 1e-3, "{above} {before}");
            }
        }

        #[test]
        fn more_components_bring_bounds_closer(seed: u64) {
            let rows: Vec<u32> = (0..ROWS as u32).collect();
            let (column, _) = column(&shares(ROWS, seed), &rows)?;
            // Against all others, more than are read at first.
            let query = query(&[1, 2, 3], 0.05)?;
            let (Some(vertical), positions) = (column.vertical(&query, 0.001)?, 0..ROWS as u32) else {
                return Err(TestCaseError::fail("not worth it"));
            };
            let rough = vertical.uppers(column.kernels(), positions.clone())?;
            let mut close = rough.clone();
            vertical.sharpen(column.kernels(), positions, &mut close)?;
            let sum = |bounds: &[f32]| bounds.iter().map(|one| f64::from(*one)).sum::<f64>();
            prop_assert!(sum(&close) < sum(&rough) - 0.001 * ROWS as f64);
            prop_assert!(vertical.gap(true).unread < vertical.gap(false).unread);
        }
    }
}
