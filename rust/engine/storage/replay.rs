//! Reading logs back: after a crash, and at every opening.

use std::path::Path;

use super::log_format::{LOG_HEADER_BYTES, LogEnd, find_witness, read_header, read_record};
use super::names::{self, FileName};
use super::seam::Storage;
use super::synced::Mark;
use crate::error::{Error, Result};

/// How often `follow` looks again at a log that does not reach up to the next one.
const MOST_TRIES: usize = 3;

/// Gives each record of log `number` to `visit`, in order, and returns where the log ends.
///
/// # Errors
/// `io` with `NotFound` if there is no such log; `damaged` with the offset if a record that had been synced is not
/// whole; `format_unsupported`; whatever `visit` returns.
pub fn replay(storage: &dyn Storage, number: u64, visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<LogEnd> {
    replay_from(storage, number, None, visit)
}

/// As [`replay`]; if there was a log before, `previous` is its end, and this one must go on from there.
fn replay_from(
    storage: &dyn Storage,
    number: u64,
    previous: Option<LogEnd>,
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<LogEnd> {
    let path = storage.path(&FileName::Log(number).to_string());
    // Read before the log: what it says was in the log by then.
    let mark = Mark::load(storage)?;
    let bytes = storage.load(&FileName::Log(number).to_string())?;
    let (first_sequence, salt) = read_header(&path, &bytes, number)?;
    if let Some(previous) = previous.filter(|previous| previous.last_sequence + 1 != first_sequence) {
        return Err(ends_early(storage, previous, first_sequence));
    }
    let begin = LogEnd {
        number,
        first_sequence,
        last_sequence: first_sequence - 1,
        valid_len: LOG_HEADER_BYTES as u64,
        torn_bytes: 0,
        salt,
    };
    let end = walk(&path, bytes.get(LOG_HEADER_BYTES..).unwrap_or_default(), begin, visit)?;
    mark.map_or(Ok(()), |mark| mark.check(storage, &end))?;
    Ok(end)
}

/// Visits the records in `bytes`, which lie in the log after `end`; returns where they end.
fn walk(path: &Path, bytes: &[u8], end: LogEnd, visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<LogEnd> {
    let mut at = 0;
    let mut next_sequence = end.last_sequence + 1;
    while let Some((payload, after)) = read_record(bytes, at, next_sequence, end.salt) {
        visit(next_sequence, payload)?;
        next_sequence += 1;
        at = after;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let offset = end.valid_len + at as u64;
    if let Some(witness) = rest.get(1..).and_then(|after| find_witness(after, next_sequence, end.salt)) {
        return Err(Error::damaged(
            path,
            format!(
                "record {next_sequence} at byte {offset} is not whole, yet the record at byte {} says that it was",
                offset + 1 + witness as u64
            ),
        ));
    }
    Ok(LogEnd { last_sequence: next_sequence - 1, valid_len: offset, torn_bytes: rest.len() as u64, ..end })
}

/// Goes on from `end`, where an earlier replay or this function left off, through what was written since; for readers
/// that follow a writer.
///
/// # Errors
/// As `recover`; `io` with `NotFound` if the log was removed since, after which only the manifest says where to go on.
pub fn follow(storage: &dyn Storage, end: LogEnd, visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<LogEnd> {
    let mut end = end;
    let mut tries = 0;
    loop {
        let name = FileName::Log(end.number).to_string();
        let path = storage.path(&name);
        let mark = Mark::load(storage)?;
        let bytes = storage.load_from(&name, end.valid_len)?;
        let byte_len = if bytes.is_empty() { storage.len(&name)? } else { end.valid_len };
        let is_another = mark.is_some_and(|mark| mark.is_of_another(&end));
        if byte_len < end.valid_len || is_another {
            // An earlier state of the library was put in its place, or the log was begun anew.
            let detail = format!("it is not the log of which {} bytes had been read", end.valid_len);
            return Err(Error::damaged(path, detail));
        }
        end = walk(&path, &bytes, end, visit)?;
        mark.map_or(Ok(()), |mark| mark.check(storage, &end))?;
        let next = FileName::Log(end.number + 1).to_string();
        if !storage.exists(&next)? {
            return Ok(end);
        }
        let header = storage.load(&next)?;
        let (first_sequence, salt) = read_header(&storage.path(&next), &header, end.number + 1)?;
        if first_sequence == end.last_sequence + 1 {
            end = LogEnd {
                number: end.number + 1,
                first_sequence,
                valid_len: LOG_HEADER_BYTES as u64,
                torn_bytes: 0,
                salt,
                ..end
            };
            tries = 0;
        } else if tries < MOST_TRIES {
            // Its last records may have come between the look at it and the look at the next.
            tries += 1;
        } else {
            return Err(ends_early(storage, end, first_sequence));
        }
    }
}

/// The error for a log whose last records, which the next one builds on, are gone.
fn ends_early(storage: &dyn Storage, end: LogEnd, next_sequence: u64) -> Error {
    Error::damaged(
        storage.path(&FileName::Log(end.number).to_string()),
        format!(
            "it ends at byte {} with record {}, log {} goes on with {next_sequence}",
            end.valid_len,
            end.last_sequence,
            end.number + 1
        ),
    )
}

/// Replays every log from `first_log` on, and gives `visit` the records after `applied_sequence`. Returns the end of
/// the last log, where appending goes on.
///
/// # Errors
/// As [`replay`]; also `damaged` if a log or a record between two others is missing, which a crash can't cause.
pub(crate) fn recover(
    storage: &dyn Storage,
    first_log: u64,
    applied_sequence: u64,
    visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<LogEnd> {
    let mark = Mark::load(storage)?;
    let numbers = names::logs(storage)?.into_iter().filter(|&number| number > first_log);
    let mut visit_new =
        |sequence, payload: &[u8]| if sequence > applied_sequence { visit(sequence, payload) } else { Ok(()) };
    let mut end = replay(storage, first_log, &mut visit_new)?;
    let path_of = |number| storage.path(&FileName::Log(number).to_string());
    if end.first_sequence > applied_sequence.saturating_add(1) {
        return Err(Error::damaged(
            path_of(first_log),
            format!("it begins with record {}, expected {} or before", end.first_sequence, applied_sequence + 1),
        ));
    }
    for number in numbers {
        let next = if number == end.number + 1 {
            replay_from(storage, number, Some(end), &mut visit_new)
        } else {
            Err(Error::damaged(path_of(end.number + 1), format!("it is missing, log {number} is there")))
        };
        end = match next {
            Err(Error::Damaged { .. }) if is_of_unfinished_copy(storage, end, number)? => break,
            outcome => outcome?,
        };
    }
    if let Some(mark) = mark.filter(|mark| mark.log > end.number) {
        let detail = format!("it is missing, {} says that it had been there", FileName::Synced);
        return Err(Error::damaged(path_of(mark.log), detail));
    }
    if end.last_sequence < applied_sequence {
        return Err(Error::damaged(
            path_of(end.number),
            format!("it ends with record {}, the parts have {applied_sequence}", end.last_sequence),
        ));
    }
    Ok(end)
}

/// Whether log `number` does not go on where `before` ends because a copy into this library was cut short (see `backup`).
/// The manifest that needs this log was then never stored, and the one that is there does without it.
fn is_of_unfinished_copy(storage: &dyn Storage, before: LogEnd, number: u64) -> Result<bool> {
    if !storage.exists(names::UNFINISHED)? {
        return Ok(false);
    }
    if number != before.number + 1 {
        return Ok(true);
    }
    let name = FileName::Log(number).to_string();
    let (first_sequence, _) = read_header(&storage.path(&name), &storage.load(&name)?, number)?;
    Ok(first_sequence != before.last_sequence + 1)
}

#[cfg(test)]
mod tests {
    use super::super::log::Log;
    use super::super::log_format::{encode_header, encode_record};
    use super::super::memory::MemoryStorage;
    use super::super::names::{LOGS, create_directories};
    use super::super::seam::is_absent;
    use super::*;

    const FIRST: &str = "wal/0000000000000001.log";

    type Records = Vec<(u64, Vec<u8>)>;

    fn empty_storage() -> Result<MemoryStorage> {
        let storage = MemoryStorage::new();
        create_directories(&storage)?;
        Ok(storage)
    }

    fn records(storage: &dyn Storage, number: u64) -> Result<(Records, LogEnd)> {
        let mut found = Vec::new();
        let end = replay(storage, number, &mut |sequence, payload| {
            found.push((sequence, payload.to_vec()));
            Ok(())
        })?;
        Ok((found, end))
    }

    fn overwrite(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
        storage.create(name)?.write_all(bytes)
    }

    fn code<T>(result: Result<T>) -> Option<&'static str> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn records_come_back_in_order() -> Result<()> {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, 5)?;
        assert_eq!([log.append(b"a")?, log.append(b"")?, log.append(b"ccc")?], [5, 6, 7]);
        assert_eq!((log.durable_sequence(), log.sync()?, log.durable_sequence()), (4, 7, 7));
        let (found, end) = records(&storage, 1)?;
        assert_eq!(found, [(5, b"a".to_vec()), (6, Vec::new()), (7, b"ccc".to_vec())]);
        assert_eq!((end.number, end.first_sequence, end.last_sequence), (1, 5, 7));
        assert_eq!((end.valid_len, end.torn_bytes), (log.byte_len(), 0));
        Ok(())
    }

    #[test]
    fn a_torn_tail_is_dropped_and_appending_goes_on_before_it() -> Result<()> {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"kept")?;
        log.sync()?;
        log.append(b"torn")?;
        drop(log);
        let bytes = storage.load(FIRST)?;
        overwrite(&storage, FIRST, bytes.get(..bytes.len() - 1).unwrap_or_default())?;
        let (_, end) = records(&storage, 1)?;
        assert_eq!((end.last_sequence, end.torn_bytes), (1, 31));
        let log = Log::open_append(&storage, &end)?;
        assert_eq!(log.append(b"next")?, 2);
        assert_eq!(records(&storage, 1)?.0, [(1, b"kept".to_vec()), (2, b"next".to_vec())]);
        assert_eq!(storage.list(LOGS)?.len(), 1);
        Ok(())
    }

    #[test]
    fn damage_to_a_synced_record_is_an_error_that_names_file_and_offset() -> Result<()> {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, 1)?;
        for payload in [b"one", b"two", b"six"] {
            log.append(payload)?;
            log.sync()?;
        }
        let mut bytes = storage.load(FIRST)?;
        bytes.splice(LOG_HEADER_BYTES + 30..LOG_HEADER_BYTES + 31, [b'?']);
        overwrite(&storage, FIRST, &bytes)?;
        let message = records(&storage, 1).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(FIRST) && message.contains("at byte 48 "), "{message}");
        Ok(())
    }

    /// A disk may write what was not synced in any order, so after a power cut a record can be there while the one
    /// before it is not. Neither was acknowledged: the library must open.
    #[test]
    fn a_hole_among_records_that_were_never_synced_ends_the_log() -> Result<()> {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"kept")?;
        log.sync()?;
        let hole = usize::try_from(log.byte_len()).unwrap_or(0);
        log.append(b"lost")?;
        log.append(b"whole")?;
        let mut bytes = storage.load(FIRST)?;
        bytes.splice(hole..hole + 32, [0; 32]);
        overwrite(&storage, FIRST, &bytes)?;
        let (found, end) = records(&storage, 1)?;
        assert_eq!(found, [(1, b"kept".to_vec())]);
        assert_eq!(end.torn_bytes, 32 + 33);
        Ok(())
    }

    #[test]
    fn a_payload_that_looks_like_a_record_is_no_witness() -> Result<()> {
        let storage = empty_storage()?;
        let log = Log::create(&storage, 1, 1)?;
        let forged = encode_record(b"forged", 2, 1, 0).unwrap_or_default();
        log.append(&forged)?;
        let bytes = storage.load(FIRST)?;
        overwrite(&storage, FIRST, bytes.get(..bytes.len() - 1).unwrap_or_default())?;
        assert_eq!(records(&storage, 1)?.0, []);
        Ok(())
    }

    #[test]
    fn a_length_beyond_the_file_ends_the_log() -> Result<()> {
        let storage = empty_storage()?;
        let salt = 1;
        let mut bytes = encode_header(1, 1, salt);
        let mut record = encode_record(b"", 1, 0, salt).unwrap_or_default();
        record.splice(0..4, u32::MAX.to_le_bytes());
        bytes.extend(record);
        overwrite(&storage, FIRST, &bytes)?;
        assert_eq!(records(&storage, 1)?.1.torn_bytes, 28);
        Ok(())
    }

    #[test]
    fn recovery_chains_logs_and_skips_what_the_parts_have() -> Result<()> {
        let storage = empty_storage()?;
        let mut log = Log::create(&storage, 3, 1)?;
        for records in [0, 1, 2] {
            for _ in 0..records {
                log.append(b"record")?;
            }
            log = log.next(&storage)?;
        }
        let mut seen = Vec::new();
        let mut visit = |sequence, _: &[u8]| {
            seen.push(sequence);
            Ok(())
        };
        let end = recover(&storage, 3, 1, &mut visit)?;
        assert_eq!((end.number, end.first_sequence, end.last_sequence), (6, 4, 3));
        assert_eq!(seen, [2, 3]);
        Ok(())
    }

    #[test]
    fn a_reader_follows_from_log_to_log_and_sees_each_record_once() -> Result<()> {
        let storage = empty_storage()?;
        let mut log = Log::create(&storage, 1, 1)?;
        let mut seen = Vec::new();
        let mut end = replay(&storage, 1, &mut |_, _| Ok(()))?;
        for rotations in [0, 1, 2] {
            for _ in 0..rotations {
                log.append(b"before")?;
                log = log.next(&storage)?;
            }
            log.append(b"after")?;
            end = follow(&storage, end, &mut |sequence, _| {
                seen.push(sequence);
                Ok(())
            })?;
            let (number, last) = (log.number(), log.next_sequence() - 1);
            assert_eq!((end.number, end.last_sequence, end.valid_len), (number, last, log.byte_len()));
        }
        assert_eq!(seen, (1..=6).collect::<Vec<u64>>());
        storage.remove(&FileName::Log(end.number).to_string())?;
        assert!(follow(&storage, end, &mut |_, _| Ok(())).is_err_and(|error| is_absent(&error)));
        Ok(())
    }

    #[test]
    fn a_lost_log_or_record_is_an_error() -> Result<()> {
        let storage = empty_storage()?;
        for (number, first) in [(1, 1), (2, 2), (3, 3)] {
            Log::create(&storage, number, first)?.append(b"x")?;
        }
        let mut visit = |_, _: &[u8]| Ok(());
        assert_eq!(recover(&storage, 1, 0, &mut visit)?.last_sequence, 3);
        assert_eq!(code(recover(&storage, 1, 9, &mut visit)), Some("damaged"), "records that the parts have are gone");
        assert_eq!(code(recover(&storage, 3, 0, &mut visit)), Some("damaged"), "records before the first log are gone");
        assert!(recover(&storage, 9, 0, &mut visit).is_err_and(|error| is_absent(&error)));
        let whole = storage.load(FIRST)?;
        overwrite(&storage, FIRST, whole.get(..whole.len() - 1).unwrap_or_default())?;
        assert_eq!(code(recover(&storage, 1, 0, &mut visit)), Some("damaged"), "a log that another follows was cut");
        overwrite(&storage, FIRST, &whole)?;
        storage.remove("wal/0000000000000002.log")?;
        assert_eq!(code(recover(&storage, 1, 0, &mut visit)), Some("damaged"), "a log between two is missing");
        Ok(())
    }
}
