//! Files on a disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

#[cfg(target_os = "linux")]
use super::large_pages::want_large_pages;
use super::seam::{Lock, Storage, WriteFile, check_name};
use super::section::ByteOwner;
use crate::error::{Error, Result};

/// A directory on a disk.
///
/// If it is moved away or removed, nothing more is written, for nobody would find it. If another directory takes its place,
/// as when a backup is restored there, that one is read but never written to: its files are not those that were opened here.
#[derive(Debug, Clone)]
pub struct DiskStorage {
    root: PathBuf,
    /// The directory itself, whatever has its path now; none where the system opens no directories.
    opened: Option<Arc<File>>,
}

impl DiskStorage {
    /// Uses the directory `root`.
    ///
    /// # Errors
    /// `library_not_found` if there is nothing, `not_a_library` if it is a file.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_dir() => Ok(Self::new(root)),
            Ok(_) => Err(Error::NotALibrary { path: root }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Err(Error::LibraryNotFound { path: root }),
            Err(source) => Err(Error::io(root, "open", source)),
        }
    }

    /// Uses the directory `root`, made with those above it if it is not there.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if root.is_file() {
            return Err(Error::NotALibrary { path: root });
        }
        create_dirs(&root)?;
        Ok(Self::new(root))
    }

    fn new(root: PathBuf) -> Self {
        let opened = File::open(&root).ok().map(Arc::new);
        Self { root, opened }
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.path(name))
    }

    /// The path of a file that is to be made, renamed or removed.
    ///
    /// # Errors
    /// `io` if the directory is not the one that was opened any more.
    fn place_to_change(&self, name: &str) -> Result<PathBuf> {
        let opened = self.opened.as_ref().and_then(|opened| Identity::of(&opened.metadata().ok()?));
        refuse_if_gone(opened, &self.root, "directory")?;
        self.place(name)
    }
}

impl Storage for DiskStorage {
    fn root(&self) -> &Path {
        &self.root
    }

    fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>> {
        let path = self.place(name)?;
        let file = File::open(&path).map_err(|source| Error::io(&path, "open", source))?;
        let len = file.metadata().map_err(|source| Error::io(&path, "read", source))?.len();
        if len == 0 {
            // Systems refuse to map nothing.
            return Ok(Arc::new(Vec::new()));
        }
        let mapped = map(&file).map(|map| Mapped { map, file });
        Ok(Arc::new(mapped.map_err(|source| Error::io(&path, "map", source))?))
    }

    fn load(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.place(name)?;
        fs::read(&path).map_err(|source| Error::io(&path, "read", source))
    }

    fn load_from(&self, name: &str, at: u64) -> Result<Vec<u8>> {
        let path = self.place(name)?;
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(at))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|source| Error::io(&path, "read", source))
    }

    fn len(&self, name: &str) -> Result<u64> {
        let path = self.place(name)?;
        Ok(fs::metadata(&path).map_err(|source| Error::io(&path, "read", source))?.len())
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let path = self.place(name)?;
        path.try_exists().map_err(|source| Error::io(&path, "read", source))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let path = self.place(dir)?;
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::io(&path, "list", source)),
        };
        let names: io::Result<Vec<String>> =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
        let mut names = names.map_err(|source| Error::io(&path, "list", source))?;
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let path = self.place_to_change(name)?;
        let file = File::create(&path).map_err(|source| Error::io(&path, "create", source))?;
        Ok(Box::new(DiskFile { path, file }))
    }

    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        let path = self.place_to_change(name)?;
        let open = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            let len = file.metadata()?.len();
            if len < at {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the file has {len} bytes, expected at least {at}"),
                ));
            }
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            Ok(file)
        };
        let file = open().map_err(|source| Error::io(&path, "append", source))?;
        Ok(Box::new(DiskFile { path, file }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.place_to_change(from)?, self.place_to_change(to)?);
        fs::rename(&from, &to).map_err(|source| Error::io(&from, "rename", source))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.place_to_change(name)?;
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::io(&path, "remove", source)),
            _ => Ok(()),
        }
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.place_to_change(from)?, self.place_to_change(to)?);
        if fs::hard_link(&from, &to).is_ok() {
            return Ok(());
        }
        // Some file systems have no links.
        let copy = || {
            fs::copy(&from, &to)?;
            File::open(&to)?.sync_all()
        };
        copy().map_err(|source| Error::io(&to, "copy", source))
    }

    fn remove_dir(&self, dir: &str) -> Result<()> {
        let path = self.place_to_change(dir)?;
        match fs::remove_dir(&path) {
            Err(source) if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                Err(Error::io(&path, "remove", source))
            }
            _ => Ok(()),
        }
    }

    fn create_dir(&self, dir: &str) -> Result<()> {
        create_dirs(&self.place_to_change(dir)?)
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        sync_directory(&self.place(dir)?)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let path = self.place_to_change(name)?;
        let failed = |source| Error::io(&path, "lock", source);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::LibraryLocked { path: self.root.clone(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let process = std::process::id();
        // For the message to others only: on a full disk the lock is held without it, so that room can be made.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{process}"));
        let identity = file.metadata().ok().as_ref().and_then(Identity::of);
        Ok(Box::new(DiskLock { path, file, identity, process }))
    }
}

/// A file that is mapped, and can be read past the mapping.
#[derive(Debug)]
struct Mapped {
    map: Mmap,
    file: File,
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl ByteOwner for Mapped {
    #[cfg(unix)]
    fn read_at(&self, at: usize, room: &mut [u8]) -> Option<io::Result<()>> {
        Some(std::os::unix::fs::FileExt::read_exact_at(&self.file, room, at as u64))
    }

    #[cfg(unix)]
    fn expect(&self, range: Range<usize>) {
        // A hint: what it fails to bring is read when it is touched.
        let _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
    }

    #[cfg(target_os = "linux")]
    fn expect_everywhere(&self, range: Range<usize>) {
        want_large_pages(&self.map, &self.file, &range);
    }
}

#[derive(Debug)]
struct DiskFile {
    path: PathBuf,
    file: File,
}

impl WriteFile for DiskFile {
    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        (&self.file).write_all(bytes).map_err(|source| Error::io(&self.path, "write", source))
    }

    #[cfg(unix)]
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let written = std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at);
        written.map_err(|source| Error::io(&self.path, "write", source))
    }

    #[cfg(not(unix))]
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut file = &self.file;
            let end = file.stream_position()?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(end)).map(|_| ())
        };
        write().map_err(|source| Error::io(&self.path, "write", source))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| Error::io(&self.path, "sync", source))
    }
}

/// An advisory lock of the operating system, which ends with the process whatever ends it.
#[derive(Debug)]
struct DiskLock {
    path: PathBuf,
    file: File,
    /// None where the system tells files apart by their names alone.
    identity: Option<Identity>,
    process: u32,
}

impl Lock for DiskLock {
    fn refuse_if_gone(&self) -> Result<()> {
        refuse_if_gone(self.identity, &self.path, "LOCK")
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // A forked child shares the lock. When it drops its copy, the parent must keep its own.
        if self.process == std::process::id() {
            let _ = self.file.set_len(0);
            let _ = self.file.unlock();
        }
    }
}

/// The process id in a lock file, if there is one: the holder may just be writing it.
fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Makes `path` and the directories above it, and their names lasting.
fn create_dirs(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dirs(parent)?;
    }
    match fs::create_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            return Err(Error::io(path, "create", source));
        }
        _ => {}
    }
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// What tells a file or directory from others, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self { device: metadata.dev(), number: metadata.ino() })
    }

    /// On other systems what is open can't be moved or removed.
    #[cfg(not(unix))]
    fn of(_metadata: &fs::Metadata) -> Option<Self> {
        None
    }
}

/// Refuses to write where `path` does not lead to what was opened there any more. What can't be looked at is not known
/// to be gone, and what is done there fails by itself.
fn refuse_if_gone(opened: Option<Identity>, path: &Path, kind: &str) -> Result<()> {
    let Some(opened) = opened else { return Ok(()) };
    let detail = match fs::metadata(path) {
        Ok(there) if Identity::of(&there) == Some(opened) => return Ok(()),
        Ok(_) => format!("another {kind} has taken the place of the one that was opened"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("the {kind} that was opened is not there any more")
        }
        Err(_) => return Ok(()),
    };
    Err(Error::io(path, "write to", io::Error::other(detail)))
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|source| Error::io(path, "sync", source))
}

/// On other systems directories can't be synced; how lasting names are is up to the file system's own journal.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> Result<()> {
    Ok(())
}

#[expect(unsafe_code, reason = "mapping a file is unsafe: the bytes could change under the reader")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: files that are mapped are published whole by a rename and never written or shortened afterwards
    // (`Storage::read` states it, `publish` keeps it); removing one leaves its bytes to those who have it mapped.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_and_a_file_are_told_apart() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        assert_eq!(
            DiskStorage::open(dir.path().join("none")).map_err(|error| error.code()).err(),
            Some("library_not_found")
        );
        let file = dir.path().join("file");
        fs::write(&file, b"x")?;
        assert_eq!(DiskStorage::open(&file).map_err(|error| error.code()).err(), Some("not_a_library"));
        assert_eq!(DiskStorage::create(&file).map_err(|error| error.code()).err(), Some("not_a_library"));
        assert_eq!(DiskStorage::create(dir.path().join("a/b/c"))?.list("")?, Vec::<String>::new());
        Ok(())
    }

    /// A writer whose directory was moved away wrote its parts and its manifest over those of what was restored there.
    #[test]
    fn nothing_is_written_to_a_directory_that_took_the_place_of_the_one_opened()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("films");
        let storage = DiskStorage::create(&root)?;
        storage.create("mine")?;
        fs::rename(&root, dir.path().join("moved"))?;
        fs::create_dir(&root)?;
        fs::write(root.join("theirs"), b"theirs")?;
        let refused = [
            storage.create("mine").map(|_| ()),
            storage.create("theirs").map(|_| ()),
            storage.append("theirs", 0).map(|_| ()),
            storage.rename("theirs", "mine"),
            storage.remove("theirs"),
            storage.link("theirs", "mine"),
            storage.create_dir("dir"),
            storage.remove_dir("dir"),
            storage.lock("LOCK").map(|_| ()),
        ];
        for outcome in refused {
            let Err(Error::Io { path, operation: "write to", .. }) = outcome else {
                return Err(format!("not refused: {outcome:?}").into());
            };
            assert_eq!(path, root);
        }
        assert_eq!(storage.list("")?, ["theirs"]);
        assert_eq!(storage.load("theirs")?, b"theirs");
        fs::rename(&root, dir.path().join("other"))?;
        fs::rename(dir.path().join("moved"), &root)?;
        storage.remove("mine")?;
        assert_eq!(storage.list("")?, Vec::<String>::new());
        Ok(())
    }

    /// What was added to a library whose directory was removed was acknowledged, and gone with the process.
    #[test]
    fn nothing_is_written_where_what_was_opened_is_gone() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (root, moved) = (dir.path().join("films"), dir.path().join("moved"));
        let storage = DiskStorage::create(&root)?;
        let lock = storage.lock("LOCK")?;
        let is_refused = |outcome: Result<()>| matches!(outcome, Err(Error::Io { operation: "write to", .. }));
        lock.refuse_if_gone()?;
        fs::rename(&root, &moved)?;
        assert!(is_refused(lock.refuse_if_gone()));
        assert!(is_refused(storage.create_dir("dir")));
        assert!(is_refused(storage.remove("LOCK")));
        assert!(!root.exists());
        fs::rename(&moved, &root)?;
        lock.refuse_if_gone()?;
        fs::remove_file(root.join("LOCK"))?;
        assert!(is_refused(lock.refuse_if_gone()));
        let other = storage.lock("LOCK")?;
        assert!(is_refused(lock.refuse_if_gone()));
        other.refuse_if_gone()?;
        Ok(())
    }

    #[test]
    fn an_empty_file_can_be_read() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let storage = DiskStorage::create(dir.path())?;
        storage.create("empty")?;
        assert!(storage.read("empty")?.is_empty());
        Ok(())
    }

    #[test]
    fn the_lock_file_names_its_holder() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let storage = DiskStorage::create(dir.path())?;
        fs::write(dir.path().join("LOCK"), b"4000000000\n")?;
        let lock = storage.lock("LOCK")?;
        let text = fs::read_to_string(dir.path().join("LOCK"))?;
        assert_eq!(text.trim().parse(), Ok(std::process::id()));
        drop(lock);
        Ok(())
    }
}
