//! The one error of the engine.
//!
//! Every variant has a stable code (`Error::code`) that is the same in Rust, Python, HTTP and every SDK. Messages may
//! improve, codes stay. Fields carry both sides of a disagreement.

use std::io;
use std::path::PathBuf;

/// What every fallible call of the engine returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, each with the facts that a user needs to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was attempted: "read", "write", "sync", "rename", …
        operation: &'static str,
        /// The system's own error.
        source: io::Error,
    },
    /// Bytes on disk are not what was written: the file is damaged or was cut.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which check failed, and where.
        detail: String,
    },
    /// The library was written in a format that this version can't read.
    #[error("{} has format {got}; this version reads {oldest} to {newest}", path.display())]
    FormatUnsupported {
        /// The library's directory or file.
        path: PathBuf,
        /// The format number found.
        got: u32,
        /// Oldest readable format.
        oldest: u32,
        /// Newest readable format.
        newest: u32,
    },
    /// The directory is not a library, and is not empty either.
    #[error("{} is not a Pixr library", path.display())]
    NotALibrary {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing is at the path, and creating was not asked for.
    #[error("no library at {}", path.display())]
    LibraryNotFound {
        /// The directory.
        path: PathBuf,
    },
    /// Another process, or another handle in this one, holds the writer's lock.
    #[error("{} is locked by a writer{}", path.display(), holder.map(|id| format!(" (process {id})")).unwrap_or_default())]
    LibraryLocked {
        /// The library's directory.
        path: PathBuf,
        /// Process id of the holder, where known.
        holder: Option<u32>,
    },
    /// A write was asked of a library opened for reading.
    #[error("{} is open for reading only", path.display())]
    ReadOnly {
        /// The library's directory.
        path: PathBuf,
    },
    /// The library handle was closed.
    #[error("the library is closed")]
    Closed,
    /// A vector has the wrong number of components for its space.
    #[error("{what} has {got} dimensions, expected {expected}")]
    DimensionMismatch {
        /// Where the vector came from.
        what: String,
        /// The space's dimension.
        expected: usize,
        /// The vector's.
        got: usize,
    },
    /// Vectors of two spaces would have been compared.
    #[error(
        "channel {channel} of this library holds vectors of space {expected}, got {got}; \
         `pixr reindex` changes it"
    )]
    SpaceMismatch {
        /// The channel.
        channel: String,
        /// The library's space.
        expected: String,
        /// The one given.
        got: String,
    },
    /// A vector has a component that is NaN or infinite, or has length zero.
    #[error("{what} is not a direction: {detail}")]
    InvalidVector {
        /// Where the vector came from.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A segment's span is negative, reversed, or not finite.
    #[error("segment [{start_seconds}, {end_seconds}) of video {video} is not a span of time")]
    InvalidSpan {
        /// The video.
        video: String,
        /// Start as given.
        start_seconds: f64,
        /// End as given.
        end_seconds: f64,
    },
    /// A video's id or metadata can't be stored.
    #[error("invalid video {video:?}: {detail}")]
    InvalidVideo {
        /// The id as given.
        video: String,
        /// What is wrong.
        detail: String,
    },
    /// A query asks for something that has no meaning.
    #[error("invalid query: {detail}")]
    InvalidQuery {
        /// What is wrong.
        detail: String,
    },
    /// A filter can't be read or names an operation that its column lacks.
    #[error("invalid filter: {detail}")]
    InvalidFilter {
        /// What is wrong.
        detail: String,
    },
    /// A record batch lacks a column or has one of a type that can't be used.
    #[error("invalid batch: {detail}")]
    InvalidBatch {
        /// What is wrong.
        detail: String,
    },
    /// The cursor is forged, damaged, or belongs to another query.
    #[error("invalid cursor: {detail}")]
    InvalidCursor {
        /// What is wrong.
        detail: String,
    },
    /// The cursor's snapshot is no longer kept.
    #[error("the cursor's snapshot {snapshot} is no longer kept; search again")]
    CursorExpired {
        /// The snapshot that the cursor names.
        snapshot: u64,
    },
    /// Something is at the path where a library was to be made.
    #[error("{} is there already, and is not empty", path.display())]
    LibraryExists {
        /// The directory.
        path: PathBuf,
    },
    /// A backup was asked for into a directory that holds something else.
    #[error("{} can't take this backup: {detail}", path.display())]
    BackupMismatch {
        /// The directory or file.
        path: PathBuf,
        /// What it holds.
        detail: String,
    },
    /// The library has no snapshot of this name.
    #[error("no snapshot {name:?}")]
    SnapshotNotFound {
        /// The name.
        name: String,
    },
    /// The library has a snapshot of this name already.
    #[error("there is a snapshot {name:?} already")]
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// A snapshot can't have this name.
    #[error("{name:?} can't name a snapshot: {detail}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// No video has this id.
    #[error("no video {video:?}")]
    VideoNotFound {
        /// The id.
        video: String,
    },
    /// A part of the engine failed in a way that is a bug.
    #[error("internal error: {detail}")]
    Internal {
        /// For the report.
        detail: String,
    },
}

impl Error {
    /// The stable code, the same from Rust to HTTP.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Damaged { .. } => "damaged",
            Self::FormatUnsupported { .. } => "format_unsupported",
            Self::NotALibrary { .. } => "not_a_library",
            Self::LibraryNotFound { .. } => "library_not_found",
            Self::LibraryLocked { .. } => "library_locked",
            Self::ReadOnly { .. } => "read_only",
            Self::Closed => "closed",
            Self::DimensionMismatch { .. } => "dimension_mismatch",
            Self::SpaceMismatch { .. } => "space_mismatch",
            Self::InvalidVector { .. } => "invalid_vector",
            Self::InvalidSpan { .. } => "invalid_span",
            Self::InvalidVideo { .. } => "invalid_video",
            Self::InvalidQuery { .. } => "invalid_query",
            Self::InvalidFilter { .. } => "invalid_filter",
            Self::InvalidBatch { .. } => "invalid_batch",
            Self::InvalidCursor { .. } => "invalid_cursor",
            Self::CursorExpired { .. } => "cursor_expired",
            Self::LibraryExists { .. } => "library_exists",
            Self::BackupMismatch { .. } => "backup_mismatch",
            Self::SnapshotNotFound { .. } => "snapshot_not_found",
            Self::SnapshotExists { .. } => "snapshot_exists",
            Self::InvalidName { .. } => "invalid_name",
            Self::VideoNotFound { .. } => "video_not_found",
            Self::Internal { .. } => "internal",
        }
    }

    /// An `Io` error for `path`.
    pub fn io(path: impl Into<PathBuf>, operation: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), operation, source }
    }

    /// A `Damaged` error for `path`.
    pub fn damaged(path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), detail: detail.into() }
    }
}
