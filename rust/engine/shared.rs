//! The state of an open library, which its handle and its background thread share.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::error::Error;
use crate::options::{Access, Options};
use crate::retention::Retention;
use crate::snapshot::Snapshot;
use crate::storage::seam::Storage;
use crate::writer::Writer;

/// An open library: its files, what it holds now, and what its background work is at.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    /// What searches see. Only who holds the writer puts another in its place, or a reader that has looked at the disk.
    pub(crate) snapshot: RwLock<Arc<Snapshot>>,
    /// What may change the library; none if it was opened to read, or is closed.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Held while parts are written, so that one checkpoint runs at a time.
    pub(crate) checkpoint: Mutex<()>,
    /// What a checkpoint writes while it runs: its parts are not merged with others, or they would be written twice.
    pub(crate) frozen: Mutex<Option<Arc<Snapshot>>>,
    /// Why the last checkpoint in the background failed, until one succeeds.
    pub(crate) background_failure: Mutex<Option<String>>,
    /// Older snapshots, for the cursors that name them.
    pub(crate) retention: Retention,
    pub(crate) options: Options,
}

impl Shared {
    /// The error of a call that writes, where there is no writer.
    pub(crate) fn not_writable(&self) -> Error {
        match self.options.access {
            Access::Read => Error::ReadOnly { path: self.storage.root().to_owned() },
            Access::Create | Access::Write => Error::Closed,
        }
    }
}
