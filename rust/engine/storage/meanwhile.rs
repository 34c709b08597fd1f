//! A disk in memory on which someone else does something just before a call. For tests.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::memory::MemoryStorage;
use super::seam::{Lock, Storage, WriteFile};
use super::section::ByteOwner;
use crate::error::Result;

type Deed = Box<dyn FnOnce() + Send>;

/// Does the deed, once, before the first file whose name starts with `before` is created or locked.
#[derive(Clone)]
pub(crate) struct Meanwhile {
    pub(crate) inner: MemoryStorage,
    before: &'static str,
    deed: Arc<Mutex<Option<Deed>>>,
}

impl Meanwhile {
    pub(crate) fn new(inner: MemoryStorage, before: &'static str) -> Self {
        Self { inner, before, deed: Arc::default() }
    }

    pub(crate) fn set(&self, deed: impl FnOnce() + Send + 'static) {
        *self.deed.lock() = Some(Box::new(deed));
    }

    fn meet(&self, name: &str) {
        if name.starts_with(self.before) {
            let deed = self.deed.lock().take();
            if let Some(deed) = deed {
                deed();
            }
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meanwhile").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Storage for Meanwhile {
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
        self.meet(name);
        self.inner.create(name)
    }
    fn append(&self, name: &str, at: u64) -> Result<Box<dyn WriteFile>> {
        self.inner.append(name, at)
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
        self.meet(name);
        self.inner.lock(name)
    }
}
