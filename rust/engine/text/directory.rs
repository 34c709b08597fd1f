//! tantivy's files out of a section, and the other way round.
//!
//! The files of one index lie one after another in one section. tantivy names them by a random id; here only the extension
//! counts. Only the files of the words are kept: those that describe an index are the same for every part.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
};

use crate::storage::section::Section;

/// A read-only directory over a section.
#[derive(Debug, Clone)]
pub(super) struct SectionDirectory {
    section: Section,
    files: Arc<BTreeMap<String, Range<usize>>>,
}

impl SectionDirectory {
    /// `files` gives the bytes of each file by its extension.
    pub(super) fn new(section: Section, files: BTreeMap<String, Range<usize>>) -> Self {
        Self { section, files: Arc::new(files) }
    }

    fn range(&self, path: &Path) -> Option<Range<usize>> {
        path.extension()
            .and_then(|extension| extension.to_str())
            .and_then(|extension| self.files.get(extension))
            .cloned()
    }
}

#[derive(Debug)]
struct SectionFile {
    section: Section,
    range: Range<usize>,
}

impl HasLen for SectionFile {
    fn len(&self) -> usize {
        self.range.len()
    }
}

impl FileHandle for SectionFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start > range.end || range.end > self.range.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("no bytes {range:?} in the text index")));
        }
        let inner = self.range.start + range.start..self.range.start + range.end;
        let bytes = self.section.slice(inner).map_err(io::Error::other)?;
        Ok(OwnedBytes::new(bytes.to_vec()))
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a part's text index never changes")
}

impl Directory for SectionDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let range = self.range(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Arc::new(SectionFile { section: self.section.clone(), range }))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.range(path).is_some())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        Err(OpenReadError::FileDoesNotExist(path.to_owned()))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        // tantivy writes a file that describes a new index; here the version of the format says all of that.
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        // Nobody writes, so there is nobody to keep out.
        Ok(DirectoryLock::from(Box::new(PathBuf::new())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
