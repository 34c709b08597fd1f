//! The header and the records of a log, byte by byte, and the search for traces of lost records.

use std::path::Path;

use super::FORMAT;
use super::fields::Fields;
use super::header::{self, with_checksum};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"PIXRWLOG";
/// Magic, format, reserved, number, first sequence, salt, reserved, checksum.
pub(crate) const LOG_HEADER_BYTES: usize = 48;

/// Length, payload checksum, sequence, durable sequence, header checksum.
pub(super) const RECORD_HEADER_BYTES: usize = 28;

/// Far more than any library reaches, and far from where counting on would overflow.
pub(super) const MAX_FIRST_SEQUENCE: u64 = u64::MAX / 2;

/// The longest payload that a record may have.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024 * 1024;

/// Where a log ends, as `replay` found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// The log's number.
    pub number: u64,
    /// Sequence that the log's first record has or would have.
    pub first_sequence: u64,
    /// Sequence of the last whole record; `first_sequence - 1` if there is none.
    pub last_sequence: u64,
    /// Bytes up to the end of the last whole record.
    pub valid_len: u64,
    /// Bytes after that: a write that a crash cut short.
    pub torn_bytes: u64,
    /// The log's salt.
    pub salt: u64,
}

/// What stands before a record's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes of the payload.
    pub(super) len: usize,
    /// CRC-32C of the payload.
    pub(super) payload_check: u32,
    /// The record's place among all records of the library.
    pub(super) sequence: u64,
    /// Every record up to this one was synced before this one was written.
    pub(super) durable: u64,
}

impl RecordHeader {
    /// Reads the header at the start of `bytes`, if there is one that was written with `salt`.
    pub(super) fn read(bytes: &[u8], salt: u64) -> Option<Self> {
        let checked = bytes.get(..RECORD_HEADER_BYTES - 4)?;
        let mut fields = Fields::new(bytes);
        let (len, payload_check) = (fields.u32()?, fields.u32()?);
        let (sequence, durable, check) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let len = usize::try_from(len).ok().filter(|&len| len <= MAX_PAYLOAD_BYTES)?;
        (durable < sequence && check == header_check(checked, salt)).then_some(Self {
            len,
            payload_check,
            sequence,
            durable,
        })
    }
}

/// A whole record; `None` if the payload is longer than [`MAX_PAYLOAD_BYTES`].
pub(super) fn encode_record(payload: &[u8], sequence: u64, durable: u64, salt: u64) -> Option<Vec<u8>> {
    let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD_BYTES)?;
    let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&durable.to_le_bytes());
    let check = header_check(&bytes, salt);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// What a log begins with.
pub(super) fn encode_header(number: u64, first_sequence: u64, salt: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    for field in [number, first_sequence, salt] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    with_checksum(bytes)
}

/// First sequence and salt. The header is published whole, so unlike records it is never torn.
pub(crate) fn read_header(path: &Path, bytes: &[u8], number: u64) -> Result<(u64, u64)> {
    let mut fields = header::read_header(path, bytes, MAGIC, LOG_HEADER_BYTES)?;
    let parsed = (|| {
        let _reserved = fields.u32()?;
        Some((fields.u64()?, fields.u64()?, fields.u64()?))
    })();
    let Some((got_number, first_sequence, salt)) = parsed else {
        return Err(Error::damaged(path, "the header was cut"));
    };
    if got_number != number || !(1..=MAX_FIRST_SEQUENCE).contains(&first_sequence) {
        return Err(Error::damaged(
            path,
            format!("header: log {got_number} from record {first_sequence}, expected log {number}"),
        ));
    }
    Ok((first_sequence, salt))
}

/// The payload of the record at `at` and the offset after it; `None` if no whole record `sequence` is there.
pub(crate) fn read_record(bytes: &[u8], at: usize, sequence: u64, salt: u64) -> Option<(&[u8], usize)> {
    let header = RecordHeader::read(bytes.get(at..)?, salt).filter(|header| header.sequence == sequence)?;
    let start = at + RECORD_HEADER_BYTES;
    let end = start.checked_add(header.len)?;
    let payload = bytes.get(start..end)?;
    (crc32c::crc32c(payload) == header.payload_check).then_some((payload, end))
}

/// Looks in `bytes` for the header of a later record which says that the record `missing` had been synced.
///
/// Returns the offset of such a witness. Sequences run on by one, so only few can be those of a witness in `bytes`. With
/// the salt this makes it as good as impossible that one is found by chance, or that a payload was made to contain one.
pub(super) fn find_witness(bytes: &[u8], missing: u64, salt: u64) -> Option<usize> {
    let most = missing.saturating_add((bytes.len() / RECORD_HEADER_BYTES) as u64);
    bytes.windows(RECORD_HEADER_BYTES).position(|window| {
        let sequence = window.get(8..16).and_then(|field| field.try_into().ok()).map(u64::from_le_bytes);
        sequence.is_some_and(|sequence| sequence > missing && sequence <= most)
            && RecordHeader::read(window, salt).is_some_and(|header| header.durable >= missing)
    })
}

/// Looks in `bytes` for the next record after `sequence` that is whole; returns its offset and sequence.
pub(crate) fn find_record(bytes: &[u8], sequence: u64, salt: u64) -> Option<(usize, u64)> {
    bytes.windows(RECORD_HEADER_BYTES).enumerate().find_map(|(at, window)| {
        let later = window.get(8..16).and_then(|field| field.try_into().ok()).map(u64::from_le_bytes)?;
        let plausible = later > sequence && later - sequence <= (bytes.len() / RECORD_HEADER_BYTES) as u64 + 1;
        (plausible && read_record(bytes, at, later, salt).is_some()).then_some((at, later))
    })
}

fn header_check(fields: &[u8], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), fields)
}
