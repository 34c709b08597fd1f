//! What a library's handle and its background work share.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::error::Error;
use crate::options::{Access, Options};
use crate::retention::Retention;
use crate::snapshot::Snapshot;
use crate::storage::seam::Storage;
use crate::writer::Writer;

/// What the handle and its background work share.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) snapshot: RwLock<Arc<Snapshot>>,
    /// None: read only, or closed.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Held while parts are written, so that one checkpoint runs at a time.
    pub(crate) checkpoint: Mutex<()>,
    /// What a checkpoint writes while it runs: its parts are not merged with others, or they would be written twice.
    pub(crate) frozen: Mutex<Option<Arc<Snapshot>>>,
    /// Why the last checkpoint in the background failed, until one succeeds.
    pub(crate) background_failure: Mutex<Option<String>>,
    pub(crate) retention: Retention,
    pub(crate) options: Options,
}

impl Shared {
    pub(crate) fn not_writable(&self) -> Error {
        match self.options.access {
            Access::Read => Error::ReadOnly { path: self.storage.root().to_owned() },
            Access::Create | Access::Write => Error::Closed,
        }
    }
}
