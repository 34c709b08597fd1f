"""Tells of a signal to stop when it comes: uvicorn ends the application only when connections have ended by themselves.

It is done inside of the application, around uvicorn's own handlers, so that it holds in each of several processes.

In a process that is Pixr's own it also sets an alarm, which nothing handles: Python waits at its end for threads of
pools, however long they take, and whoever stops a server waits no longer than was promised. Files and databases take no
harm from a process that was killed.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["on_stop_signal"]


def on_stop_signal(tell: Callable[[], None], seconds: float | None) -> None:
    """Call `tell` on SIGINT and SIGTERM, before what is done on them now; end the process `seconds` later, if given.

    Outside of the main thread nothing is done.

    Whoever set the present handlers puts back those before them, as uvicorn does, and ends this with it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        _precede(number, tell, None if seconds is None else math.ceil(seconds))


def _precede(number: int, tell: Callable[[], None], seconds: int | None) -> None:
    before = signal.getsignal(number)
    if not callable(before):
        return
    handler = before

    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        if seconds is not None:
            signal.alarm(signal.alarm(0) or seconds)  # the first signal counts
        handler(number, frame)

    signal.signal(number, handle)
