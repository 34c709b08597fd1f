"""What is done with a library as a whole: commit, check, compact, back up, keep a state, repair, export, load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pixr import _engine
from pixr.arguments import check_snapshot_name
from pixr.encoder_choice import recall
from pixr.errors import StorageError

__all__ = ["Upkeep", "repair", "restore"]


def restore(backup: str | PathLike[str], path: str | PathLike[str]) -> dict[str, Any]:
    """Make a new library at `path` from a backup, after verifying every byte of it. Returns a receipt as `backup` does.

    Raises:
        LibraryExists: there is a library at `path`; it is left as it is.
        LibraryNotFound: there is nothing at `backup`.
        NotALibrary: `backup` is not a library, or `path` holds something else.
        LibraryLocked: another copy is being made at `path`.
        FormatUnsupported, Damaged, StorageError.
    """
    receipt: dict[str, Any] = json.loads(_engine.Library.restore(backup, path))
    return receipt


def repair(source: str | PathLike[str], path: str | PathLike[str]) -> dict[str, Any]:
    """Save what can be read of the damaged library `source` into a new one at `path`; `source` is left as it is.

    Returns:
        `path`, that of the new library; `videos`, how many were saved; `incomplete_videos`, the ids of those that lack
        something; `lost_videos`, the ids of lost ones as far as they can be read, and `lost_video_count`, how many more
        were lost; `damaged`, a line for each damage, which names the file.

    Raises:
        LibraryLocked: a writer has `source` open.
        LibraryExists: something is at `path`.
        LibraryNotFound, NotALibrary, FormatUnsupported, StorageError.
    """
    report: dict[str, Any] = json.loads(_engine.Library.repair(source, path))
    return report


class Upkeep:
    """The part of `pixr.Library` that knows nothing of videos and models."""

    def __init__(self, engine: _engine.Library, path: Path) -> None:
        self._engine = engine
        self._path = path

    def commit(self) -> None:
        """Write what is only in the log into parts. Nothing is lost without this, but the next opening is slower."""
        self._engine.commit()

    def compact(self) -> dict[str, Any]:
        """Rewrite the files without what was deleted. Afterwards no file of the library has its bytes.

        Named snapshots hold what they held until they are deleted. Readers that have the old files open keep them on
        disk until they look at the library again, or until their cursors expire.

        Returns:
            `removed_videos`, `removed_files`, `removed_byte_len`, `byte_len_before`, `byte_len_after`, `snapshot` (its
            number), and the names of all `named_snapshots`.
        """
        from pixr.reindex import forget_deleted

        receipt: dict[str, Any] = json.loads(self._engine.compact())
        forget_deleted(self._engine, self._path)
        return receipt

    def backup(self, path: str | PathLike[str]) -> dict[str, Any]:
        """Copy the library as it is now into directory `path`, while others write and search.

        The copy is a library; `pixr.restore` makes a new one from it. If the directory has an earlier backup of this
        library, only new files are copied, and those no longer needed are removed.

        Returns:
            `path`, `snapshot` (its number), `copied_files`, `copied_byte_len`, `kept_files` and `kept_byte_len` (what
            was there already), `removed_files`.

        Raises:
            BackupMismatch: `path` has a backup of another library, or of another history of this one.
            LibraryLocked: someone writes at `path`.
            StorageError: `path` is inside the library, or can't be written.
            NotALibrary, Damaged.
        """
        if self._path.resolve() in Path(path).resolve().parents:
            raise StorageError(f"a backup at {path} would be a part of the library that it is to outlive")
        receipt: dict[str, Any] = json.loads(self._engine.backup(path))
        return receipt

    def take_snapshot(self, name: str) -> dict[str, Any]:
        """Keep the library as it is now under a name, until `delete_snapshot`.

        A snapshot is opened with `pixr.open(path, snapshot=name)`. Taking one copies nothing, but what is deleted later
        stays on disk as long as a snapshot holds it.

        Args:
            name: at most 64 letters, digits, "-", "_" and ".", with no "." at the beginning.

        Returns:
            `name`, `snapshot` (its number), `taken` (seconds since 1970), `videos`, `byte_len`.

        Raises:
            InvalidName, SnapshotExists, ReadOnly, StorageError.
        """
        check_snapshot_name(name)
        taken: dict[str, Any] = json.loads(self._engine.take_snapshot(name))
        return taken

    def snapshots(self) -> list[dict[str, Any]]:
        """All named snapshots in order of their names, each as `take_snapshot` returned it."""
        return list(json.loads(self._engine.snapshots()))

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot and what only it holds. Handles that have it open can go on reading it.

        Raises:
            SnapshotNotFound, InvalidName, ReadOnly, StorageError.
        """
        check_snapshot_name(name)
        self._engine.delete_snapshot(name)

    def check(self) -> dict[str, Any]:
        """Verify every byte of every file, those of snapshots too.

        Returns:
            `{"files", "byte_len", "damaged": [one line each], "unfinished": [logs]}`. A log is unfinished if its last
            bytes are not a whole record: a crash cut a write short, or they are damaged.
        """
        return dict(json.loads(self._engine.check()))

    def export(self, path: str | PathLike[str]) -> int:
        """Write all videos and segments to a Parquet file that `load` reads back into an equal library.

        The file also says which encoders the library was indexed with: their names, or the folders that they were in.
        It shows the library at one moment, even while others write. In that case a copy of the library lies beside
        `path` until all is written, and takes as much space.

        Returns:
            How many videos were written.

        Raises:
            StorageError: the file can't be written; what was at `path` is left as it is.
            ModelError: the record of the library's encoders can't be read.
        """
        from pixr.parquet import export

        return export(self._engine, Path(path), recall(self._open_folder()))

    def load(self, path: str | PathLike[str], *, columns: Mapping[str, str] | None = None) -> int:
        """Add everything that `export` wrote, or another program. Returns how many videos were read.

        The file has the columns that `add_segments` takes. If they have other names there, `columns` gives the file's
        name of each that is to be read, such as `{"video_id": "clip", "start": "from", "end": "to", "frame":
        "embedding"}`; others are left out.

        A library that was never indexed with encoders is from then on searched with those named in the file. If the
        first rows of the file are refused, nothing is added; if later rows are, what came before them stays.

        Raises:
            InvalidBatch: the file is not such a Parquet file, or is damaged. Where columns are missing or of another
                type, the message lists those that are expected, and those of the file.
            InvalidQuery: `columns` is no mapping of names.
            StorageError: it can't be read.
            SpaceMismatch: this library's vectors are of another space.
        """
        from pixr.parquet import load

        return load(self._engine, Path(path), self._path, columns)

    def _open_folder(self) -> Path:
        """The folder that is open, which for a snapshot is the snapshot's."""
        opened = Path(json.loads(self._engine.info())["path"])
        return opened if opened.is_dir() else self._path  # a name that is not UTF-8 is changed in the report
