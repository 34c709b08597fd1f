//! The write-ahead log: what was acknowledged is in it before it is anywhere else.
//!
//! A log is a file of records with consecutive sequences. [`Log::append`] writes one, `Log::sync_up_to` makes it
//! lasting; one sync serves every record written before it, whichever thread asks. `replay::recover`
//! reads them back.
//!
//! After a crash a log may end with records that were never synced: whole, cut, or with holes. They were never
//! acknowledged, so the log simply ends before the first that is not whole. A damaged record that *was* synced is
//! another matter, and is an error. To tell the two apart, each record says up to which sequence the log had been synced
//! when it was written, so a later record is a witness that an earlier one had been there. For the last records, which
//! nothing follows, the file `SYNCED` is the witness (see `synced`).

use parking_lot::Mutex;

use super::log_format::LogEnd;
pub use super::log_format::MAX_PAYLOAD_BYTES;
use super::log_format::{LOG_HEADER_BYTES, MAX_FIRST_SEQUENCE, encode_header, encode_record, read_header};
use super::names::FileName;
use super::publish::publish;
use super::random::random_bytes;
use super::replay::replay;
use super::seam::{Storage, WriteFile};
use super::synced::MarkFile;
use crate::error::{Error, Result};

/// A log that is open for appending. Shared between threads.
#[derive(Debug)]
pub struct Log {
    number: u64,
    path: std::path::PathBuf,
    salt: u64,
    file: Box<dyn WriteFile>,
    mark: MarkFile,
    /// Never held during a sync, so that others append meanwhile.
    state: Mutex<State>,
    /// Held by the one thread that syncs; those who wait for it find their records synced.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    next_sequence: u64,
    durable_sequence: u64,
    byte_len: u64,
    /// The first write or sync that failed.
    failure: Option<Failure>,
    /// Set when the next log was started.
    ended: bool,
}

/// What failed decides how the log can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The file may end with a part of a record. What was written before is as it was.
    Write,
    /// It is not known which of the records that were to be synced the disk has.
    Sync,
}

impl Log {
    /// Starts the first log of a library, whose first record will have `first_sequence` (at least 1). The file is there
    /// for good when this returns.
    ///
    /// A log after another starts with [`Log::next`], since its first sequence is taken as proof that all before it was
    /// synced.
    pub fn create(storage: &dyn Storage, number: u64, first_sequence: u64) -> Result<Self> {
        if !(1..=MAX_FIRST_SEQUENCE).contains(&first_sequence) {
            return Err(Error::Internal { detail: format!("the first sequence of a log is {first_sequence}") });
        }
        let salt = u64::from_le_bytes(random_bytes()?);
        publish(storage, FileName::Log(number), [encode_header(number, first_sequence, salt).as_slice()])?;
        Self::open(storage, number, salt, [first_sequence - 1; 2], LOG_HEADER_BYTES as u64)
    }

    /// Goes on with log `end.number` after its last whole record.
    ///
    /// A log that has records, or torn bytes, is first written anew and swapped in: after a failed sync the system may
    /// show bytes that the disk never got, and only writing them again makes them lasting.
    pub(crate) fn open_append(storage: &dyn Storage, end: &LogEnd) -> Result<Self> {
        let name = FileName::Log(end.number);
        let bytes = storage.load(&name.to_string())?;
        let path = storage.path(&name.to_string());
        let (first_sequence, salt) = read_header(&path, &bytes, end.number)?;
        let valid = usize::try_from(end.valid_len).ok().and_then(|len| bytes.get(..len));
        let Some(valid) = valid.filter(|valid| valid.len() >= LOG_HEADER_BYTES && first_sequence == end.first_sequence)
        else {
            return Err(Error::damaged(path, format!("{} bytes, expected at least {}", bytes.len(), end.valid_len)));
        };
        if bytes.len() > LOG_HEADER_BYTES {
            publish(storage, name, [valid])?;
        }
        Self::open(storage, end.number, salt, [end.last_sequence; 2], end.valid_len)
    }

    /// Goes on after a failure: with this log from its last whole record, or with the next one if that was to be started.
    /// What was appended and could not be synced is kept, and is lasting when this returns.
    ///
    /// # Errors
    /// `io` if the disk still fails, or if it has lost records that it could not sync; then this log is as it was.
    pub(crate) fn resume(&self, storage: &dyn Storage) -> Result<Self> {
        let _turn = self.syncing.lock();
        let state = self.state.lock();
        let last_sequence = state.next_sequence - 1;
        let standing = match state.failure {
            None => None,
            Some(Failure::Write) => {
                let sequences = [last_sequence, state.durable_sequence];
                Some(Self::open(storage, self.number, self.salt, sequences, state.byte_len)?)
            }
            Some(Failure::Sync) => {
                // The system may have dropped what it could not write: only what can be read can be written again.
                let end = replay(storage, self.number, &mut |_, _| Ok(()))?;
                if end.last_sequence < last_sequence {
                    let detail = format!(
                        "the system lost records {} to {last_sequence}, which it could not sync; open the library again",
                        end.last_sequence + 1
                    );
                    return Err(Error::io(&self.path, "resume", std::io::Error::other(detail)));
                }
                Some(Self::open_append(storage, &LogEnd { last_sequence, valid_len: state.byte_len, ..end })?)
            }
        };
        match standing {
            Some(log) if !state.ended => Ok(log),
            Some(log) => log.sync().and_then(|_| Self::create(storage, self.number + 1, state.next_sequence)),
            None => Self::create(storage, self.number + 1, state.next_sequence),
        }
    }

    /// Whether the log takes no more records, so that [`Log::resume`] has to be called.
    #[must_use]
    pub(crate) fn is_stuck(&self) -> bool {
        let state = self.state.lock();
        state.failure.is_some() || state.ended
    }

    /// Ends this log and starts the one after it. Everything here is synced first.
    ///
    /// From then on this log takes no more records, even if starting the other failed: after a crash the other may be there
    /// and say that this one ends here.
    pub fn next(&self, storage: &dyn Storage) -> Result<Self> {
        let first_sequence = {
            let mut state = self.state.lock();
            self.refuse_unless_open(&state)?;
            state.ended = true;
            state.next_sequence
        };
        self.sync_up_to(first_sequence - 1)?;
        Self::create(storage, self.number + 1, first_sequence)
    }

    /// `sequences`: of the last record, and of the last that is lasting.
    fn open(storage: &dyn Storage, number: u64, salt: u64, sequences: [u64; 2], byte_len: u64) -> Result<Self> {
        let [last_sequence, durable_sequence] = sequences;
        let name = FileName::Log(number);
        let file = storage.append(&name.to_string(), byte_len)?;
        let mark = MarkFile::open(storage, number, salt, durable_sequence)?;
        let state = State { next_sequence: last_sequence + 1, durable_sequence, byte_len, failure: None, ended: false };
        Ok(Self {
            number,
            path: storage.path(&name.to_string()),
            salt,
            file,
            mark,
            state: Mutex::new(state),
            syncing: Mutex::new(()),
        })
    }

    /// Writes a record and returns its sequence. It is not lasting before a sync.
    ///
    /// # Errors
    /// `io` if the write fails, and from then on for every append: what the file ends with is not known any more.
    /// `invalid_batch` if the payload is longer than [`MAX_PAYLOAD_BYTES`]; the log goes on.
    pub fn append(&self, payload: &[u8]) -> Result<u64> {
        let mut state = self.state.lock();
        self.refuse_unless_open(&state)?;
        let sequence = state.next_sequence;
        let Some(record) = encode_record(payload, sequence, state.durable_sequence, self.salt) else {
            return Err(Error::InvalidBatch {
                detail: format!("one write has {} bytes, at most {MAX_PAYLOAD_BYTES} are allowed", payload.len()),
            });
        };
        // Set before the write, so that whatever happens during it can't leave the log looking sound.
        state.failure = Some(Failure::Write);
        self.file.write_all(&record)?;
        state.failure = None;
        state.next_sequence += 1;
        state.byte_len += record.len() as u64;
        Ok(sequence)
    }

    /// Makes every record appended so far lasting; returns the sequence of the last one.
    pub fn sync(&self) -> Result<u64> {
        let last = self.state.lock().next_sequence - 1;
        self.sync_up_to(last)?;
        Ok(last)
    }

    /// Returns once the records up to `sequence` are lasting. Threads that ask together share a sync.
    ///
    /// # Errors
    /// `io` if the sync fails, and from then on for every append and sync. The records may or may not be found after a
    /// crash; they were not acknowledged.
    pub(crate) fn sync_up_to(&self, sequence: u64) -> Result<()> {
        if self.state.lock().durable_sequence >= sequence {
            return Ok(());
        }
        let _turn = self.syncing.lock();
        let written = {
            let state = self.state.lock();
            if state.durable_sequence >= sequence {
                return Ok(());
            }
            self.refuse_if_failed(&state)?;
            state.next_sequence - 1
        };
        if sequence > written {
            return Err(Error::Internal { detail: format!("asked to sync record {sequence}, {written} is the last") });
        }
        let synced = self.file.sync();
        let mut state = self.state.lock();
        match synced {
            Ok(()) => {
                state.durable_sequence = written;
                drop(state);
                self.mark.set(written);
                Ok(())
            }
            Err(error) => {
                state.failure = Some(Failure::Sync);
                Err(error)
            }
        }
    }

    /// The log's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.state.lock().byte_len
    }

    /// Whether it has no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.byte_len() == LOG_HEADER_BYTES as u64
    }

    /// The sequence that the next record gets.
    #[cfg(test)]
    pub(crate) fn next_sequence(&self) -> u64 {
        self.state.lock().next_sequence
    }

    /// Every record up to this one is lasting.
    #[cfg(test)]
    pub(crate) fn durable_sequence(&self) -> u64 {
        self.state.lock().durable_sequence
    }

    fn refuse_unless_open(&self, state: &State) -> Result<()> {
        if state.ended {
            let source = std::io::Error::other("another log has taken its place");
            return Err(Error::io(&self.path, "append", source));
        }
        self.refuse_if_failed(state)
    }

    fn refuse_if_failed(&self, state: &State) -> Result<()> {
        if state.failure.is_some() {
            let source = std::io::Error::other("an earlier write or sync failed, and what the disk has is not known");
            return Err(Error::io(&self.path, "append", source));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::super::memory::MemoryStorage;
    use super::super::names::create_directories;
    use super::super::replay::replay;
    use super::super::seam::Lock;
    use super::super::section::ByteOwner;
    use super::*;

    type Records = Vec<(u64, Vec<u8>)>;

    fn records(storage: &dyn Storage, number: u64) -> Result<(Records, LogEnd)> {
        let mut found = Vec::new();
        let end = replay(storage, number, &mut |sequence, payload| {
            found.push((sequence, payload.to_vec()));
            Ok(())
        })?;
        Ok((found, end))
    }

    fn code<T>(result: Result<T>) -> Option<&'static str> {
        result.err().map(|error| error.code())
    }

    /// A disk in memory that fails, and counts its syncs, on demand.
    #[derive(Debug, Default)]
    struct FaultyStorage {
        inner: MemoryStorage,
        faults: Arc<Faults>,
    }

    #[derive(Debug, Default)]
    struct Faults {
        fail_write: AtomicBool,
        fail_sync: AtomicBool,
        syncs: AtomicUsize,
    }

    #[derive(Debug)]
    struct FaultyFile {
        inner: Box<dyn WriteFile>,
        faults: Arc<Faults>,
    }

    impl WriteFile for FaultyFile {
        fn write_all(&self, bytes: &[u8]) -> Result<()> {
            if self.faults.fail_write.load(Ordering::SeqCst) {
                self.inner.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
                return Err(Error::io("(memory)", "write", std::io::ErrorKind::StorageFull.into()));
            }
            self.inner.write_all(bytes)
        }

        fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
            self.inner.write_at(at, bytes)
        }

        fn sync(&self) -> Result<()> {
            self.faults.syncs.fetch_add(1, Ordering::SeqCst);
            // As long as a disk takes, so that others gather behind it.
            std::thread::sleep(std::time::Duration::from_millis(2));
            if self.faults.fail_sync.load(Ordering::SeqCst) {
                return Err(Error::io("(memory)", "sync", std::io::ErrorKind::Other.into()));
            }
            self.inner.sync()
        }
    }

    impl Storage for FaultyStorage {
        fn root(&self) -> &Path {
            self.inner.root()
        }
        fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>> {
            self.inner.read(name)
        }
        fn load(&self, name: &str) -> Result<Vec<u8>> {
            self.inner.load(name)
        }
        fn len(&self, name: &str) -> Result<u64> {
            self.inner.len(name)
        }
        fn exists(&self, name: &str) -> Result<bool> {
            self.inner.exists(name)
        }
        fn list(&self, dir: &str) -> Result<Vec<String>> {
            self.inner.list(dir)
        }
        fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
            Ok(Box::new(FaultyFile { inner: self.inner.create(name)?, faults: Arc::clone(&self.faults) }))
        }
        fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
            Ok(Box::new(FaultyFile { inner: self.inner.append(name, at)?, faults: Arc::clone(&self.faults) }))
        }
        fn rename(&self, from: &str, to: &str) -> Result<()> {
            self.inner.rename(from, to)
        }
        fn remove(&self, name: &str) -> Result<()> {
            self.inner.remove(name)
        }
        fn create_dir(&self, dir: &str) -> Result<()> {
            self.inner.create_dir(dir)
        }
        fn sync_dir(&self, dir: &str) -> Result<()> {
            self.inner.sync_dir(dir)
        }
        fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
            self.inner.lock(name)
        }
    }

    fn faulty() -> Result<FaultyStorage> {
        let storage = FaultyStorage::default();
        create_directories(&storage)?;
        Ok(storage)
    }

    #[test]
    fn a_log_resumes_after_a_failed_write_without_the_torn_record_and_after_a_failed_sync_with_all() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"one")?;
        storage.faults.fail_write.store(true, Ordering::SeqCst);
        assert_eq!(code(log.append(b"never whole")), Some("io"));
        storage.faults.fail_write.store(false, Ordering::SeqCst);
        assert!(log.is_stuck());
        let log = log.resume(&storage)?;
        assert_eq!((log.is_stuck(), log.durable_sequence(), log.append(b"two")?), (false, 0, 2));
        storage.faults.fail_sync.store(true, Ordering::SeqCst);
        assert_eq!(code(log.sync()), Some("io"));
        assert_eq!(code(log.resume(&storage)), Some("io"));
        storage.faults.fail_sync.store(false, Ordering::SeqCst);
        let log = log.resume(&storage)?;
        assert_eq!((log.durable_sequence(), log.append(b"three")?), (2, 3));
        let (found, _) = records(&storage, 1)?;
        assert_eq!(found, [(1, b"one".to_vec()), (2, b"two".to_vec()), (3, b"three".to_vec())]);
        Ok(())
    }

    #[test]
    fn a_log_whose_next_could_not_be_started_resumes_with_it() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"one")?;
        storage.faults.fail_sync.store(true, Ordering::SeqCst);
        assert_eq!(code(log.next(&storage)), Some("io"));
        storage.faults.fail_sync.store(false, Ordering::SeqCst);
        let next = log.resume(&storage)?;
        assert_eq!((next.number(), next.append(b"two")?), (2, 2));
        assert_eq!(records(&storage, 1)?.0, [(1, b"one".to_vec())]);
        assert_eq!(records(&storage, 2)?.0, [(2, b"two".to_vec())]);
        Ok(())
    }

    #[test]
    fn after_a_failed_sync_nothing_is_taken_until_the_log_is_opened_again() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"one")?;
        storage.faults.fail_sync.store(true, Ordering::SeqCst);
        assert_eq!(code(log.sync()), Some("io"));
        storage.faults.fail_sync.store(false, Ordering::SeqCst);
        assert_eq!(code(log.append(b"two")), Some("io"));
        assert_eq!(code(log.sync()), Some("io"));
        assert_eq!(log.durable_sequence(), 0);
        let (_, end) = records(&storage, 1)?;
        let syncs = storage.faults.syncs.load(Ordering::SeqCst);
        let log = Log::open_append(&storage, &end)?;
        assert!(storage.faults.syncs.load(Ordering::SeqCst) > syncs, "what was not synced has to be written again");
        assert_eq!((log.durable_sequence(), log.append(b"two")?), (1, 2));
        Ok(())
    }

    #[test]
    fn after_a_failed_write_nothing_is_taken_until_the_log_is_opened_again() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        log.append(b"one")?;
        storage.faults.fail_write.store(true, Ordering::SeqCst);
        assert_eq!(code(log.append(b"two")), Some("io"));
        storage.faults.fail_write.store(false, Ordering::SeqCst);
        assert_eq!(code(log.append(b"three")), Some("io"));
        let (found, end) = records(&storage, 1)?;
        assert_eq!(found, [(1, b"one".to_vec())]);
        assert_eq!(Log::open_append(&storage, &end)?.append(b"three")?, 2);
        Ok(())
    }

    #[test]
    fn a_log_that_another_follows_is_synced_and_takes_no_more() -> Result<()> {
        let storage = faulty()?;
        let first = Log::create(&storage, 1, 1)?;
        first.append(b"one")?;
        let second = first.next(&storage)?;
        assert_eq!((first.durable_sequence(), second.number()), (1, 2));
        assert_eq!(code(first.append(b"late")), Some("io"));
        assert_eq!(code(first.next(&storage)), Some("io"));
        assert_eq!(second.append(b"two")?, 2);
        storage.faults.fail_sync.store(true, Ordering::SeqCst);
        assert_eq!(code(second.next(&storage)), Some("io"));
        assert_eq!(code(second.append(b"three")), Some("io"));
        assert_eq!(storage.list("wal")?.len(), 2);
        Ok(())
    }

    #[test]
    fn threads_that_sync_together_share_one_sync() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        for round in 1..=10 {
            let appended = (0..16).map(|_| log.append(b"payload")).collect::<Result<Vec<u64>>>()?;
            let before = storage.faults.syncs.load(Ordering::SeqCst);
            let sync = |sequence| log.sync_up_to(sequence).map(|()| log.durable_sequence() >= sequence);
            let outcomes: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = appended.iter().map(|&sequence| scope.spawn(move || sync(sequence))).collect();
                threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
            });
            for outcome in outcomes {
                assert!(outcome.map_err(|_| Error::Internal { detail: "a thread panicked".to_owned() })??);
            }
            assert_eq!(storage.faults.syncs.load(Ordering::SeqCst) - before, 1, "round {round}");
        }
        assert_eq!(records(&storage, 1)?.0.len(), 160);
        Ok(())
    }

    #[test]
    fn a_payload_that_is_too_long_is_refused_and_the_log_goes_on() -> Result<()> {
        let storage = faulty()?;
        let log = Log::create(&storage, 1, 1)?;
        assert_eq!(code(log.append(&vec![0; MAX_PAYLOAD_BYTES + 1])), Some("invalid_batch"));
        assert_eq!(log.append(b"short")?, 1);
        Ok(())
    }
}
