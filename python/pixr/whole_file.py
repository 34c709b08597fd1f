"""Writes a file that appears whole or not at all, also after a power cut. Pipes and devices are written directly."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pixr.scratch import scratch_file

__all__ = ["partial_names", "sync_names", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, beside `path`; the file is moved to `path` once all of it is on disk.

    - Two writers of one path each get a path of their own, so that the file at `path` is always whole.
    - What a writer that was killed has left of it is removed by the next.
    - A pipe or a device, such as `/dev/stdout`, is written to directly, since a file must not take its place.
    - A link stays a link: the file that it leads to is replaced.
    - If `/dev/stdout` leads to a file, what is written is appended to it.

    Raises:
        IsADirectoryError: `path` is a directory.
        OSError: the file can't be written; the error names `path`.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        yield path
        return
    number = _open_file(path)
    if number is not None:
        with TemporaryDirectory(prefix="pixr-") as folder:
            yield (made := Path(folder) / "whole")
            with made.open("rb") as written, os.fdopen(os.dup(number), "wb") as out:
                shutil.copyfileobj(written, out)
        return
    whole = path.resolve()
    prefix, suffix = partial_names(whole)
    try:
        with scratch_file(whole.parent, prefix, suffix) as partial:
            yield partial
            # Else the name may reach the disk before the bytes: a power cut then left an empty file in its place.
            _sync(partial, os.O_RDWR)
            os.replace(partial, whole)
            sync_names(whole.parent)
    except OSError as error:
        if str(error.filename).startswith(str(whole.with_name(prefix))):  # a name that the caller doesn't know
            error.filename = str(path)
            del error.filename2
        raise


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def partial_names(path: Path) -> tuple[str, str]:
    """How names begin and end of what is written beside `path` meanwhile, and removed with what was left of it."""
    return f".{path.resolve().name}.", ".partial"


def sync_names(folder: Path) -> None:
    """Make the names in a folder survive a power cut, if the system can: some network file systems refuse it."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            _sync(folder, os.O_RDONLY)


def _open_file(path: Path) -> int | None:
    """The number of the open file that a path such as `/dev/stdout` or `/dev/fd/3` stands for. None for others."""
    if not path.is_file():
        return None
    at, numbered = path.absolute(), Path("/dev/fd")
    while at.parent.resolve() not in (numbered, numbered.resolve()):
        if not at.is_symlink():
            return None
        at = at.parent.resolve() / os.readlink(at)
    return int(at.name)
