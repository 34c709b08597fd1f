"""Gives memory that was freed back to the system.

The stages of indexing allocate in one thread and free in another. glibc keeps what is freed in the arena of the thread
that allocated it, full of holes, and a long video leaves hundreds of megabytes there: of ten hours, the first half
hour alone left 660 MB. Elsewhere than on glibc there is nothing to do.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["give_back"]

_EVERY_SECONDS: Final = 10.0
_lock = threading.Lock()
_given_at = [time.monotonic()]


def _find_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl and others have none
        return None
    return trim


_trim = _find_trim()


def give_back() -> None:
    """Give back what is free, at most every ten seconds in the whole process. Safe to call from any thread, often."""
    if _trim is None or time.monotonic() - _given_at[0] < _EVERY_SECONDS or not _lock.acquire(blocking=False):
        return
    try:
        _trim(0)
        _given_at[0] = time.monotonic()
    finally:
        _lock.release()
