"""Remembers valid credentials for a second, so that not every request has to ask the database.

The credentials themselves are not kept, only a digest keyed with a secret of this process. An entry ends when the
credentials expire, and all end when this process writes to a table that credentials depend on, so what is revoked here
is revoked at once. What another process revokes, or changes about a plan, takes effect here within the second. Refusals
are not remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from anyio import to_thread

from pixr.server.database import Database, now
from pixr.server.models import ApiKey, OAuthClient, OAuthToken, Organization
from pixr.server.principal import Principal

__all__ = ["KNOWN_SECONDS", "KnownCredentials"]

KNOWN_SECONDS = 1.0
_MOST = 10_000
# A function of a session and credentials.
Find: TypeAlias = Callable[..., Principal]
_TABLES = tuple(of.__tablename__ for of in (Organization, ApiKey, OAuthClient, OAuthToken))


class KnownCredentials:
    """Principals by their credentials."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Principal, float, int]] = {}  # until when; the count of writes before
        self._looking: dict[tuple[bytes, int], asyncio.Future[Principal]] = {}  # by the count of writes before

    async def ask(self, find: Find, *credentials: str) -> Principal:
        """Whom they stand for, looked up on a thread if it is not known; who asks for the same meanwhile shares that.

        Raises:
            ApiError: what `find` raises.
        """
        who = self.find(*credentials)
        if who is not None:
            return who
        # What was looked up before a write says nothing to those who ask after it.
        asked = (self._digest(credentials), self._database.written(*_TABLES))
        looking = self._looking.get(asked)
        if looking is None:
            looking = asyncio.ensure_future(to_thread.run_sync(self.look_up, find, *credentials))
            looking.add_done_callback(partial(self._looked_up, asked))
            self._looking[asked] = looking
        return await asyncio.shield(looking)

    def find(self, *credentials: str) -> Principal | None:
        """Whom these stood for within the last second. Does not ask the database, so it may run on the event loop."""
        found = self._known.get(self._digest(credentials))
        if found is None:
            return None
        who, until, writes = found
        if self._clock() >= until or writes != self._database.written(*_TABLES):
            return None
        return None if who.expires is not None and who.expires <= now() else who

    def look_up(self, find: Find, *credentials: str) -> Principal:
        """Look up a principal with `find(session, *credentials)`, and remember it.

        Raises:
            ApiError: what `find` raises.
        """
        writes = self._database.written(*_TABLES)  # counted before the look-up
        until = self._clock() + KNOWN_SECONDS
        with self._database.read() as session:
            who = find(session, *credentials)
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[self._digest(credentials)] = (who, until, writes)
        return who

    def _looked_up(self, asked: tuple[bytes, int], looking: asyncio.Future[Principal]) -> None:
        del self._looking[asked]
        if not looking.cancelled():
            looking.exception()  # seen, even if all who asked have left

    def _digest(self, credentials: tuple[str, ...]) -> bytes:
        shown = "\0".join(credentials).encode()
        return hashlib.blake2b(shown, key=self._secret, digest_size=32).digest()
