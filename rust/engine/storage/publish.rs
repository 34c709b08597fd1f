//! Making a whole file appear at once.

use super::names::{FileName, temporary};
use super::seam::Storage;
use crate::error::Result;

/// Writes `pieces` one after another under a temporary name, syncs, renames to `name` and syncs the directory.
///
/// After an error before the rename `name` is what it was. After an error of the last step the new file has the name,
/// but a crash may take it back: whoever publishes something that others build on must not go on as if nothing had happened.
pub(crate) fn publish<'a>(
    storage: &dyn Storage,
    name: FileName,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<()> {
    let target = name.to_string();
    let working = temporary(name);
    let written = (|| {
        let file = storage.create(&working)?;
        for piece in pieces {
            file.write_all(piece)?;
        }
        file.sync()?;
        drop(file);
        storage.rename(&working, &target)
    })();
    if let Err(error) = written {
        // The first error is the one to tell; what stays behind is removed when a writer opens the library.
        let _ = storage.remove(&working);
        return Err(error);
    }
    storage.sync_dir(name.directory())
}
