"""Returns freed memory to the system, but not at once.

The stages of indexing allocate in one thread and free in another. glibc keeps freed memory in the arena of the thread
that allocated it, full of holes, and a long video leaves hundreds of megabytes there: of a video of ten hours, the
first half hour alone left 660 MB. `give_back` returns that.

Large blocks are a different matter: glibc returns them at once. Whisper takes 54 MB for a window several times a layer,
and clearing those pages anew each time was a fourteenth of all processor time. So a process that only indexes calls
`keep_freed`, and keeps them until the next `give_back`.

Without glibc there is nothing to do.
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
# Parameters of mallopt(3) and their values: one arena, so that one thread can use what another freed; no mappings of
# their own for large blocks; the end of the heap is not trimmed below a gigabyte, and grows by 16 MB.
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
    """Keep freed memory for reuse. Only for a process that does nothing but index, before it has threads.

    Inside somebody else's process the allocator is left as it is.
    """
    set_up = _find("mallopt")
    if set_up is not None and _trim is not None:  # else nothing would ever be given back
        for parameter, value in _KEEPING.items():
            set_up(parameter, value)


def give_back() -> None:
    """Return freed memory, at most every ten seconds in the whole process. Safe to call often, from any thread."""
    if _trim is None or time.monotonic() - _given_at[0] < _EVERY_SECONDS or not _lock.acquire(blocking=False):
        return
    try:
        _trim(0)
        _given_at[0] = time.monotonic()
    finally:
        _lock.release()
