"""Makes a full disk an answer: room is checked before it is used, and running out of it is reported."""

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
    """Raise if the disk of `folder` has no room for `byte_len` bytes.

    Raises:
        ApiError: INSUFFICIENT_STORAGE.
    """
    if shutil.disk_usage(folder).free < byte_len:
        raise ApiError("INSUFFICIENT_STORAGE", "The disk has no room for a file of this size.")


@contextmanager
def refusing_full_disk() -> Iterator[None]:
    """Report it if the disk fills up inside the block.

    Raises:
        ApiError: INSUFFICIENT_STORAGE.
    """
    try:
        yield
    except OSError as error:
        # The library raises OSErrors of its own, whose cause is the disk's.
        if any(isinstance(one, OSError) and one.errno in _FULL for one in (error, error.__cause__)):
            raise ApiError("INSUFFICIENT_STORAGE", "The disk is full.") from None
        raise
