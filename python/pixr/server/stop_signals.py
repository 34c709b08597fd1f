"""Tells of a signal to stop when it comes: uvicorn ends the application only when connections have ended by themselves.

It is done inside of the application, around uvicorn's own handlers, so that it holds in each of several processes.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["on_stop_signal"]


def on_stop_signal(tell: Callable[[], None]) -> None:
    """Call `tell` on SIGINT and SIGTERM, before what is done on them now; nothing outside of the main thread.

    Whoever set the present handlers puts back those before them, as uvicorn does, and ends this with it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        _precede(number, tell)


def _precede(number: int, tell: Callable[[], None]) -> None:
    before = signal.getsignal(number)
    if not callable(before):
        return
    handler = before

    def handle(number: int, frame: FrameType | None) -> None:
        tell()
        handler(number, frame)

    signal.signal(number, handle)
