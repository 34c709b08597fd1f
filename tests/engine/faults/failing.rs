//! Every call through the seam fails once, or a few times in a row, with what a full or broken disk says.
//!
//! Each failure is an error with the code `io`. The deed either did not happen or happened whole; what was acknowledged
//! before is there, also for a process that opens the library at that moment; and doing the deed again succeeds once the
//! disk is well, on the same handle.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pixr::library::{Access, Library};
use pixr::storage::memory::MemoryStorage;
use pixr::storage::seam::{Lock, Storage, WriteFile};
use pixr::storage::section::ByteOwner;
use pixr::{Error, Result};

use super::power::Image;
use super::tally::{Profile, Tally, caught, first_seed, profile};
use super::workload::{Deed, Lot, Model, held, perform};

/// No space, an I/O error, too many open files, an interrupted call.
const ERRORS: [i32; 4] = [28, 5, 24, 4];

/// A disk whose calls are counted and fail from one number to another.
#[derive(Debug, Clone)]
struct FailingDisk {
    inner: MemoryStorage,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug)]
struct Plan {
    calls: u64,
    failing: std::ops::Range<u64>,
    errno: i32,
    failed: u64,
}

impl FailingDisk {
    fn new(failing: std::ops::Range<u64>, errno: i32) -> Self {
        let plan = Plan { calls: 0, failing, errno, failed: 0 };
        Self { inner: MemoryStorage::new(), plan: Arc::new(Mutex::new(plan)) }
    }

    fn failed(&self) -> u64 {
        self.plan.lock().failed
    }
}

impl Plan {
    fn call(&mut self, operation: &'static str) -> Result<()> {
        self.calls += 1;
        if self.failing.contains(&(self.calls - 1)) {
            self.failed += 1;
            return Err(Error::io("(memory)", operation, std::io::Error::from_raw_os_error(self.errno)));
        }
        Ok(())
    }
}

impl Storage for FailingDisk {
    fn root(&self) -> &Path {
        self.inner.root()
    }
    fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>> {
        self.plan.lock().call("open")?;
        self.inner.read(name)
    }
    fn load(&self, name: &str) -> Result<Vec<u8>> {
        self.plan.lock().call("read")?;
        self.inner.load(name)
    }
    fn len(&self, name: &str) -> Result<u64> {
        self.plan.lock().call("read")?;
        self.inner.len(name)
    }
    fn exists(&self, name: &str) -> Result<bool> {
        self.plan.lock().call("read")?;
        self.inner.exists(name)
    }
    fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.plan.lock().call("list")?;
        self.inner.list(dir)
    }
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        self.plan.lock().call("create")?;
        Ok(Box::new(FailingFile { inner: self.inner.create(name)?, plan: Arc::clone(&self.plan) }))
    }
    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        self.plan.lock().call("append")?;
        Ok(Box::new(FailingFile { inner: self.inner.append(name, at)?, plan: Arc::clone(&self.plan) }))
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.plan.lock().call("rename")?;
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.plan.lock().call("remove")?;
        self.inner.remove(name)
    }
    fn create_dir(&self, dir: &str) -> Result<()> {
        self.plan.lock().call("create")?;
        self.inner.create_dir(dir)
    }
    fn sync_dir(&self, dir: &str) -> Result<()> {
        self.plan.lock().call("sync")?;
        self.inner.sync_dir(dir)
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.plan.lock().call("lock")?;
        self.inner.lock(name)
    }
}

#[derive(Debug)]
struct FailingFile {
    inner: Box<dyn WriteFile>,
    plan: Arc<Mutex<Plan>>,
}

impl WriteFile for FailingFile {
    /// A write that fails has written a part.
    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let outcome = self.plan.lock().call("write");
        match outcome {
            Ok(()) => self.inner.write_all(bytes),
            Err(error) => {
                self.inner.write_all(&bytes[..bytes.len() * 2 / 3])?;
                Err(error)
            }
        }
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.plan.lock().call("write")?;
        self.inner.write_at(at, bytes)
    }
    fn sync(&self) -> Result<()> {
        self.plan.lock().call("sync")?;
        self.inner.sync()
    }
}

/// What is wrong: `(kind, story)`.
type Wrong = (&'static str, String);

/// Whether what `image` holds is one of the states; a library that is not there yet holds nothing.
fn holds(image: &Image, states: [&Model; 2]) -> Result<(), Wrong> {
    let opened = Library::open_in(Arc::new(image.to_storage()), Access::Read);
    let contents = match &opened {
        Ok(library) => held(library),
        Err(Error::LibraryNotFound { .. }) => Ok(Default::default()),
        Err(error) => return Err(("lost", format!("another process opens it: {error}"))),
    };
    match contents {
        Ok(contents) if states.iter().any(|state| state.films == contents) => Ok(()),
        Ok(contents) => Err(("lost", format!("another process finds {:?}", contents.keys()))),
        Err(error) => Err(("lost", format!("another process reads: {error}"))),
    }
}

/// Does `deeds` on `disk`, each again until it succeeds. Counts handles that had to be opened again.
fn live_through(deeds: &[Deed], disk: &FailingDisk, tally: &mut Tally) -> Result<(), Wrong> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let (mut library, mut before) = (None, Model::default());
    for (number, deed) in deeds.iter().enumerate() {
        let after = before.after(deed);
        let told =
            |story: String| format!("deed {number} {}: {story}", format!("{deed:?}").split('(').next().unwrap_or(""));
        let (mut tries, mut reopened) = (0, false);
        loop {
            let failed = disk.failed();
            let outcome = perform(&mut library, &storage, deed);
            let hindered = disk.failed() > failed;
            match outcome {
                Ok(()) => break,
                // It had happened the first time.
                Err(Error::VideoNotFound { .. }) if tries > 0 && matches!(deed, Deed::Delete(_)) => break,
                Err(Error::Io { .. }) if hindered => {}
                Err(Error::Io { .. }) if !reopened => {
                    // Only opening again helps.
                    tally.add("reopened", 1);
                    reopened = true;
                    library = None;
                }
                Err(error) => return Err(("wrong_answers", told(format!("{} {error}", error.code())))),
            }
            holds(&Image::of(&disk.inner), [&before, &after]).map_err(|(kind, story)| (kind, told(story)))?;
            if let Some(library) = &library {
                let contents = held(library).map_err(|error| ("lost", told(format!("reading after it: {error}"))))?;
                if contents != before.films && contents != after.films {
                    return Err(("lost", told(format!("the handle holds {:?}", contents.keys()))));
                }
            }
            tries += 1;
            if tries > 40 {
                return Err(("lost", told("it fails for ever".to_owned())));
            }
        }
        before = after;
    }
    // From here on the disk is well, and what is called is not counted.
    disk.plan.lock().failing = 0..0;
    let calls = disk.plan.lock().calls;
    let open = library.as_ref().ok_or_else(|| ("lost", "no library".to_owned()))?;
    let check = open.check().map_err(|error| ("lost", format!("check: {error}")))?;
    let contents = held(open).map_err(|error| ("lost", format!("reading: {error}")))?;
    if contents != before.films || !check.damaged.is_empty() {
        return Err(("lost", format!("at the end: {:?} {:?}", contents.keys(), check.damaged)));
    }
    drop(library);
    holds(&Image::of(&disk.inner), [&before, &before])?;
    disk.plan.lock().calls = calls;
    Ok(())
}

#[test]
fn a_call_that_fails_is_an_error_that_loses_nothing_and_passes() {
    let (workloads, deeds, lengths): (u64, usize, &[u64]) = match profile() {
        Profile::Test => (1, 12, &[1]),
        Profile::Fast => (2, 16, &[1, 6]),
        Profile::Slow => (6, 24, &[1, 2, 6, 15]),
    };
    let mut tally = Tally::default();
    let first = first_seed(1000);
    for seed in first..first + workloads {
        let mut deeds = Lot::new(seed).deeds(deeds);
        deeds.extend([Deed::Commit, Deed::Compact, Deed::Reopen, Deed::Commit]);
        let counting = FailingDisk::new(0..0, 0);
        if let Err((kind, story)) = live_through(&deeds, &counting, &mut tally) {
            tally.fail(kind, format!("without failures: {story}"));
        }
        let calls = counting.plan.lock().calls;
        for first in 0..calls {
            for &length in lengths {
                for (number, errno) in ERRORS.into_iter().enumerate() {
                    // In the smaller profiles the errors take turns.
                    let turn = first as usize % ERRORS.len() == number;
                    if !turn && (profile() != Profile::Slow) {
                        continue;
                    }
                    let disk = FailingDisk::new(first..first + length, errno);
                    let outcome = caught(|| live_through(&deeds, &disk, &mut tally));
                    tally.add("failed_calls", disk.failed());
                    let told =
                        |story: String| format!("seed {seed}, calls {first}+{length} fail with {errno}: {story}");
                    match outcome {
                        Ok(Ok(())) => {}
                        Ok(Err((kind, story))) => tally.fail(kind, told(story)),
                        Err(panic) => tally.fail("panics", told(panic)),
                    }
                }
            }
        }
    }
    tally.report("failing calls");
}
