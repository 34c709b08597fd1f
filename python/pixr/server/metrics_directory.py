"""The directory through which the processes of one server add up their metrics, apart from other servers.

Several servers may share the same data. Each holds a lock in its own directory for as long as it lives. A directory
whose lock is free belonged to a server that ended, in whatever way, and is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from pixr.server.ids import new_id

__all__ = ["claim_metrics_directory"]

_LOCK = "lock"


def claim_metrics_directory(data_directory: Path) -> Path:
    """Make a directory that belongs to this process until it ends."""
    every = data_directory / "metrics"
    every.mkdir(parents=True, exist_ok=True)
    with open(every / _LOCK, "wb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # so that nobody removes a new directory before its lock is held
        for other in every.iterdir():
            if other.name != _LOCK and not _is_held(other):
                _remove(other)
        made = every / new_id("server")
        made.mkdir()
        # Never closed: the system closes it when the process ends. Children don't inherit it.
        fcntl.flock(os.open(made / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    return made


def _is_held(directory: Path) -> bool:
    try:
        lock = os.open(directory / _LOCK, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:  # a file from an older version
        left.unlink(missing_ok=True)
