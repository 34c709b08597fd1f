"""Writes a file that appears whole or not at all, and leaves alone what is no file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["partial_of", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give where to write what is to be at `path`: beside it, and it is put there when all is written.

    A pipe or a device, such as `/dev/stdout`, is written to as it is: a file in its place would end it. A link stays
    what it is.

    Raises:
        IsADirectoryError: `path` is one.
        OSError: it can't be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        yield path
        return
    partial = partial_of(path)
    try:
        yield partial
        os.replace(partial, path.resolve())
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Where a file is written until it is whole."""
    whole = path.resolve()
    return whole.with_name(f".{whole.name}.partial")
