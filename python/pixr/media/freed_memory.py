"""Gives memory that was freed back to the system, but not at once.

The stages of indexing allocate in one thread and free in another. glibc keeps what is freed in the arena of the thread
that allocated it, full of holes, and a long video leaves hundreds of megabytes there: of ten hours, the first half
hour alone left 660 MB.

At once it is given back where it was large: a Whisper window takes 54 MB several times a layer, and clearing their
pages anew each time was a fourteenth of all processor time. A process that only indexes keeps them until the next
giving back.

Elsewhere than on glibc there is nothing to do.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["give_back", "keep_freed"]

_EVERY_SECONDS: Final = 10.0
# Parameters of mallopt(3), and values for them: one arena, so that what one thread freed another finds; no mappings of
# their own for large blocks; the end of the heap stays, and grows by so much.
_KEEPING: Final = {-8: 1, -4: 0, -1: 1 << 30, -2: 16 << 20}
_lock = threading.Lock()
_given_at = [time.monotonic()]


def _find(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # musl and others have none
        return None
    return found


_trim = _find("malloc_trim")


def keep_freed() -> None:
    """Have freed memory used again. For a process that is the indexer's own, before it has threads.

    A library in somebody else's process leaves his allocator as it is.
    """
    set_up = _find("mallopt")
    if set_up is not None and _trim is not None:  # else nothing would ever be given back
        for parameter, value in _KEEPING.items():
            set_up(parameter, value)


def give_back() -> None:
    """Give back what is free, at most every ten seconds in the whole process. Safe to call from any thread, often."""
    if _trim is None or time.monotonic() - _given_at[0] < _EVERY_SECONDS or not _lock.acquire(blocking=False):
        return
    try:
        _trim(0)
        _given_at[0] = time.monotonic()
    finally:
        _lock.release()
