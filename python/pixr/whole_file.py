"""Writes a file that appears whole or not at all, also after a power cut, and leaves alone what is no file."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["sync_names", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give where to write what is to be at `path`: beside it, and it is put there when all is on disk.

    Two that write to one path at once have a place each, so that what stands there is whole. A pipe or a device, as
    `/dev/stdout` is, is written to as it is: a file in its place would end it. A link stays what it is. Where
    `/dev/stdout` leads to a file, what is written follows what is there already.

    Raises:
        IsADirectoryError: `path` is one.
        OSError: it can't be written; the error names `path`.
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
    partial = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        # The name can reach the disk first: after a power cut there was an empty file, and not the one before.
        _sync(partial, os.O_RDWR)
        os.replace(partial, whole)
        sync_names(whole.parent)
    except OSError as error:
        if error.filename == str(partial):  # a name that nobody gave
            error.filename = str(path)
            del error.filename2
        raise
    finally:
        with suppress(OSError):  # where its folder is no folder
            partial.unlink()


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_names(folder: Path) -> None:
    """Make the names in a folder lasting, where the system can: some file systems over a network refuse it."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            _sync(folder, os.O_RDONLY)


def _open_file(path: Path) -> int | None:
    """The number of the open file that a path such as `/dev/stdout` or `/dev/fd/3` stands for."""
    if not path.is_file():
        return None
    at, numbered = path.absolute(), Path("/dev/fd")
    while at.parent.resolve() not in (numbered, numbered.resolve()):
        if not at.is_symlink():
            return None
        at = at.parent.resolve() / os.readlink(at)
    return int(at.name)
