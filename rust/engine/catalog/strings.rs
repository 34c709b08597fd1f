//! A column that has a string for some rows: what is shown for a segment but not searched.
//!
//! Layout of section `{prefix}`, little-endian: count (u32), then for each string its row (u32, ascending), then for each
//! string the end of its bytes (u64, from the first string's beginning), then the bytes, UTF-8.

use crate::error::{Error, Result};
use crate::storage::section::{Section, SectionBytes, Sections};

const COUNT_BYTES: usize = 4;
const ROW_BYTES: usize = 4;
const END_BYTES: usize = 8;

/// Strings by row.
#[derive(Debug)]
pub struct StringColumn {
    section: Section,
    count: usize,
}

impl StringColumn {
    /// Appends the section `prefix` with `strings`, which ascend by row; nothing if there are none.
    ///
    /// # Errors
    /// `internal` if rows do not ascend.
    pub fn build(prefix: &str, strings: &[(u32, &str)], out: &mut SectionBytes) -> Result<()> {
        if strings.is_empty() {
            return Ok(());
        }
        if !strings.is_sorted_by(|(one, _), (other, _)| one < other) {
            return Err(Error::Internal { detail: format!("the rows of {prefix} do not ascend") });
        }
        let count = u32::try_from(strings.len())
            .map_err(|_| Error::Internal { detail: format!("{prefix} has too many strings") })?;
        let mut bytes = count.to_le_bytes().to_vec();
        bytes.extend(strings.iter().flat_map(|(row, _)| row.to_le_bytes()));
        let mut end = 0_u64;
        for (_, string) in strings {
            end += string.len() as u64;
            bytes.extend(end.to_le_bytes());
        }
        bytes.extend(strings.iter().flat_map(|(_, string)| string.bytes()));
        out.push((prefix.to_owned(), bytes));
        Ok(())
    }

    /// Opens the section `prefix`; `None` if there is none. Reads only the count.
    ///
    /// # Errors
    /// `damaged` if the section is too short for its count.
    pub fn open(prefix: &str, sections: &dyn Sections) -> Result<Option<Self>> {
        let Some(section) = sections.get(prefix) else { return Ok(None) };
        let count = u32::from_le_bytes(field(&section, 0)?) as usize;
        if section.len() < COUNT_BYTES + count.saturating_mul(ROW_BYTES + END_BYTES) {
            return Err(Error::damaged(section.path(), format!("{prefix} is too short for {count} strings")));
        }
        Ok(Some(Self { section, count }))
    }

    /// The string of a row, if it has one.
    ///
    /// # Errors
    /// `damaged` if the section is.
    pub fn get(&self, row: u32) -> Result<Option<&str>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.row(middle)?.cmp(&row) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.string(middle).map(Some),
            }
        }
        Ok(None)
    }

    fn row(&self, index: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(field(&self.section, COUNT_BYTES + index * ROW_BYTES)?))
    }

    fn string(&self, index: usize) -> Result<&str> {
        let ends = COUNT_BYTES + self.count * ROW_BYTES;
        let end_of = |index: usize| Ok(u64::from_le_bytes(field(&self.section, ends + index * END_BYTES)?));
        let (start, end) = (if index == 0 { 0 } else { end_of(index - 1)? }, end_of(index)?);
        let first = (ends + self.count * END_BYTES) as u64;
        let place = |at: u64| usize::try_from(first.saturating_add(at)).unwrap_or(usize::MAX);
        let bytes = self.section.slice(place(start)..place(end))?;
        std::str::from_utf8(bytes)
            .map_err(|error| Error::damaged(self.section.path(), format!("string {index}: {error}")))
    }
}

fn field<const N: usize>(section: &Section, at: usize) -> Result<[u8; N]> {
    let bytes = section.slice(at..at.saturating_add(N))?;
    bytes.first_chunk().copied().ok_or_else(|| Error::damaged(section.path(), "a field is cut"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn opened(bytes: Vec<u8>) -> Result<Option<StringColumn>> {
        StringColumn::open("d", &BTreeMap::from([("d".to_owned(), Section::from_vec(bytes))]))
    }

    #[test]
    fn every_row_gets_its_own_string() -> Result<()> {
        let mut out = SectionBytes::new();
        StringColumn::build("d", &[(2, "tile roof"), (5, ""), (9, "über")], &mut out)?;
        let bytes = out.remove(0).1;
        let column = opened(bytes.clone())?.ok_or_else(|| Error::Internal { detail: "no column".to_owned() })?;
        let got: Vec<Option<&str>> = (0..11).map(|row| column.get(row)).collect::<Result<_>>()?;
        let expected = |row: usize| match row {
            2 => Some("tile roof"),
            5 => Some(""),
            9 => Some("über"),
            _ => None,
        };
        assert_eq!(got, (0..11).map(expected).collect::<Vec<_>>());
        for cut in 0..bytes.len() {
            let short = opened(bytes.get(..cut).unwrap_or_default().to_vec());
            let last = short
                .and_then(|column| column.map_or(Ok(None), |column| column.get(9).map(|text| text.map(str::to_owned))));
            assert!(last.is_err(), "cut at {cut}");
        }
        Ok(())
    }
}
