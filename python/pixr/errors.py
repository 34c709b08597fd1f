"""Everything that Pixr raises, each with a stable `code` that is the same in Rust, Python, HTTP and every SDK.

PixrError
├── LibraryError                      the library as a whole
│   ├── LibraryNotFound               (FileNotFoundError)   library_not_found
│   ├── NotALibrary                   (ValueError)          not_a_library
│   ├── LibraryExists                 (FileExistsError)     library_exists
│   ├── BackupMismatch                (ValueError)          backup_mismatch
│   ├── SnapshotNotFound              (LookupError)         snapshot_not_found
│   ├── SnapshotExists                (ValueError)          snapshot_exists
│   ├── LibraryLocked                 (BlockingIOError)     library_locked
│   ├── LibraryClosed                 (ValueError)          closed
│   ├── ReadOnly                      (PermissionError)     read_only
│   ├── FormatUnsupported             (ValueError)          format_unsupported
│   ├── Damaged                       (OSError)             damaged
│   └── StorageError                  (OSError)             io
├── InvalidInput                      (ValueError)          what was given can't be used
│   ├── DimensionMismatch                                   dimension_mismatch
│   ├── SpaceMismatch                                       space_mismatch
│   ├── InvalidVector                                       invalid_vector
│   ├── InvalidSpan                                         invalid_span
│   ├── InvalidVideo                                        invalid_video
│   ├── InvalidQuery                                        invalid_query
│   ├── InvalidFilter                                       invalid_filter
│   ├── InvalidBatch                                        invalid_batch
│   ├── InvalidName                                         invalid_name
│   ├── InvalidCursor                                       invalid_cursor
│   ├── InvalidSignature                                    invalid_signature
│   ├── InvalidCaptions                                     invalid_captions
│   └── UnreadableVideo                                     unreadable_video
├── CursorExpired                     (LookupError)         cursor_expired
├── VideoNotFound                     (LookupError)         video_not_found
├── ModelError                        (ValueError)          model_invalid
│   ├── ModelNotFound                 (LookupError)         model_not_found
│   └── ModelDownloadFailed           (ConnectionError)     model_download_failed
├── SpeechUnavailable                 (RuntimeError)        speech_unavailable
├── MissingExtra                      (ImportError)         missing_extra
└── InternalError                     (RuntimeError)        internal
"""

from __future__ import annotations

import os
from typing import Final

__all__ = [
    "BackupMismatch",
    "CursorExpired",
    "Damaged",
    "DimensionMismatch",
    "FormatUnsupported",
    "InternalError",
    "InvalidBatch",
    "InvalidCaptions",
    "InvalidCursor",
    "InvalidFilter",
    "InvalidInput",
    "InvalidName",
    "InvalidQuery",
    "InvalidSignature",
    "InvalidSpan",
    "InvalidVector",
    "InvalidVideo",
    "LibraryClosed",
    "LibraryError",
    "LibraryExists",
    "LibraryLocked",
    "LibraryNotFound",
    "MissingExtra",
    "ModelDownloadFailed",
    "ModelError",
    "ModelNotFound",
    "NotALibrary",
    "PixrError",
    "ReadOnly",
    "SnapshotExists",
    "SnapshotNotFound",
    "SpaceMismatch",
    "SpeechUnavailable",
    "StorageError",
    "UnreadableVideo",
    "VideoNotFound",
]


class PixrError(Exception):
    """The root: catch it to catch everything that opening, filling and asking a library raises on purpose."""

    code: str = "internal"


class LibraryError(PixrError):
    """Something is wrong with the library as a whole."""


class LibraryNotFound(LibraryError, FileNotFoundError):
    """Nothing is at the path, and creating was not asked for."""

    code = "library_not_found"


class NotALibrary(LibraryError, ValueError):
    """The directory holds something else."""

    code = "not_a_library"


class LibraryExists(LibraryError, FileExistsError):
    """A library, or something else, is there already, where a new one was to be made."""

    code = "library_exists"


class BackupMismatch(LibraryError, ValueError):
    """The directory holds a backup of another library, or of another history of this one."""

    code = "backup_mismatch"


class SnapshotNotFound(LibraryError, LookupError):
    """The library has no snapshot of this name."""

    code = "snapshot_not_found"


class SnapshotExists(LibraryError, ValueError):
    """The library has a snapshot of this name already."""

    code = "snapshot_exists"


class LibraryLocked(LibraryError, BlockingIOError):
    """Another writer holds the library. `holder` is its process id where known; the message has it too."""

    code = "library_locked"
    holder: int | None = None


class LibraryClosed(LibraryError, ValueError):
    """A write was asked of a handle that was closed, or anything of one that a forked process came with."""

    code = "closed"


class ReadOnly(LibraryError, PermissionError):
    """A write was asked of a library opened for reading."""

    code = "read_only"


class FormatUnsupported(LibraryError, ValueError):
    """The library's format is newer or older than this version reads."""

    code = "format_unsupported"


class Damaged(LibraryError, OSError):
    """Bytes on disk are not what was written; the message names the file."""

    code = "damaged"


class StorageError(LibraryError, OSError):
    """The operating system refused an operation on a file."""

    code = "io"


class InvalidInput(PixrError, ValueError):
    """What was given can't be used."""


class DimensionMismatch(InvalidInput):
    """A vector has the wrong number of components."""

    code = "dimension_mismatch"


class SpaceMismatch(InvalidInput):
    """Vectors of two spaces would have been compared."""

    code = "space_mismatch"


class InvalidVector(InvalidInput):
    """A vector has NaN, infinity, or no length."""

    code = "invalid_vector"


class InvalidSpan(InvalidInput):
    """A segment's start and end are not a span of time."""

    code = "invalid_span"


class InvalidVideo(InvalidInput):
    """A video's id or metadata can't be stored."""

    code = "invalid_video"


class InvalidQuery(InvalidInput):
    """The query asks for something that has no meaning."""

    code = "invalid_query"


class InvalidFilter(InvalidInput):
    """The filter can't be read."""

    code = "invalid_filter"


class InvalidBatch(InvalidInput):
    """A record batch lacks a column or has one of an unusable type."""

    code = "invalid_batch"


class InvalidCursor(InvalidInput):
    """The cursor is forged, damaged, or belongs to another query."""

    code = "invalid_cursor"


class InvalidCaptions(InvalidInput):
    """A file of captions can't be read."""

    code = "invalid_captions"


class InvalidName(InvalidInput):
    """A snapshot can't have this name."""

    code = "invalid_name"


class UnreadableVideo(InvalidInput):
    """A file can't be decoded. `path` names it, `reason` says why."""

    code = "unreadable_video"

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path: Final = os.fspath(path)
        self.reason: Final = reason
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type[UnreadableVideo], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class InvalidSignature(InvalidInput):
    """A webhook is not genuine, too old, or from the future. Answer 400 and do nothing else."""

    code = "invalid_signature"


class CursorExpired(PixrError, LookupError):
    """The snapshot that the cursor names is no longer kept; search again."""

    code = "cursor_expired"


class VideoNotFound(PixrError, LookupError):
    """No video has this id."""

    code = "video_not_found"


class ModelError(PixrError, ValueError):
    """A model's files can't be used."""

    code = "model_invalid"


class ModelNotFound(ModelError, LookupError):
    """No model has this name, and no folder is at this path."""

    code = "model_not_found"


class ModelDownloadFailed(ModelError, ConnectionError):
    """A model's file can't be fetched now; the message says why. What came so far is kept, so that a retry goes on."""

    code = "model_download_failed"


class SpeechUnavailable(PixrError, RuntimeError):
    """Speech can't be recognised here; the message says why. Indexing goes on without, unless a model was named."""

    code = "speech_unavailable"


class MissingExtra(PixrError, ImportError):
    """An optional package is needed; the message says what to install.

    `reason` says why one that is installed can't be loaded, such as for a library of the system that it needs.
    """

    code = "missing_extra"

    def __init__(self, package: str, extra: str, error: ImportError | str | None = None) -> None:
        """Of what could not be imported; `error` is what was raised then, or what that says."""
        self.package: Final = package
        self.extra: Final = extra
        self.reason: Final = None if error is None or isinstance(error, ModuleNotFoundError) else str(error)
        why = f"can't be loaded: {self.reason}" if self.reason else f"is not installed; pip install 'pixr[{extra}]'"
        super().__init__(f"{package} {why}", name=package)

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str | None]]:
        return type(self), (self.package, self.extra, self.reason)


class InternalError(PixrError, RuntimeError):
    """A bug in Pixr; please report it."""

    code = "internal"
