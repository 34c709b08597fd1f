//! Files in memory: libraries that need no disk, and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::aligned::AlignedBytes;
use super::seam::{Lock, Storage, WriteFile, check_name};
use super::section::ByteOwner;
use crate::error::{Error, Result};

/// A directory in memory; clones share it. Gone with the last one.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    tree: Arc<Mutex<Tree>>,
}

#[derive(Debug, Default)]
struct Tree {
    files: BTreeMap<String, File>,
    directories: BTreeSet<String>,
    locks: BTreeSet<String>,
}

/// As on a disk, a file lives on without its name while someone has it open; what was read keeps its bytes.
type File = Arc<Mutex<Arc<AlignedBytes>>>;

impl MemoryStorage {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&self, name: &str, operation: &'static str) -> Result<File> {
        let file = self.tree.lock().files.get(name).map(Arc::clone);
        file.ok_or_else(|| Error::io(self.path(name), operation, io::ErrorKind::NotFound.into()))
    }

    fn bytes(&self, name: &str) -> Result<Arc<AlignedBytes>> {
        Ok(Arc::clone(&*self.file(name, "read")?.lock()))
    }
}

impl Storage for MemoryStorage {
    fn root(&self) -> &Path {
        Path::new("(memory)")
    }

    fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>> {
        struct Shared(Arc<AlignedBytes>);
        impl std::ops::Deref for Shared {
            type Target = [u8];
            fn deref(&self) -> &[u8] {
                &self.0
            }
        }
        impl ByteOwner for Shared {}
        Ok(Arc::new(Shared(self.bytes(name)?)))
    }

    fn load(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.bytes(name)?.to_vec())
    }

    fn len(&self, name: &str) -> Result<u64> {
        Ok(self.bytes(name)?.len() as u64)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let tree = self.tree.lock();
        Ok(name.is_empty() || tree.files.contains_key(name) || tree.directories.contains(name))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let tree = self.tree.lock();
        let names: BTreeSet<String> = tree
            .files
            .keys()
            .chain(&tree.directories)
            .filter_map(|name| name.strip_prefix(&prefix))
            .filter(|rest| !rest.contains('/'))
            .map(str::to_owned)
            .collect();
        Ok(names.into_iter().collect())
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        check_name(name)?;
        let mut tree = self.tree.lock();
        let parent = name.rsplit_once('/').map(|(parent, _)| parent);
        if parent.is_some_and(|parent| !tree.directories.contains(parent)) {
            return Err(Error::io(self.path(name), "create", io::ErrorKind::NotFound.into()));
        }
        let file = Arc::clone(tree.files.entry(name.to_owned()).or_default());
        *file.lock() = Arc::default();
        Ok(Box::new(MemoryFile { file }))
    }

    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        let file = self.file(name, "append")?;
        {
            let mut bytes = file.lock();
            match usize::try_from(at).ok().filter(|&at| at <= bytes.len()) {
                Some(at) => Arc::make_mut(&mut bytes).truncate(at),
                None => return Err(Error::io(self.path(name), "append", io::ErrorKind::UnexpectedEof.into())),
            }
        }
        Ok(Box::new(MemoryFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let mut tree = self.tree.lock();
        match tree.files.remove(from) {
            Some(file) => {
                tree.files.insert(to.to_owned(), file);
                Ok(())
            }
            None => Err(Error::io(self.path(from), "rename", io::ErrorKind::NotFound.into())),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.tree.lock().files.remove(name);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> Result<()> {
        let mut tree = self.tree.lock();
        let below = format!("{dir}/");
        if !tree.files.keys().chain(&tree.directories).any(|name| name.starts_with(&below)) {
            tree.directories.remove(dir);
        }
        Ok(())
    }

    fn create_dir(&self, dir: &str) -> Result<()> {
        check_name(dir)?;
        let mut tree = self.tree.lock();
        for (end, _) in dir.match_indices('/') {
            tree.directories.extend(dir.get(..end).map(str::to_owned));
        }
        if !dir.is_empty() {
            tree.directories.insert(dir.to_owned());
        }
        Ok(())
    }

    fn sync_dir(&self, _dir: &str) -> Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        check_name(name)?;
        if !self.tree.lock().locks.insert(name.to_owned()) {
            return Err(Error::LibraryLocked { path: self.root().to_owned(), holder: Some(std::process::id()) });
        }
        Ok(Box::new(MemoryLock { tree: Arc::clone(&self.tree), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct MemoryFile {
    file: File,
}

impl WriteFile for MemoryFile {
    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        Arc::make_mut(&mut self.file.lock()).extend_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.file.lock();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        match Arc::make_mut(&mut file).get_mut(at..at.saturating_add(bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => return Err(Error::io("(memory)", "write", io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLock {
    tree: Arc<Mutex<Tree>>,
    name: String,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.tree.lock().locks.remove(&self.name);
    }
}
