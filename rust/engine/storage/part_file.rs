//! One part, one file: a container of named sections.
//!
//! Text, vectors and columns of a part are sections of the same file, so one manifest publishes them together and they
//! can't disagree. Opening reads the header and the directory; the bytes of a section are checked when they are first
//! touched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FORMAT;
use super::aligned::{ALIGNMENT, AlignedBytes};
use super::fields::Fields;
use super::header::{read_header, with_checksum};
use super::names::FileName;
use super::publish::publish;
use super::seam::Storage;
use super::section::{BLOCK_BYTES, ByteOwner, Section, SectionBytes, block_checksums};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"PIXRPART";
/// Magic, format, count, number, length, place and length of the directory, reserved, checksums of directory and header.
const HEADER_BYTES: usize = 64;
/// Where the header says where the directory begins.
const DIRECTORY_AT: usize = 32;
/// The longest name of a section, in bytes.
pub const MAX_SECTION_NAME_BYTES: usize = 255;
static ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];

/// What the directory says of a section.
struct Entry {
    name: String,
    range: Range<usize>,
    /// The checksum of each block.
    checks: Vec<u32>,
}

/// Writes the part `number` and returns its length in bytes. Nobody sees the file before it is whole and lasting; it is
/// live once a manifest names it.
///
/// # Errors
/// `io`; `internal` if two sections share a name or a name is empty or too long.
pub fn write_part(storage: &dyn Storage, number: u64, sections: &SectionBytes) -> Result<u64> {
    let mut names = BTreeSet::new();
    let mut directory = Vec::new();
    let mut at = HEADER_BYTES;
    for (name, bytes) in sections {
        if name.is_empty() || name.len() > MAX_SECTION_NAME_BYTES || !names.insert(name) {
            return Err(Error::Internal {
                detail: format!("part {number} has a section {name:?} twice or badly named"),
            });
        }
        directory.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        directory.extend_from_slice(&(at as u64).to_le_bytes());
        directory.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        for check in block_checksums(bytes) {
            directory.extend_from_slice(&check.to_le_bytes());
        }
        at = (at + bytes.len()).next_multiple_of(ALIGNMENT);
    }
    let byte_len = at + directory.len();
    let header = header(number, sections.len(), byte_len, at, &directory);
    let padded = sections.iter().flat_map(|(_, bytes)| {
        let padding = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
        [bytes.as_slice(), ZEROS.get(..padding).unwrap_or_default()]
    });
    let pieces = std::iter::once(header.as_slice()).chain(padded).chain([directory.as_slice()]);
    publish(storage, FileName::Part(number), pieces.filter(|piece| !piece.is_empty()))?;
    Ok(byte_len as u64)
}

/// Opens the part `number`, whose length the manifest knows, and returns its sections by name. Reads only header and
/// directory.
///
/// # Errors
/// `io` with `NotFound` if there is no such file; `damaged`; `format_unsupported`.
pub fn open_part(storage: &dyn Storage, number: u64, byte_len: u64) -> Result<BTreeMap<String, Section>> {
    let (path, owner) = map_part(storage, number)?;
    let entries = read_directory(&path, &*owner, number, byte_len)?;
    let section = |entry: Entry| {
        let section = Section::checked(Arc::clone(&owner), entry.range, entry.checks, &path, &entry.name)?;
        Ok((entry.name, section))
    };
    entries.into_iter().map(section).collect()
}

/// Checks every byte of the part `number`: header, directory, each block of each section, and that what lies between
/// sections is zero.
///
/// # Errors
/// `damaged`, naming what differs first; otherwise as [`open_part`].
pub fn verify_part(storage: &dyn Storage, number: u64, byte_len: u64) -> Result<()> {
    let (_, owner) = map_part(storage, number)?;
    verify_bytes(storage, number, byte_len, owner)
}

/// As [`verify_part`], for a part whose bytes are at hand, though its name may be gone.
pub(crate) fn verify_bytes(storage: &dyn Storage, number: u64, byte_len: u64, owner: Arc<dyn ByteOwner>) -> Result<()> {
    let path = storage.path(&FileName::Part(number).to_string());
    for entry in read_directory(&path, &*owner, number, byte_len)? {
        let end = entry.range.end;
        let padding = owner.get(end..end.next_multiple_of(ALIGNMENT)).unwrap_or_default();
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Error::damaged(path, format!("the padding after section {} is not zero", entry.name)));
        }
        Section::checked(Arc::clone(&owner), entry.range, entry.checks, &path, &entry.name)?.all()?;
    }
    Ok(())
}

/// Whether two files are the same part: their headers and directories agree, and so the checksums of all their blocks.
pub(crate) fn is_same_part(one: &[u8], other: &[u8]) -> bool {
    let directory = |bytes: &[u8]| -> Option<Range<usize>> {
        let at = Fields::new(bytes.get(DIRECTORY_AT..)?).u64()?;
        Some(usize::try_from(at).ok()?..bytes.len())
    };
    let (Some(ours), Some(theirs)) = (directory(one), directory(other)) else { return false };
    one.len() == other.len()
        && one.get(..HEADER_BYTES) == other.get(..HEADER_BYTES)
        && one.get(ours).is_some_and(|ours| Some(ours) == other.get(theirs))
}

/// The sections of a part that is in memory only. Each starts at a multiple of 64, as in a file.
#[must_use]
pub(crate) fn sections_in_memory(sections: SectionBytes) -> BTreeMap<String, Section> {
    let section = |bytes: Vec<u8>| Section::trusted(Arc::new(AlignedBytes::from(bytes.as_slice())));
    sections.into_iter().map(|(name, bytes)| (name, section(bytes))).collect()
}

fn map_part(storage: &dyn Storage, number: u64) -> Result<(PathBuf, Arc<dyn ByteOwner>)> {
    let name = FileName::Part(number).to_string();
    Ok((storage.path(&name), storage.read(&name)?))
}

fn header(number: u64, sections: usize, byte_len: usize, directory_at: usize, directory: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(sections).unwrap_or(u32::MAX).to_le_bytes());
    for field in [number, byte_len as u64, directory_at as u64, directory.len() as u64, 0] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(directory).to_le_bytes());
    with_checksum(bytes)
}

/// The entries of the directory. Sections fill the file from the header to the directory without gap or overlap, in the
/// directory's order; anything else is damage.
fn read_directory(path: &Path, bytes: &dyn ByteOwner, number: u64, byte_len: u64) -> Result<Vec<Entry>> {
    let damaged = |detail: String| Error::damaged(path, detail);
    if bytes.len() as u64 != byte_len {
        return Err(damaged(format!("{} bytes, expected {byte_len}", bytes.len())));
    }
    // Asked for before they are touched, or else the system reads far around them.
    bytes.expect(0..HEADER_BYTES.min(bytes.len()));
    let mut fields = read_header(path, bytes, MAGIC, HEADER_BYTES)?;
    let parsed = (|| {
        let (count, identity) = (fields.u32()?, [fields.u64()?, fields.u64()?]);
        let (directory, _reserved) = ([fields.u64()?, fields.u64()?], fields.u64()?);
        Some((count, identity, directory, fields.u32()?))
    })();
    let Some((count, identity, directory, directory_check)) = parsed else {
        return Err(damaged("the header was cut".to_owned()));
    };
    if identity != [number, byte_len] {
        return Err(damaged(format!("header: part and length are {identity:?}, expected {:?}", [number, byte_len])));
    }
    let [directory_at, directory_len] = directory.map(|field| usize::try_from(field).unwrap_or(usize::MAX));
    let directory_range = directory_at..directory_at.saturating_add(directory_len);
    let Some(directory) = bytes.get(directory_range.clone()).filter(|_| directory_range.end == bytes.len()) else {
        return Err(damaged(format!("the directory lies at {directory_range:?} of {byte_len} bytes")));
    };
    bytes.expect(directory_range);
    let got = crc32c::crc32c(directory);
    if got != directory_check {
        return Err(damaged(format!("directory: checksum {got:08x}, expected {directory_check:08x}")));
    }
    let mut fields = Fields::new(directory);
    let mut entries = Vec::new();
    let mut at = HEADER_BYTES;
    for index in 0..count {
        let entry = read_entry(&mut fields, at, directory_at);
        let Some(entry) = entry else {
            return Err(damaged(format!("directory: entry {index} of {count} is out of place")));
        };
        at = entry.range.end.next_multiple_of(ALIGNMENT);
        entries.push(entry);
    }
    if at != directory_at || !fields.is_empty() {
        return Err(damaged(format!("directory: sections end at byte {at}, it begins at {directory_at}")));
    }
    Ok(entries)
}

/// The next entry, if its section starts at `at` and ends by `limit`.
fn read_entry(fields: &mut Fields<'_>, at: usize, limit: usize) -> Option<Entry> {
    let name_len = usize::from(fields.u16()?);
    let name = std::str::from_utf8(fields.bytes(name_len)?).ok()?.to_owned();
    let (start, len) = (usize::try_from(fields.u64()?).ok()?, usize::try_from(fields.u64()?).ok()?);
    let end = start.checked_add(len).filter(|&end| start == at && end <= limit)?;
    let checks = fields.bytes(len.div_ceil(BLOCK_BYTES) * 4)?;
    let checks = checks.chunks_exact(4).filter_map(|check| check.try_into().ok().map(u32::from_le_bytes)).collect();
    Some(Entry { name, range: start..end, checks })
}

#[cfg(test)]
mod tests {
    use super::super::disk::DiskStorage;
    use super::super::memory::MemoryStorage;
    use super::super::names::{PARTS, create_directories};
    use super::*;

    fn sections() -> SectionBytes {
        let long = (0..BLOCK_BYTES * 2 + 100).map(|index| (index % 251) as u8).collect();
        vec![
            ("videos.ids".to_owned(), b"roof".to_vec()),
            ("text/meta.json".to_owned(), Vec::new()),
            ("vector/frame.f16".to_owned(), long),
        ]
    }

    fn write_and_read_back(storage: &dyn Storage) -> Result<()> {
        create_directories(storage)?;
        let byte_len = write_part(storage, 17, &sections())?;
        assert_eq!(storage.list(PARTS)?, ["0000000000000017.part"]);
        assert_eq!(storage.len("parts/0000000000000017.part")?, byte_len);
        let opened = open_part(storage, 17, byte_len)?;
        assert_eq!(opened.len(), 3);
        for (name, bytes) in sections() {
            let section = opened.get(&name).ok_or(Error::Internal { detail: name })?;
            assert_eq!(section.all()?, bytes);
            assert_eq!(section.all()?.as_ptr() as usize % ALIGNMENT, 0);
        }
        verify_part(storage, 17, byte_len)
    }

    #[test]
    fn sections_come_back_from_memory_and_from_disk() -> Result<(), Box<dyn std::error::Error>> {
        write_and_read_back(&MemoryStorage::new())?;
        let dir = tempfile::tempdir()?;
        write_and_read_back(&DiskStorage::create(dir.path())?)?;
        Ok(())
    }

    #[test]
    fn a_part_without_sections_is_a_part() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        let byte_len = write_part(&storage, 1, &Vec::new())?;
        assert_eq!(byte_len, 64);
        assert!(open_part(&storage, 1, byte_len)?.is_empty());
        verify_part(&storage, 1, byte_len)
    }

    #[test]
    fn sections_in_memory_are_those_of_the_file() -> Result<()> {
        let in_memory = sections_in_memory(sections());
        for (name, bytes) in sections() {
            let section = in_memory.get(&name).ok_or(Error::Internal { detail: name })?;
            assert_eq!(section.all()?, bytes);
        }
        Ok(())
    }

    #[test]
    fn two_sections_of_one_name_are_refused() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        let twice = vec![("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])];
        assert_eq!(write_part(&storage, 1, &twice).map_err(|error| error.code()), Err("internal"));
        assert!(storage.list(PARTS)?.is_empty());
        Ok(())
    }

    #[test]
    fn a_part_under_another_number_or_length_is_damage() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        let byte_len = write_part(&storage, 1, &sections())?;
        assert_eq!(open_part(&storage, 1, byte_len + 1).map_err(|error| error.code()).err(), Some("damaged"));
        storage.rename("parts/0000000000000001.part", "parts/0000000000000002.part")?;
        assert_eq!(open_part(&storage, 2, byte_len).map_err(|error| error.code()).err(), Some("damaged"));
        Ok(())
    }
}
