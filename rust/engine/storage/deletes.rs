//! Which videos of a part are gone. A file is written once; a later one with a higher number replaces it.

use roaring::RoaringBitmap;

use super::FORMAT;
use super::fields::Fields;
use super::header::{read_header, with_checksum};
use super::names::FileName;
use super::publish::publish;
use super::seam::Storage;
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"PIXRDELS";
/// Magic, format, checksum of the bitmap, part, number, length of the bitmap, count, checksum of the header.
const HEADER_BYTES: usize = 48;
/// Where the header has the count.
const COUNT_AT: usize = 40;

/// Writes the indexes of the deleted videos of `part` as deletes file `number`, and returns its length in bytes. Live
/// once a manifest names it.
pub(crate) fn write_deletes(storage: &dyn Storage, part: u64, number: u64, deleted: &RoaringBitmap) -> Result<u64> {
    let name = FileName::Deletes { part, number };
    let mut body = Vec::with_capacity(deleted.serialized_size());
    deleted.serialize_into(&mut body).map_err(|source| Error::io(storage.path(&name.to_string()), "write", source))?;
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    for field in [part, number, body.len() as u64] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header.extend_from_slice(&u32::try_from(deleted.len()).unwrap_or(u32::MAX).to_le_bytes());
    let header = with_checksum(header);
    publish(storage, name, [header.as_slice(), body.as_slice()])?;
    Ok((header.len() + body.len()) as u64)
}

/// Reads the indexes of the deleted videos of `part`, which has `video_count` videos, `deleted_count` of them gone.
///
/// # Errors
/// `io` with `NotFound` if there is no such file; `damaged`; `format_unsupported`.
pub fn read_deletes(
    storage: &dyn Storage,
    part: u64,
    number: u64,
    video_count: u32,
    deleted_count: u32,
) -> Result<RoaringBitmap> {
    let name = FileName::Deletes { part, number }.to_string();
    let path = storage.path(&name);
    let bytes = storage.load(&name)?;
    let damaged = |detail: String| Error::damaged(&path, detail);
    let mut fields = read_header(&path, &bytes, MAGIC, HEADER_BYTES)?;
    let parsed = (|| Some((fields.u32()?, [fields.u64()?, fields.u64()?], fields.u64()?, fields.u32()?)))();
    let Some((body_check, identity, body_len, count)) = parsed else {
        return Err(damaged("the header was cut".to_owned()));
    };
    if identity != [part, number] {
        return Err(damaged(format!("header: part and number are {identity:?}, expected {:?}", [part, number])));
    }
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if body.len() as u64 != body_len {
        return Err(damaged(format!("the bitmap has {} bytes, expected {body_len}", body.len())));
    }
    let got = crc32c::crc32c(body);
    if got != body_check {
        return Err(damaged(format!("bitmap: checksum {got:08x}, expected {body_check:08x}")));
    }
    let mut rest = body;
    let deleted = RoaringBitmap::deserialize_from(&mut rest).map_err(|error| damaged(error.to_string()))?;
    if !rest.is_empty() || count != deleted_count || deleted.len() != u64::from(deleted_count) {
        return Err(damaged(format!("{} videos are deleted, expected {deleted_count}", deleted.len())));
    }
    if deleted.max().is_some_and(|last| last >= video_count) {
        return Err(damaged(format!("video {:?} is deleted, the part has {video_count}", deleted.max())));
    }
    Ok(deleted)
}

/// How many videos of `part` a deletes file says are gone, for a library that has lost the manifest, which says so too.
///
/// # Errors
/// `io` with `NotFound` if there is no such file; `damaged` if its header is cut.
pub(crate) fn read_deleted_count(storage: &dyn Storage, part: u64, number: u64) -> Result<u32> {
    let name = FileName::Deletes { part, number }.to_string();
    let bytes = storage.load(&name)?;
    let count = bytes.get(COUNT_AT..).and_then(|rest| Fields::new(rest).u32());
    count.ok_or_else(|| Error::damaged(storage.path(&name), "it has no header"))
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStorage;
    use super::super::names::create_directories;
    use super::*;

    #[test]
    fn deleted_videos_come_back() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        let deleted: RoaringBitmap = (0..200_000).step_by(3).chain([999_999]).collect();
        let count = u32::try_from(deleted.len()).unwrap_or(0);
        write_deletes(&storage, 7, 9, &deleted)?;
        assert_eq!(read_deletes(&storage, 7, 9, 1_000_000, count)?, deleted);
        Ok(())
    }

    #[test]
    fn a_bitmap_that_does_not_fit_its_part_is_damage() -> Result<()> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        write_deletes(&storage, 7, 9, &RoaringBitmap::from_iter([1, 5]))?;
        for (videos, deleted) in [(5, 2), (6, 1), (6, 3)] {
            let error = read_deletes(&storage, 7, 9, videos, deleted).map_err(|error| error.code());
            assert_eq!(error.err(), Some("damaged"), "{videos} videos, {deleted} deleted");
        }
        read_deletes(&storage, 7, 9, 6, 2).map(|_| ())
    }
}
