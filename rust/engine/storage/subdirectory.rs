//! A directory within a storage, as a storage of its own.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::seam::{Lock, Storage, WriteFile};
use super::section::ByteOwner;
use crate::error::Result;

/// The directory `prefix` of another storage.
#[derive(Debug)]
pub(crate) struct Subdirectory<S> {
    inner: S,
    prefix: String,
    root: PathBuf,
}

impl<S: Deref<Target: Storage>> Subdirectory<S> {
    /// Uses directory `dir` of `inner`, which need not be there yet.
    pub(crate) fn new(inner: S, dir: &str) -> Self {
        let root = inner.path(dir);
        Self { inner, prefix: dir.to_owned(), root }
    }
}

impl<S> Subdirectory<S> {
    fn at(&self, name: &str) -> String {
        if name.is_empty() { self.prefix.clone() } else { format!("{}/{name}", self.prefix) }
    }
}

impl<S: Deref<Target: Storage> + Send + Sync + std::fmt::Debug> Storage for Subdirectory<S> {
    fn root(&self) -> &Path {
        &self.root
    }
    fn read(&self, name: &str) -> Result<Arc<dyn ByteOwner>> {
        self.inner.read(&self.at(name))
    }
    fn load(&self, name: &str) -> Result<Vec<u8>> {
        self.inner.load(&self.at(name))
    }
    fn load_from(&self, name: &str, at: u64) -> Result<Vec<u8>> {
        self.inner.load_from(&self.at(name), at)
    }
    fn len(&self, name: &str) -> Result<u64> {
        self.inner.len(&self.at(name))
    }
    fn exists(&self, name: &str) -> Result<bool> {
        self.inner.exists(&self.at(name))
    }
    fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.inner.list(&self.at(dir))
    }
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        self.inner.create(&self.at(name))
    }
    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        self.inner.append(&self.at(name), at)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(&self.at(from), &self.at(to))
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(&self.at(name))
    }
    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.inner.link(&self.at(from), &self.at(to))
    }
    fn remove_dir(&self, dir: &str) -> Result<()> {
        self.inner.remove_dir(&self.at(dir))
    }
    fn create_dir(&self, dir: &str) -> Result<()> {
        self.inner.create_dir(&self.at(dir))
    }
    fn sync_dir(&self, dir: &str) -> Result<()> {
        self.inner.sync_dir(&self.at(dir))
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(&self.at(name))
    }
}
