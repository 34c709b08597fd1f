"""Room on a disk: asked for before it is taken, and refused where there is none. A full disk is an answer."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixr.server.errors import ApiError

__all__ = ["check_room", "refusing_full_disk"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_room(folder: Path, byte_len: int) -> None:
    """Raise if the disk that `folder` is on has no room for so much.

    Raises:
        ApiError: INSUFFICIENT_STORAGE.
    """
    if shutil.disk_usage(folder).free < byte_len:
        raise ApiError("INSUFFICIENT_STORAGE", "The disk has no room for a file of this size.")


@contextmanager
def refusing_full_disk() -> Iterator[None]:
    """Say so where the disk fills up inside.

    Raises:
        ApiError: INSUFFICIENT_STORAGE.
    """
    try:
        yield
    except OSError as error:
        # An error of the library's own is an OSError that has the disk's as its cause.
        if any(isinstance(one, OSError) and one.errno in _FULL for one in (error, error.__cause__)):
            raise ApiError("INSUFFICIENT_STORAGE", "The disk is full.") from None
        raise
