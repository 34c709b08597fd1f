//! Engine errors as the exceptions of `pixr.errors`.

use pixr::Error;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The class in `pixr.errors` for each variant; no `_` arm, so that a new variant without a face doesn't compile.
fn class_name(error: &Error) -> &'static str {
    match error {
        Error::Io { .. } => "StorageError",
        Error::Damaged { .. } => "Damaged",
        Error::FormatUnsupported { .. } => "FormatUnsupported",
        Error::NotALibrary { .. } => "NotALibrary",
        Error::LibraryNotFound { .. } => "LibraryNotFound",
        Error::LibraryLocked { .. } => "LibraryLocked",
        Error::ReadOnly { .. } => "ReadOnly",
        Error::Closed => "LibraryClosed",
        Error::DimensionMismatch { .. } => "DimensionMismatch",
        Error::SpaceMismatch { .. } => "SpaceMismatch",
        Error::InvalidVector { .. } => "InvalidVector",
        Error::InvalidSpan { .. } => "InvalidSpan",
        Error::InvalidVideo { .. } => "InvalidVideo",
        Error::InvalidQuery { .. } => "InvalidQuery",
        Error::InvalidFilter { .. } => "InvalidFilter",
        Error::InvalidBatch { .. } => "InvalidBatch",
        Error::InvalidCursor { .. } => "InvalidCursor",
        Error::CursorExpired { .. } => "CursorExpired",
        Error::LibraryExists { .. } => "LibraryExists",
        Error::BackupMismatch { .. } => "BackupMismatch",
        Error::SnapshotNotFound { .. } => "SnapshotNotFound",
        Error::SnapshotExists { .. } => "SnapshotExists",
        Error::InvalidName { .. } => "InvalidName",
        Error::VideoNotFound { .. } => "VideoNotFound",
        Error::Internal { .. } => "InternalError",
    }
}

/// The exception to raise in a process to which a library came by a fork.
pub(crate) fn forked(opener: u32) -> PyErr {
    let here = std::process::id();
    let detail = format!(
        "process {opener} opened the library, and process {here} is a fork of it: open the library again here, after forking"
    );
    raise("LibraryClosed", detail, None)
}

/// The exception to raise for an engine error.
pub(crate) fn to_python(error: &Error) -> PyErr {
    let holder = if let Error::LibraryLocked { holder, .. } = error { *holder } else { None };
    raise(class_name(error), error.to_string(), holder)
}

fn raise(class: &str, message: String, holder: Option<u32>) -> PyErr {
    Python::attach(|py| {
        let class = py
            .import("pixr.errors")
            .and_then(|module| module.getattr(class))
            .and_then(|class| class.cast_into::<PyType>().map_err(PyErr::from));
        match class {
            Ok(class) => {
                let raised = PyErr::from_type(class, message);
                if let Some(holder) = holder {
                    // The message has it as well.
                    let _ = raised.value(py).setattr("holder", holder);
                }
                raised
            }
            Err(failure) => failure,
        }
    })
}
