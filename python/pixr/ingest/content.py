"""Hashes the content of a file, by which a video is recognised."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

from pixr.errors import UnreadableVideo

__all__ = ["Cancelled", "content_hash"]


class Cancelled(Exception):
    """The run was stopped. What it stored of a long video is kept, without a content hash."""


def content_hash(path: str | os.PathLike[str], stop: threading.Event | None = None) -> str:
    """The SHA-256 of a file in hexadecimal. A large file on a slow disk takes minutes; setting `stop` ends that.

    Raises:
        UnreadableVideo: it can't be read, or it is a pipe, a socket or a device, which may never end.
        Cancelled: `stop` was set.
    """
    digest = hashlib.sha256()
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UnreadableVideo(path, "it is not a regular file")
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                if stop is not None and stop.is_set():
                    raise Cancelled
                digest.update(block)
    except OSError as error:
        raise UnreadableVideo(path, error.strerror or str(error)) from error
    return digest.hexdigest()
