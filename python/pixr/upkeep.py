"""What one does with a library as a whole: commit, check, compact, back up, keep a state, mend, move."""

from __future__ import annotations

import json
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from pixr import _engine
from pixr.arguments import check_snapshot_name
from pixr.encoder_choice import carry, recall
from pixr.errors import ModelError, StorageError

__all__ = ["Upkeep", "repair", "restore"]


def restore(backup: str | PathLike[str], path: str | PathLike[str]) -> dict[str, Any]:
    """Make a new library at `path` of a backup, after verifying every byte of it. Returns a receipt as `backup` does.

    Raises:
        LibraryExists: there is a library at `path`; it is left as it is.
        LibraryNotFound, NotALibrary: of `backup`; the latter also where `path` holds something else.
        LibraryLocked: another copy is being made at `path`.
        FormatUnsupported, Damaged, StorageError.
    """
    receipt: dict[str, Any] = json.loads(_engine.Library.restore(backup, path))
    carry(Path(backup), Path(path))
    return receipt


def repair(source: str | PathLike[str], path: str | PathLike[str]) -> dict[str, Any]:
    """Save what can be read of the damaged library `source` into a new one at `path`; `source` is left as it is.

    Returns:
        `path`, that of the new library; `videos`: how many were saved; `incomplete_videos`: ids of those that lack
        something; `lost_videos`: ids of the lost, as far as they can be read, and `lost_video_count`: how many more;
        `damaged`: a line for each damage, naming the file.

    Raises:
        LibraryLocked: a writer has `source` open.
        LibraryExists: something is at `path`.
        LibraryNotFound, NotALibrary, FormatUnsupported, StorageError.
    """
    report: dict[str, Any] = json.loads(_engine.Library.repair(source, path))
    with suppress(ModelError):  # damaged too; the library is then asked with the usual encoders
        carry(Path(source), Path(path))
    return report


class Upkeep:
    """The part of `pixr.Library` that knows nothing of videos and models."""

    def __init__(self, engine: _engine.Library, path: Path) -> None:
        self._engine = engine
        self._path = path

    def commit(self) -> None:
        """Write what is only in the log into parts. Nothing is lost without it; the next opening is quicker with it."""
        self._engine.commit()

    def compact(self) -> dict[str, Any]:
        """Rewrite the files without what was deleted. Afterwards no file of the library has its bytes.

        The receipt: `removed_videos`, `removed_files`, `removed_byte_len`, `byte_len_before`, `byte_len_after`,
        `snapshot`, and `named_snapshots`, which hold what they held until they are deleted. Readers that have the old
        files open keep them on disk until they look at the library again, or their cursors expire.
        """
        from pixr.reindex import forget_deleted

        receipt: dict[str, Any] = json.loads(self._engine.compact())
        forget_deleted(self._engine, self._path)
        return receipt

    def backup(self, path: str | PathLike[str]) -> dict[str, Any]:
        """Copy the library as it is now into directory `path`, while others write and search.

        The copy is a library; `pixr.restore` makes a new one of it. Into a directory with an earlier backup of this
        library only new files are copied, and what is not needed any more is removed.

        Returns:
            `path`, `snapshot` (its number), `copied_files`, `copied_byte_len`, `kept_files`, `kept_byte_len` (there
            already), `removed_files`.

        Raises:
            BackupMismatch: `path` has a backup of another library, or of another history of this one.
            LibraryLocked: someone writes at `path`.
            StorageError: `path` is inside of the library, or can't be written. NotALibrary, Damaged.
        """
        if self._path.resolve() in Path(path).resolve().parents:
            raise StorageError(f"a backup at {path} would be a part of the library that it is to outlive")
        receipt: dict[str, Any] = json.loads(self._engine.backup(path))
        carry(self._path, Path(path))
        return receipt

    def take_snapshot(self, name: str) -> dict[str, Any]:
        """Keep the library as it is now under `name`: letters, digits, "-", "_", "." but first; 64 at most.

        It is opened with `pixr.open(path, snapshot=name)` and stays until `delete_snapshot`. Taking one copies nothing;
        what is deleted later stays on disk as long as a snapshot holds it.

        Returns:
            `name`, `snapshot` (its number), `taken` (seconds since 1970), `videos`, `byte_len`.

        Raises:
            InvalidName, SnapshotExists, ReadOnly, StorageError.
        """
        check_snapshot_name(name)
        taken: dict[str, Any] = json.loads(self._engine.take_snapshot(name))
        carry(self._path, self._path / "snapshots" / name)
        return taken

    def snapshots(self) -> list[dict[str, Any]]:
        """The snapshots that `take_snapshot` made, in order of their names, each as it returned it."""
        return list(json.loads(self._engine.snapshots()))

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot and what only it holds. Who has it open keeps reading it.

        Raises:
            SnapshotNotFound, InvalidName, ReadOnly, StorageError.
        """
        check_snapshot_name(name)
        self._engine.delete_snapshot(name)

    def check(self) -> dict[str, Any]:
        """Verify every byte of every file, those of snapshots too.

        Returns:
            `{"files", "byte_len", "damaged": [one line each], "unfinished": [logs]}`. A log is unfinished if it ends in
            bytes of no whole record: of a write that a crash cut short, or damaged ones.
        """
        return dict(json.loads(self._engine.check()))

    def export(self, path: str | PathLike[str]) -> int:
        """Write all videos and segments to a Parquet file that `load` reads back into an equal library.

        It also says which encoders the library was indexed with: their names, or the folders that they were in. The
        file is of one moment, though others write. Where they do, a copy of the library lies beside `path` until all is
        written; it takes as much space.

        Returns:
            How many videos were written.

        Raises:
            StorageError: the file can't be written; what was at `path` is left as it is.
            ModelError: which encoders these are can't be read.
        """
        from pixr.parquet import export

        return export(self._engine, Path(path), recall(self._open_folder()))

    def load(self, path: str | PathLike[str]) -> int:
        """Add everything that `export` wrote. Returns how many videos were read.

        A library that was never indexed with encoders is from then on asked with those of the file. A file whose first
        rows are refused leaves nothing behind; what came before other rows that are refused stays.

        Raises:
            InvalidBatch: the file is not such a Parquet file, or is damaged.
            StorageError: it can't be read.
            SpaceMismatch: this library's vectors are of another space.
        """
        from pixr.parquet import load

        return load(self._engine, Path(path), self._path)

    def _open_folder(self) -> Path:
        """The folder that is open: that of a snapshot, where one is."""
        opened = Path(json.loads(self._engine.info())["path"])
        return opened if opened.is_dir() else self._path  # the engine shows a name that is no UTF-8 as it can
