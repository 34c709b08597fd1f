"""Files and folders to write to for a while, which are gone afterwards, even if the process is killed.

A lock says that each is in use, and the system ends it with the process. So whoever makes the next of the same kind in
the same place first removes those that nobody holds. Where the system or the file system has no locks, they stay.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["scratch_file", "scratch_folder"]


@contextmanager
def scratch_file(place: Path, prefix: str, suffix: str) -> Iterator[Path]:
    """A new, empty file in the folder `place`. It may be moved away; if it is still there at the end, it is removed.

    Raises:
        OSError: it can't be made.
    """
    with _held(place, prefix, suffix, lambda path: os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o666))) as path:
        yield path


@contextmanager
def scratch_folder(place: Path, prefix: str, suffix: str = "") -> Iterator[Path]:
    """A new folder in the folder `place`, for this user alone. It is removed at the end, with all that is in it.

    Raises:
        OSError: it can't be made.
    """
    with _held(place, prefix, suffix, lambda path: path.mkdir(0o700)) as path:
        yield path


@contextmanager
def _held(place: Path, prefix: str, suffix: str, make: Callable[[Path], None]) -> Iterator[Path]:
    if sys.platform != "win32":
        _remove_abandoned(place, re.compile(f"{re.escape(prefix)}[0-9a-f]{{8}}{re.escape(suffix)}"))
    path, handle = _new(place, prefix, suffix, make)
    try:
        yield path
    finally:
        _remove(path)
        if handle is not None:
            os.close(handle)


def _new(place: Path, prefix: str, suffix: str, make: Callable[[Path], None]) -> tuple[Path, int | None]:
    """What was made, and the handle that holds its lock; none where there are no locks."""
    while True:  # again if another process took it for abandoned before it was locked
        path = place / f"{prefix}{secrets.token_hex(4)}{suffix}"
        make(path)
        if sys.platform == "win32":  # what is open there can't be moved or removed
            return path, None
        with suppress(FileNotFoundError):
            handle = _open(path)
            with suppress(OSError):  # there are no locks here
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return path, handle
            os.close(handle)


def _remove_abandoned(place: Path, names: re.Pattern[str]) -> None:
    with suppress(OSError):
        for name in filter(names.fullmatch, os.listdir(place)):
            with suppress(OSError):  # another's, or gone meanwhile
                handle = _open(place / name)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(place / name)
                finally:
                    os.close(handle)


def _open(path: Path) -> int:
    # Network file systems lock only what is open to be written, and a folder never is.
    return os.open(path, os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDONLY if path.is_dir() else os.O_RDWR))


def _remove(path: Path) -> None:
    with suppress(OSError):  # its folder may not be a folder any more
        shutil.rmtree(path) if path.is_dir() else path.unlink()
