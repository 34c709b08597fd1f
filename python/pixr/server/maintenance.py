"""Cleans up from time to time: removes expired uploads, tokens and idempotency keys, and searches past their retention.

It also brings forward webhooks that a clock which was set back would hold up. Every process does this. What one has
removed, the others do not find. Each also returns freed memory to the system: its many threads leave it in arenas of
their own, full of holes, and under load that grew to many times what was in use.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete

from pixr.media.freed_memory import give_back
from pixr.server import idempotency
from pixr.server.database import now
from pixr.server.deprecation import announce
from pixr.server.models import OAuthCode, OAuthToken
from pixr.server.webhooks.appearances import record_appearances
from pixr.server.webhooks.queue import bring_forward

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["Maintenance"]

log = logging.getLogger("pixr.server.maintenance")
_EVERY_SECONDS = 60.0
_GIVE_BACK_SECONDS = 10.0
_END_SECONDS = 2.0


class Maintenance:
    """A thread that cleans up."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pixr-maintenance", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, waiting only briefly for a sweep under way: the next process that cleans up will finish it."""
        self._ended.set()
        self._thread.join(_END_SECONDS)

    def sweep(self) -> None:
        """Clean up once."""
        server = self._server
        server.uploads.sweep()
        server.search_log.sweep()
        with server.database.write() as session:
            bring_forward(session)
        with server.database.write() as session:
            record_appearances(session)
        with server.database.write() as session:  # both go through the organizations in order, see `events.record`
            announce(session, server.settings.deprecations)
        with server.database.write() as session:
            idempotency.sweep(session)
            session.execute(delete(OAuthCode).where(OAuthCode.expires < now()))
            over = OAuthToken.refresh_expires.is_(None) | (OAuthToken.refresh_expires < now())
            session.execute(delete(OAuthToken).where(OAuthToken.expires < now(), over))

    def _run(self) -> None:
        swept = time.monotonic()
        while not self._ended.wait(_GIVE_BACK_SECONDS):
            give_back()
            if time.monotonic() - swept < _EVERY_SECONDS:
                continue
            swept = time.monotonic()
            try:
                self.sweep()
            except Exception:  # the next minute tries again
                log.warning("cleaning up failed", exc_info=True)
