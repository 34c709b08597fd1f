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

/// The exception to raise for an engine error.
pub(crate) fn to_python(error: &Error) -> PyErr {
    Python::attach(|py| {
        let class = py
            .import("pixr.errors")
            .and_then(|module| module.getattr(class_name(error)))
            .and_then(|class| class.cast_into::<PyType>().map_err(PyErr::from));
        let holder = if let Error::LibraryLocked { holder, .. } = error { *holder } else { None };
        match class {
            Ok(class) => {
                let raised = PyErr::from_type(class, error.to_string());
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
