//! Which rows of a part are scored, and the place of each among them.
//!
//! Everything that is kept while scoring is kept by place, so a few rows cost a few numbers however long the part is. Where
//! all rows are scored, the place is the row.

use std::borrow::Cow;
use std::ops::Range;

use crate::catalog::row_set::RowSet;

/// Rows in ascending spans that don't overlap.
#[derive(Debug)]
pub(super) struct Places {
    spans: Vec<RowSpan>,
    len: u32,
    row_count: u32,
}

/// Neighbouring rows, and the place of the first.
#[derive(Debug)]
pub(super) struct RowSpan {
    pub(super) rows: Range<u32>,
    first: u32,
}

impl RowSpan {
    /// The place of a row of the span.
    pub(super) fn place(&self, row: u32) -> u32 {
        row.wrapping_add(self.shift())
    }

    /// What has to be added to a row of the span, wrapping, to get its place.
    pub(super) fn shift(&self) -> u32 {
        self.first.wrapping_sub(self.rows.start)
    }

    fn places(&self) -> Range<u32> {
        self.first..self.first + (self.rows.end - self.rows.start)
    }
}

impl Places {
    /// Every row of a part.
    pub(super) fn all(row_count: u32) -> Self {
        Self::of(std::iter::once(0..row_count), row_count)
    }

    /// The rows of ascending ranges, as far as they lie below `row_count`.
    pub(super) fn of(ranges: impl IntoIterator<Item = Range<u32>>, row_count: u32) -> Self {
        let mut places = Self { spans: Vec::new(), len: 0, row_count };
        let mut behind = 0;
        for range in ranges {
            let rows = range.start.max(behind)..range.end.min(row_count);
            if !rows.is_empty() {
                behind = rows.end;
                let first = places.len;
                places.len += rows.end - rows.start;
                places.spans.push(RowSpan { rows, first });
            }
        }
        places
    }

    /// How many rows.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn spans(&self) -> &[RowSpan] {
        &self.spans
    }

    /// The places of those rows that a set holds.
    pub(super) fn of_set<'b>(&self, rows: &'b RowSet) -> Cow<'b, RowSet> {
        if self.is_whole() && rows.universe() == self.len {
            return Cow::Borrowed(rows);
        }
        let mut places = RowSet::empty(self.len);
        for span in &self.spans {
            places.insert_from(span.first, rows, span.rows.clone());
        }
        Cow::Owned(places)
    }

    /// By place, what `bytes` has by row.
    pub(super) fn of_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.is_whole() {
            return Cow::Borrowed(bytes);
        }
        let mut placed = Vec::with_capacity(self.len as usize);
        for span in &self.spans {
            let of_span = bytes.get(span.rows.start as usize..span.rows.end as usize).unwrap_or_default();
            placed.extend_from_slice(of_span);
        }
        Cow::Owned(placed)
    }

    /// Some of the places, each with its row; ascending.
    pub(super) fn rows<'s>(&'s self, places: &'s RowSet) -> impl Iterator<Item = (u32, u32)> + 's {
        let mut spans = self.spans.as_slice();
        places.iter().filter_map(move |place| {
            while let Some((span, others)) = spans.split_first() {
                let of_span = span.places();
                if place < of_span.end {
                    return Some((place, span.rows.start + (place - of_span.start)));
                }
                spans = others;
            }
            None
        })
    }

    fn is_whole(&self) -> bool {
        self.len == self.row_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_to_their_rows() {
        let places = Places::of([2..4, 4..4, 3..5, 7..20], 9);
        assert_eq!(places.len(), 5);
        let mut set = RowSet::full(9);
        set.remove(3);
        let held = places.of_set(&set);
        assert_eq!(places.rows(&held).collect::<Vec<_>>(), [(0, 2), (2, 4), (3, 7), (4, 8)]);
        assert_eq!(*places.of_bytes(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), [2, 3, 4, 7, 8]);
    }
}
