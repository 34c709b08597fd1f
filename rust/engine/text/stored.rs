//! The texts of a part as they were given, one after another, found by row and channel.
//!
//! Section `text/stored`, little endian: for each text a key `row << 8 | channel` (u64, ascending), then for each text
//! the end of its bytes (u64, counted from the first text), then the texts in UTF-8. Not compressed: the sentences of a
//! part are small beside its vectors, and one text is read without its neighbours.

use std::ops::Range;

use crate::catalog::channel::Channel;
use crate::error::{Error, Result};
use crate::storage::section::Section;

/// Lays out the texts.
pub(super) fn pack(texts: &[(u32, Channel, &str)]) -> Vec<u8> {
    let byte_len: usize = texts.iter().map(|(.., text)| text.len()).sum();
    let mut bytes = Vec::with_capacity(texts.len() * 16 + byte_len);
    for &(row, channel, _) in texts {
        bytes.extend_from_slice(&key(row, channel).to_le_bytes());
    }
    let mut end = 0_u64;
    for (.., text) in texts {
        end += text.len() as u64;
        bytes.extend_from_slice(&end.to_le_bytes());
    }
    for (.., text) in texts {
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn key(row: u32, channel: Channel) -> u64 {
    u64::from(row) << 8 | channel.index() as u64
}

/// Reads single texts.
#[derive(Debug)]
pub(super) struct StoredTexts {
    section: Section,
    count: usize,
}

impl StoredTexts {
    pub(super) fn open(section: Section, count: u64) -> Result<Self> {
        let count =
            usize::try_from(count).ok().filter(|count| count.checked_mul(16).is_some_and(|len| len <= section.len()));
        let Some(count) = count else {
            return Err(Error::damaged(section.path(), "section text/stored is shorter than its table"));
        };
        Ok(Self { section, count })
    }

    pub(super) fn get(&self, row: u32, channel: Channel) -> Result<Option<String>> {
        let wanted = key(row, channel);
        let low = self.first_not_below(wanted)?;
        if low == self.count || self.number(low)? != wanted {
            return Ok(None);
        }
        let bytes = self.section.slice(self.range(low)?)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::damaged(self.section.path(), format!("the text of row {row} is not UTF-8")))?;
        Ok(Some(text.to_owned()))
    }

    /// How many keys are below this one. All rows have about equally many texts, so its place can be guessed and is looked
    /// for around the guess, in wider and wider steps: most of the table is never touched.
    fn first_not_below(&self, wanted: u64) -> Result<usize> {
        let (mut low, mut high) = (0, self.count);
        let mut at = self.guess(wanted)?;
        let mut stride = 4;
        while low < high {
            let next = if self.number(at)? < wanted {
                low = at + 1;
                at.checked_add(stride)
            } else {
                high = at;
                at.checked_sub(stride)
            };
            stride = stride.saturating_mul(4);
            at = next.filter(|next| (low..high).contains(next)).unwrap_or(low + (high - low) / 2);
        }
        Ok(low)
    }

    fn guess(&self, wanted: u64) -> Result<usize> {
        let Some(end) = self.count.checked_sub(1) else { return Ok(0) };
        let (first, last) = (self.number(0)?, self.number(end)?);
        let (ahead, all) = (wanted.saturating_sub(first), last.saturating_sub(first).max(1));
        Ok((u128::from(ahead) * end as u128 / u128::from(all)).min(end as u128) as usize)
    }

    fn range(&self, index: usize) -> Result<Range<usize>> {
        let start = if index == 0 { 0 } else { self.number(self.count + index - 1)? };
        let end = self.number(self.count + index)?;
        let place = |offset: u64| usize::try_from(offset).ok().and_then(|offset| offset.checked_add(self.count * 16));
        match (place(start), place(end)) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(Error::damaged(self.section.path(), "a text lies past the end of section text/stored")),
        }
    }

    fn number(&self, index: usize) -> Result<u64> {
        let bytes = self.section.slice(index * 8..index * 8 + 8)?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| Error::damaged(self.section.path(), "a number was cut"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_found_wherever_the_others_are(
            rows in prop::collection::btree_set(prop_oneof![0_u32..40, 0_u32..1_000_000, Just(u32::MAX)], 0..60), odd: bool,
        ) {
            let texts: Vec<(u32, Channel, String)> = rows
                .iter()
                .flat_map(|&row| [Channel::Screen, Channel::Speech].map(|channel| (row, channel, format!("{row} {channel:?}"))))
                .filter(|(row, channel, _)| !odd || row % 2 == 0 || *channel == Channel::Speech)
                .collect();
            let given: Vec<(u32, Channel, &str)> = texts.iter().map(|(row, channel, text)| (*row, *channel, text.as_str())).collect();
            let section = Section::from_vec(pack(&given));
            let stored = StoredTexts::open(section, texts.len() as u64)?;
            for row in rows.iter().flat_map(|&row| [row, row.saturating_sub(1), row.saturating_add(1)]) {
                for channel in Channel::ALL {
                    let expected = texts.iter().find(|one| (one.0, one.1) == (row, channel)).map(|one| one.2.clone());
                    prop_assert_eq!(stored.get(row, channel)?, expected);
                }
            }
        }
    }
}
