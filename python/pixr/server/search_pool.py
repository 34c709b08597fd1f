"""Runs searches and other long work off the event loop, on a few threads with a queue that refuses when it is full.

An organization fills at most its share of the threads, so that one whose disk or model is slow leaves some to the
others. Of those that may begin, the one with the least work running goes first, and equals take turns. If the queue
is full, the newest request of the organization with the most in it is refused to make room. So one request behind a
hundred of somebody else's waits for one or two of these, and not for all.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pixr.server.errors import ApiError
from pixr.server.metrics import SEARCHES_REFUSED, SEARCHES_WAITING

__all__ = ["SearchPool"]

T = TypeVar("T")


class SearchPool:
    """Runs work on at most `each` threads for one organization, and `spare` more for the others; at most `queue` wait.

    All methods except `close` must be called on one event loop.
    """

    def __init__(self, each: int, queue: int, *, spare: int) -> None:
        self._each = each
        self._concurrency = each + spare
        self._queue = queue
        self._threads = ThreadPoolExecutor(self._concurrency, thread_name_prefix="pixr-search")
        self._at_work = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # the organization served last is last

    async def run(self, organization: str, work: Callable[[], T]) -> T:
        """The result of `work`, called on a thread of the pool.

        Raises:
            ApiError: OVERLOADED, if too many are waiting already.
        """
        await self._turn(organization)
        context = contextvars.copy_context()
        future = asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)
        future.add_done_callback(lambda _: self._end(organization))
        return await asyncio.shield(future)  # if the caller leaves, the thread still works

    def check(self) -> None:
        """Raise if the next search would be refused, also of an organization that has nothing at work."""
        if self._at_work.total() >= self._concurrency and self._waiting_count() >= self._queue:
            raise _overloaded()

    def close(self) -> None:
        """Finish what has begun."""
        self._threads.shutdown(wait=True)

    async def _turn(self, organization: str) -> None:
        """Wait until a thread is reserved for the organization."""
        if self._may_begin(organization):
            self._at_work[organization] += 1
            return
        self._make_room(organization)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(organization, deque()).append(turn)
        SEARCHES_WAITING.inc()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting.get(organization, ()):
                self._leave(organization, turn)
            elif not turn.cancelled() and turn.exception() is None:  # the thread was reserved just then
                self._end(organization)
            raise

    def _may_begin(self, organization: str) -> bool:
        return self._at_work.total() < self._concurrency and self._at_work[organization] < self._each

    def _make_room(self, organization: str) -> None:
        if self._waiting_count() < self._queue:
            return
        SEARCHES_REFUSED.inc()
        greediest = max(self._waiting, key=lambda one: len(self._waiting[one]), default=organization)
        if len(self._waiting.get(greediest, ())) <= len(self._waiting.get(organization, ())) + 1:
            raise _overloaded()
        newest = self._waiting[greediest][-1]
        self._leave(greediest, newest)
        if not newest.cancelled():
            newest.set_exception(_overloaded())

    def _end(self, organization: str) -> None:
        """Reserve a thread that became free for whoever is next."""
        self._at_work[organization] -= 1
        if not self._at_work[organization]:
            del self._at_work[organization]
        while able := [one for one in self._waiting if self._may_begin(one)]:
            chosen = min(able, key=lambda one: self._at_work[one])
            turn = self._waiting[chosen][0]
            self._leave(chosen, turn)
            if chosen in self._waiting:
                self._waiting[chosen] = self._waiting.pop(chosen)
            if not turn.cancelled():
                self._at_work[chosen] += 1
                turn.set_result(None)

    def _leave(self, organization: str, turn: asyncio.Future[None]) -> None:
        self._waiting[organization].remove(turn)
        if not self._waiting[organization]:
            del self._waiting[organization]
        SEARCHES_WAITING.dec()

    def _waiting_count(self) -> int:
        return sum(map(len, self._waiting.values()))


def _overloaded() -> ApiError:
    return ApiError("OVERLOADED", "Too many requests of this kind wait.", headers={"Retry-After": "1"})
