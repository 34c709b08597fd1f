//! `SYNCED`: how far the newest log had been synced, said outside of the log.
//!
//! A log alone can't tell its last record, damaged, from a write that a crash cut short: that a record was acknowledged is
//! only said by what is written after it, and after the last one there is nothing. So after each sync the sequence that it
//! reached is written here, in place, and not synced itself: a system that goes on running has it at once, a power cut
//! leaves it or an earlier one. Whatever is found is true, since the records were lasting before it was written; an old one
//! only says less.
//!
//! The bytes lie within one block of a disk, so that they are replaced whole. If they are not whole all the same they say
//! nothing; `check` reports that, and a writer writes them anew when it opens the library.

use super::FORMAT;
use super::fields::Fields;
use super::header::with_checksum;
use super::log_format::LogEnd;
use super::names::FileName;
use super::publish::publish;
use super::seam::{Storage, WriteFile, is_absent};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"PIXRSYNC";
/// Magic, format, reserved, number of the log, its salt, sequence, reserved, checksum.
const MARK_BYTES: usize = 48;
/// How often the file is read: once may be just while the writer replaces it.
const TRIES: usize = 3;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Number of the log.
    pub(super) log: u64,
    /// Its salt: a log of the same number and another salt is of another history.
    pub(super) salt: u64,
    /// Every record of the log up to this one had been synced.
    pub(super) sequence: u64,
}

impl Mark {
    /// Reads the file; `None` if there is none, or it is not whole.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Self>> {
        match Self::verify(storage) {
            Err(Error::Damaged { .. }) => Ok(None),
            outcome => outcome,
        }
    }

    /// As `load`; a file that is not whole is `damaged`.
    pub(crate) fn verify(storage: &dyn Storage) -> Result<Option<Self>> {
        let name = FileName::Synced.to_string();
        for _ in 0..TRIES {
            match storage.load(&name) {
                Ok(bytes) => {
                    if let Some(mark) = Self::decode(&bytes) {
                        return Ok(Some(mark));
                    }
                }
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Err(Error::damaged(storage.path(&name), "it does not say what was synced; opening to write makes it anew"))
    }

    /// Compares with where a log was found to end.
    ///
    /// # Errors
    /// `damaged` if it ends before what had been synced.
    pub(super) fn check(&self, storage: &dyn Storage, end: &LogEnd) -> Result<()> {
        if (self.log, self.salt) != (end.number, end.salt) || self.sequence <= end.last_sequence {
            return Ok(());
        }
        let (next, name) = (end.last_sequence + 1, FileName::Log(end.number).to_string());
        let detail = format!(
            "record {next} at byte {} is not whole, yet {} says that records up to {} were",
            end.valid_len,
            FileName::Synced,
            self.sequence
        );
        Err(Error::damaged(storage.path(&name), detail))
    }

    /// Whether the log that was read has been replaced by another of the same number.
    pub(super) fn is_of_another(&self, read: &LogEnd) -> bool {
        self.log == read.number && self.salt != read.salt
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        for field in [self.log, self.salt, self.sequence] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        with_checksum(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let (magic, format, _) = (fields.bytes(8)?, fields.u32()?, fields.u32()?);
        let mark = Self { log: fields.u64()?, salt: fields.u64()?, sequence: fields.u64()? };
        let (_, check) = (fields.u32()?, fields.u32()?);
        let is_whole = fields.is_empty()
            && magic == MAGIC
            && format == FORMAT
            && crc32c::crc32c(bytes.get(..MARK_BYTES - 4)?) == check;
        is_whole.then_some(mark)
    }
}

/// The file, open for the writer of one log.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: Box<dyn WriteFile>,
    log: u64,
    salt: u64,
}

impl MarkFile {
    /// Opens the file, made if need be, and says that log `log` was synced up to `sequence`.
    pub(super) fn open(storage: &dyn Storage, log: u64, salt: u64, sequence: u64) -> Result<Self> {
        let name = FileName::Synced.to_string();
        let mark = Mark { log, salt, sequence };
        match storage.len(&name) {
            Ok(len) if len == MARK_BYTES as u64 => {}
            Err(error) if !is_absent(&error) => return Err(error),
            _ => publish(storage, FileName::Synced, [mark.encode().as_slice()])?,
        }
        let opened = Self { file: storage.append(&name, MARK_BYTES as u64)?, log, salt };
        opened.set(sequence);
        Ok(opened)
    }

    /// Says that the log was synced up to `sequence`, after it was.
    pub(super) fn set(&self, sequence: u64) {
        // If it fails, the file goes on saying what it said before, which is true as well.
        let _ = self.file.write_at(0, &Mark { log: self.log, salt: self.salt, sequence }.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryStorage;
    use super::*;

    #[test]
    fn what_was_said_last_is_read_and_what_is_not_whole_is_nothing() -> Result<()> {
        let storage = MemoryStorage::new();
        assert_eq!(Mark::load(&storage)?, None);
        MarkFile::open(&storage, 3, 77, 12)?.set(15);
        let said = Mark { log: 3, salt: 77, sequence: 15 };
        assert_eq!(Mark::load(&storage)?, Some(said));
        let name = FileName::Synced.to_string();
        let whole = storage.load(&name)?;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x20);
            for bytes in [bytes, whole.get(..at).unwrap_or_default().to_vec()] {
                storage.create(&name)?.write_all(&bytes)?;
                assert_eq!(Mark::load(&storage)?, None, "byte {at}");
                assert!(matches!(Mark::verify(&storage), Err(Error::Damaged { .. })), "byte {at}");
            }
        }
        MarkFile::open(&storage, 4, 78, 20)?;
        assert_eq!(Mark::load(&storage)?, Some(Mark { log: 4, salt: 78, sequence: 20 }));
        Ok(())
    }
}
