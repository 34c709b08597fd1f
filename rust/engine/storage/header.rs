//! What the headers of parts, logs and bitmaps have in common: they begin with a magic and the number of the format, and
//! end with a checksum of everything before it.

use std::path::Path;

use super::fields::Fields;
use super::{FORMAT, OLDEST_FORMAT};
use crate::error::{Error, Result};

const CHECKSUM_BYTES: usize = 4;

/// Checks the header that `bytes` begin with, `header_len` bytes long, and gives the fields after its format.
///
/// # Errors
/// `damaged` if the bytes are too few, or magic or checksum are wrong; `format_unsupported`.
pub(super) fn read_header<'a>(path: &Path, bytes: &'a [u8], magic: &[u8; 8], header_len: usize) -> Result<Fields<'a>> {
    let damaged = |detail: String| Error::damaged(path, detail);
    let parsed = (|| {
        let (checked, rest) = bytes.split_at_checked(header_len - CHECKSUM_BYTES)?;
        let mut fields = Fields::new(checked);
        Some((checked, fields.bytes(magic.len())?, fields.u32()?, fields, Fields::new(rest).u32()?))
    })();
    let Some((checked, found_magic, format, fields, expected)) = parsed else {
        return Err(damaged(format!("{} bytes, expected at least {header_len}", bytes.len())));
    };
    let got = crc32c::crc32c(checked);
    if found_magic != magic || got != expected {
        return Err(damaged(format!("header: checksum {got:08x}, expected {expected:08x}")));
    }
    if format != FORMAT {
        let path = path.to_owned();
        return Err(Error::FormatUnsupported { path, got: format, oldest: OLDEST_FORMAT, newest: FORMAT });
    }
    Ok(fields)
}

/// Ends a header with its checksum.
pub(super) fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header
}
