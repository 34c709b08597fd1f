"""Runs searches, and what else may take long, off the event loop: a few threads, and a queue that refuses when full."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pixr.server.errors import ApiError
from pixr.server.metrics import SEARCH_SECONDS, SEARCHES_REFUSED, SEARCHES_WAITING
from pixr.server.tracing import stage

__all__ = ["SearchPool"]

T = TypeVar("T")


class SearchPool:
    """`concurrency` searches at a time, `queue` more that wait, and no others."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="pixr-search")
        self._most = concurrency + queue
        self._concurrency = concurrency
        self._taken = 0  # of the event loop alone

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, called on a thread of the pool.

        Raises:
            ApiError: OVERLOADED, too many wait already.
        """
        if self._taken >= self._most:
            SEARCHES_REFUSED.inc()
            raise ApiError("OVERLOADED", "Too many requests of this kind wait.", headers={"Retry-After": "1"})
        self._taken += 1
        SEARCHES_WAITING.set(max(0, self._taken - self._concurrency))
        asked = time.perf_counter()
        context = contextvars.copy_context()

        def timed() -> T:
            waited = time.perf_counter() - asked
            SEARCH_SECONDS.labels("wait").observe(waited)
            context.run(stage, "wait", waited)
            return context.run(work)

        future = asyncio.get_running_loop().run_in_executor(self._threads, timed)
        future.add_done_callback(self._done)
        return await future

    def check(self) -> None:
        """Raise if the next search would be refused."""
        if self._taken >= self._most:
            raise ApiError("OVERLOADED", "Too many searches wait.")

    def _done(self, future: asyncio.Future[T]) -> None:  # noqa: ARG002 - how a callback is called
        self._taken -= 1
        SEARCHES_WAITING.set(max(0, self._taken - self._concurrency))

    def close(self) -> None:
        """Finish what was begun."""
        self._threads.shutdown(wait=True)
