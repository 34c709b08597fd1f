"""Reacts to a signal to stop as soon as it comes. uvicorn would end the application only after all connections ended.

This is done inside the application, around uvicorn's own handlers, so that it works in each of several processes.

In a process of Pixr's own it also sets an alarm that nothing handles, so that the process ends within the promised
time. Otherwise Python would wait at its end for the threads of pools, however long they take. Files and databases are
not harmed if the process is killed.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["on_stop_signal"]


def on_stop_signal(stop: Callable[[], None], seconds: float | None) -> None:
    """Call `stop` on SIGINT and SIGTERM before their present handlers, and end the process `seconds` later, if given.

    Does nothing outside the main thread.

    It lasts until whoever set the present handlers restores the earlier ones, as uvicorn does.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        _precede(number, stop, None if seconds is None else math.ceil(seconds))


def _precede(number: int, stop: Callable[[], None], seconds: int | None) -> None:
    before = signal.getsignal(number)
    if not callable(before):
        return
    handler = before

    def handle(number: int, frame: FrameType | None) -> None:
        stop()
        if seconds is not None:
            signal.alarm(signal.alarm(0) or seconds)  # the first signal counts
        handler(number, frame)

    signal.signal(number, handle)
