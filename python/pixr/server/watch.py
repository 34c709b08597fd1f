"""Waits for things in the database to change, for all connections of a process at once.

Each look is one query, however many wait and for however many things. Without anybody waiting, nothing is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import to_thread

__all__ = ["Watch"]

K = TypeVar("K")
V = TypeVar("V")

_LOOK_SECONDS = 0.25


@dataclass(eq=False)
class _Waiter(Generic[V]):
    known: V | None
    told: asyncio.Future[V | None]


class Watch(Generic[K, V]):
    """Values by their keys. A key without a value has None. To be used from one event loop."""

    def __init__(self, look: Callable[[Sequence[K]], Mapping[K, V]]) -> None:
        """`look` reads the values of keys. It is called on a thread, and never twice at once."""
        self._look = look
        self._waiters: dict[K, set[_Waiter[V]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def change(self, key: K, known: V | None, seconds: float) -> V | None:
        """The value of a key once it is not `known`; `known`, if that takes longer than `seconds`.

        Raises:
            Exception: what `look` raised.
        """
        waiter: _Waiter[V] = _Waiter(known, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(key, set()).add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            await asyncio.wait({waiter.told}, timeout=seconds)
            return waiter.told.result() if waiter.told.done() else known
        finally:
            self._waiters[key].discard(waiter)
            if not self._waiters[key]:
                del self._waiters[key]

    async def _keep_looking(self) -> None:
        while self._waiters:
            await asyncio.sleep(_LOOK_SECONDS)
            # Who comes during a look is told by the next one: what it reads may be older than what they know.
            waiting = {key: list(waiters) for key, waiters in self._waiters.items()}
            try:
                found = await to_thread.run_sync(self._look, list(waiting)) if waiting else {}
            except Exception as error:  # noqa: BLE001 - told to all who wait
                for waiter in (one for waiters in waiting.values() for one in waiters):
                    if not waiter.told.done():
                        waiter.told.set_exception(error)
                continue
            for key, waiters in waiting.items():
                for waiter in waiters:
                    if found.get(key) != waiter.known and not waiter.told.done():
                        waiter.told.set_result(found.get(key))
