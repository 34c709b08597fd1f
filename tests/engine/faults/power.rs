//! A disk that keeps what was written apart from what was synced, and shows what a power cut at any step could leave.
//!
//! [`PowerDisk`] works on a directory in memory and writes down each step that changes it. A [`Platter`] takes the steps
//! one by one and knows of each file and each directory what is lasting and what is still on its way. [`Platter::after_cut`]
//! makes a directory of what may be found after a power cut there:
//!
//! - Each directory has the entries of its last sync; of the creations, renames and removals since, any may have
//!   happened, whatever happened to the others. A rename is one change.
//! - Each file has the bytes of its last sync. Of what was written since, each block of 512 or 4,096 bytes is there or
//!   not, whatever happened to the others; the length is the old one, the new one, or one between. A block of which no
//!   byte was synced may hold anything, also what an older file had there.
//! - A synced file is lasting, its name is not before its directory was synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pixr::Result;
use pixr::storage::memory::MemoryStorage;
use pixr::storage::seam::{Lock, Storage, WriteFile};
use pixr::storage::section::ByteOwner;
use proptest::prelude::{Rng, RngExt};
use proptest::test_runner::TestRng;

type FileId = usize;

/// One change of the disk.
#[derive(Debug, Clone)]
pub enum Step {
    Create { name: String, file: FileId },
    Write { file: FileId, bytes: Vec<u8> },
    WriteAt { file: FileId, at: usize, bytes: Vec<u8> },
    Cut { file: FileId, len: usize },
    Sync { file: FileId },
    Rename { from: String, to: String },
    Remove { name: String },
    CreateDir { name: String },
    SyncDir { name: String },
}

/// A directory in memory that writes down its steps.
#[derive(Debug, Clone, Default)]
pub struct PowerDisk {
    inner: MemoryStorage,
    journal: Arc<Mutex<Journal>>,
}

#[derive(Debug, Default)]
struct Journal {
    steps: Vec<Step>,
    files: BTreeMap<String, FileId>,
    dirs: BTreeSet<String>,
    count: FileId,
}

impl PowerDisk {
    /// Goes on from what `image` holds, all of which is taken for lasting; `platter` is the same directory at rest.
    pub fn over(image: &Image) -> (Self, Platter) {
        let (disk, mut platter) = (Self { inner: image.to_storage(), ..Self::default() }, Platter::default());
        let mut journal = disk.journal.lock();
        for dir in &image.dirs {
            journal.dirs.insert(dir.clone());
            platter.entries.insert(dir.clone(), Entry::Dir);
        }
        for (name, bytes) in &image.files {
            let file = journal.count;
            journal.count += 1;
            journal.files.insert(name.clone(), file);
            platter.entries.insert(name.clone(), Entry::File(file));
            platter.files.insert(file, Inode { lasting: bytes.clone(), ..Inode::default() });
        }
        platter.now = platter.entries.clone();
        drop(journal);
        (disk, platter)
    }

    /// How many steps were taken so far.
    pub fn step_count(&self) -> usize {
        self.journal.lock().steps.len()
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.journal.lock().steps.clone()
    }
}

impl Storage for PowerDisk {
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
        let mut journal = self.journal.lock();
        let inner = self.inner.create(name)?;
        let file = match journal.files.get(name).copied() {
            // As `open` with O_TRUNC: the same file, emptied.
            Some(file) => {
                journal.steps.push(Step::Cut { file, len: 0 });
                file
            }
            None => {
                let file = journal.count;
                journal.count += 1;
                journal.files.insert(name.to_owned(), file);
                journal.steps.push(Step::Create { name: name.to_owned(), file });
                file
            }
        };
        Ok(Box::new(PowerFile { inner, file, journal: Arc::clone(&self.journal) }))
    }
    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        let mut journal = self.journal.lock();
        let inner = self.inner.append(name, at)?;
        let file = journal.files[name];
        journal.steps.push(Step::Cut { file, len: usize::try_from(at).unwrap() });
        Ok(Box::new(PowerFile { inner, file, journal: Arc::clone(&self.journal) }))
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.rename(from, to)?;
        let file = journal.files.remove(from).unwrap();
        journal.files.insert(to.to_owned(), file);
        journal.steps.push(Step::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }
    fn remove(&self, name: &str) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.remove(name)?;
        if journal.files.remove(name).is_some() {
            journal.steps.push(Step::Remove { name: name.to_owned() });
        }
        Ok(())
    }
    fn create_dir(&self, dir: &str) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.create_dir(dir)?;
        if journal.dirs.insert(dir.to_owned()) {
            journal.steps.push(Step::CreateDir { name: dir.to_owned() });
        }
        Ok(())
    }
    fn sync_dir(&self, dir: &str) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.sync_dir(dir)?;
        journal.steps.push(Step::SyncDir { name: dir.to_owned() });
        Ok(())
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(name)
    }
}

#[derive(Debug)]
struct PowerFile {
    inner: Box<dyn WriteFile>,
    file: FileId,
    journal: Arc<Mutex<Journal>>,
}

impl WriteFile for PowerFile {
    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.write_all(bytes)?;
        journal.steps.push(Step::Write { file: self.file, bytes: bytes.to_vec() });
        Ok(())
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.write_at(at, bytes)?;
        let at = usize::try_from(at).unwrap();
        assert_eq!(at / 512, (at + bytes.len() - 1) / 512, "within one block");
        journal.steps.push(Step::WriteAt { file: self.file, at, bytes: bytes.to_vec() });
        Ok(())
    }
    fn sync(&self) -> Result<()> {
        let mut journal = self.journal.lock();
        self.inner.sync()?;
        journal.steps.push(Step::Sync { file: self.file });
        Ok(())
    }
}

/// A directory at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Image {
    pub dirs: BTreeSet<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// The files in `storage` as another process would find them now. Looked at until nothing moves: work in the background
    /// may remove a file between its name and its bytes.
    pub fn of(storage: &dyn Storage) -> Self {
        for _ in 0..1000 {
            if let (Some(image), Some(again)) = (Self::seen(storage), Self::seen(storage))
                && image.files == again.files
                && image.dirs == again.dirs
            {
                return image;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("the files never stood still");
    }

    fn seen(storage: &dyn Storage) -> Option<Self> {
        let mut image = Self::default();
        for name in storage.list("").unwrap() {
            if let Ok(bytes) = storage.load(&name) {
                image.files.insert(name, bytes);
                continue;
            }
            for file in storage.list(&name).ok()? {
                let path = format!("{name}/{file}");
                image.files.insert(path.clone(), storage.load(&path).ok()?);
            }
            image.dirs.insert(name);
        }
        Some(image)
    }

    pub fn to_storage(&self) -> MemoryStorage {
        let storage = MemoryStorage::new();
        for dir in &self.dirs {
            storage.create_dir(dir).unwrap();
        }
        for (name, bytes) in &self.files {
            storage.create(name).unwrap().write_all(bytes).unwrap();
        }
        storage
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    Dir,
    File(FileId),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    lasting: Vec<u8>,
    /// Since the last sync: bytes at the end or in place, or the length to which the file was cut.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Append(Vec<u8>),
    Replace(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(String, Entry),
    Gone(String),
    Moved(String, String, Entry),
}

/// What is lasting and what is on its way.
#[derive(Debug, Clone, Default)]
pub struct Platter {
    entries: BTreeMap<String, Entry>,
    now: BTreeMap<String, Entry>,
    pending: BTreeMap<String, Vec<NameChange>>,
    files: BTreeMap<FileId, Inode>,
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// All of it is gone.
    Lost,
    /// All of it is there.
    Kept,
    /// Names happened, bytes did not.
    NamesOnly,
    /// Bytes are there, names did not happen.
    BytesOnly,
    /// Each change of a name and each block of so many bytes by lot.
    Torn { block: usize },
    /// As `Torn`, and blocks that never were synced hold what was on the disk before.
    Stale { block: usize },
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Inode {
    fn versions(&self) -> Vec<Vec<u8>> {
        let mut versions = vec![self.lasting.clone()];
        for change in &self.pending {
            let mut next = versions.last().unwrap().clone();
            match change {
                Change::Append(bytes) => next.extend_from_slice(bytes),
                Change::Replace(at, bytes) => next[*at..at + bytes.len()].copy_from_slice(bytes),
                Change::Cut(len) => next.truncate(*len),
            }
            versions.push(next);
        }
        versions
    }

    fn after(&self, fate: Fate, stale: &[u8], rng: &mut TestRng) -> Vec<u8> {
        let versions = self.versions();
        let newest = versions.last().unwrap();
        let block = match fate {
            Fate::Lost | Fate::NamesOnly => return self.lasting.clone(),
            Fate::Kept | Fate::BytesOnly => return newest.clone(),
            Fate::Torn { block } | Fate::Stale { block } => block,
        };
        if versions.len() == 1 {
            return self.lasting.clone();
        }
        let between = &versions[rng.random_range(0..versions.len())];
        let (short, long) = (self.lasting.len().min(newest.len()), self.lasting.len().max(newest.len()));
        let len = match rng.random_range(0..4) {
            0 => self.lasting.len(),
            1 => newest.len(),
            2 => between.len(),
            _ => rng.random_range(short..=long),
        };
        let mut bytes = vec![0; len];
        for start in (0..len).step_by(block) {
            let end = (start + block).min(len);
            let target = &mut bytes[start..end];
            let source: &[u8] = match (fate, rng.random_range(0..5)) {
                (Fate::Stale { .. }, 0) if start >= self.lasting.len() && !stale.is_empty() => {
                    let from = rng.random_range(0..stale.len());
                    &stale[from..]
                }
                (Fate::Stale { .. }, 1) if start >= self.lasting.len() => {
                    rng.fill_bytes(target);
                    continue;
                }
                (_, 0 | 1) => self.lasting.get(start..).unwrap_or_default(),
                (_, 2) => between.get(start..).unwrap_or_default(),
                _ => newest.get(start..).unwrap_or_default(),
            };
            let count = source.len().min(target.len());
            target[..count].copy_from_slice(&source[..count]);
        }
        bytes
    }
}

impl Platter {
    /// Takes one step.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Create { name, file } => {
                self.files.insert(*file, Inode::default());
                self.name(NameChange::Set(name.clone(), Entry::File(*file)), name);
            }
            Step::CreateDir { name } => self.name(NameChange::Set(name.clone(), Entry::Dir), name),
            Step::Write { file, bytes } => self.change(*file, Change::Append(bytes.clone())),
            Step::WriteAt { file, at, bytes } => self.change(*file, Change::Replace(*at, bytes.clone())),
            Step::Cut { file, len } => self.change(*file, Change::Cut(*len)),
            Step::Sync { file } => {
                if let Some(inode) = self.files.get_mut(file) {
                    inode.lasting = inode.versions().pop().unwrap();
                    inode.pending.clear();
                }
            }
            Step::Rename { from, to } => {
                assert_eq!(parent(from), parent(to), "a rename within one directory is one change");
                let entry = self.now[from];
                self.name(NameChange::Moved(from.clone(), to.clone(), entry), to);
            }
            Step::Remove { name } => self.name(NameChange::Gone(name.clone()), name),
            Step::SyncDir { name } => {
                for change in self.pending.remove(name).unwrap_or_default() {
                    apply(&mut self.entries, &change);
                }
            }
        }
    }

    fn change(&mut self, file: FileId, change: Change) {
        self.files.get_mut(&file).unwrap().pending.push(change);
    }

    fn name(&mut self, change: NameChange, name: &str) {
        apply(&mut self.now, &change);
        self.pending.entry(parent(name).to_owned()).or_default().push(change);
    }

    /// How many changes are on their way.
    pub fn pending_count(&self) -> usize {
        let names: usize = self.pending.values().map(Vec::len).sum();
        names + self.files.values().map(|inode| inode.pending.len()).sum::<usize>()
    }

    /// What a power cut now may leave.
    pub fn after_cut(&self, fate: Fate, rng: &mut TestRng) -> Image {
        let mut entries = self.entries.clone();
        for changes in self.pending.values() {
            // By lot: each change alone, or all up to one of them as a journal would have it.
            let up_to = rng.random_bool(0.3).then(|| rng.random_range(0..=changes.len()));
            for (number, change) in changes.iter().enumerate() {
                let happens = match fate {
                    Fate::Lost | Fate::BytesOnly => false,
                    Fate::Kept | Fate::NamesOnly => true,
                    Fate::Torn { .. } | Fate::Stale { .. } => {
                        up_to.map_or_else(|| rng.random_bool(0.5), |up_to| number < up_to)
                    }
                };
                if happens {
                    apply(&mut entries, change);
                }
            }
        }
        let stale: Vec<u8> = match fate {
            Fate::Stale { .. } => self.files.values().flat_map(|inode| inode.lasting.iter().copied()).collect(),
            _ => Vec::new(),
        };
        let mut image = Image::default();
        let there = |dir: &str| dir.is_empty() || entries.get(dir) == Some(&Entry::Dir);
        for (name, entry) in &entries {
            match entry {
                _ if !there(parent(name)) => {}
                Entry::Dir => drop(image.dirs.insert(name.clone())),
                Entry::File(file) => {
                    image.files.insert(name.clone(), self.files[file].after(fate, &stale, rng));
                }
            }
        }
        image
    }
}

fn apply(entries: &mut BTreeMap<String, Entry>, change: &NameChange) {
    match change {
        NameChange::Set(name, entry) => drop(entries.insert(name.clone(), *entry)),
        NameChange::Gone(name) => drop(entries.remove(name)),
        NameChange::Moved(from, to, entry) => {
            if entries.get(from) == Some(entry) {
                entries.remove(from);
            }
            entries.insert(to.clone(), *entry);
        }
    }
}

/// The double can lose things: a disk that never lost anything would pass every test.
#[test]
fn what_was_not_synced_may_be_lost_torn_or_kept_and_what_was_synced_stays() {
    use proptest::test_runner::RngAlgorithm;
    let disk = PowerDisk::default();
    disk.create_dir("wal").unwrap();
    disk.sync_dir("").unwrap();
    let file = disk.create("wal/a").unwrap();
    file.write_all(&[1; 1000]).unwrap();
    file.sync().unwrap();
    disk.sync_dir("wal").unwrap();
    file.write_all(&[2; 3000]).unwrap();
    disk.rename("wal/a", "wal/b").unwrap();
    let mut platter = Platter::default();
    disk.steps().iter().for_each(|step| platter.take(step));
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let lost = platter.after_cut(Fate::Lost, &mut rng);
    assert_eq!(lost.files, BTreeMap::from([("wal/a".to_owned(), vec![1; 1000])]));
    let kept = platter.after_cut(Fate::Kept, &mut rng);
    assert_eq!(kept.files, BTreeMap::from([("wal/b".to_owned(), [vec![1; 1000], vec![2; 3000]].concat())]));
    let (mut names, mut holes, mut lengths) = (BTreeSet::new(), 0, BTreeSet::new());
    for _ in 0..200 {
        let torn = platter.after_cut(Fate::Torn { block: 512 }, &mut rng);
        let (name, bytes) = torn.files.into_iter().next().unwrap();
        assert_eq!(&bytes[..1000], &[1; 1000], "what was synced stays");
        holes += usize::from(bytes[1000..].windows(2).any(|pair| pair == [0, 2]));
        lengths.insert(bytes.len());
        names.insert(name);
    }
    assert_eq!(names, BTreeSet::from(["wal/a".to_owned(), "wal/b".to_owned()]));
    assert!(holes > 20 && lengths.len() > 20, "{holes} {lengths:?}");
}
