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
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.number(middle)? < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == self.count || self.number(low)? != wanted {
            return Ok(None);
        }
        let bytes = self.section.slice(self.range(low)?)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Error::damaged(self.section.path(), format!("the text of row {row} is not UTF-8")))?;
        Ok(Some(text.to_owned()))
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
