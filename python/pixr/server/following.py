"""Follows the events of an organization, or one video, as they change, for long-lived connections.

All of a process's connections share one look at the database (`Watch`), and read from it only when theirs has changed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread
from sqlalchemy import select

from pixr.server.database import Database
from pixr.server.models import Event
from pixr.server.videos import UNDER_WAY
from pixr.server.watch import Watch

if TYPE_CHECKING:
    from pixr.server.authentication import Credentials
    from pixr.server.state import ServerState

__all__ = [
    "events_after",
    "follow",
    "follow_video",
    "video_when_changed",
]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# How often a connection looks whether its credentials still hold, and whether the server stops.
_CHECK_SECONDS = 0.5
_MOST_AT_ONCE = 100


async def follow(
    server: ServerState, credentials: Credentials, types: Sequence[str], after: int
) -> AsyncIterator[Event]:
    """The events of these types after a sequence number, until the server stops.

    Raises:
        ApiError: the credentials no longer hold.
    """
    organization = (await credentials.check()).organization
    async for _ in _changes(server, credentials, server.event_numbers, organization):
        more = True
        while more and not server.stopping:
            await credentials.check()
            found = await to_thread.run_sync(events_after, server.database, organization, types, after)
            for event in found:
                after = event.sequence
                yield event
            more = len(found) == _MOST_AT_ONCE


async def follow_video(server: ServerState, credentials: Credentials, id: str) -> AsyncIterator[dict[str, Any]]:
    """A video at once and whenever its status or progress changes, until it is processed or the server stops.

    Raises:
        ApiError: VIDEO_NOT_FOUND; the credentials no longer hold.
    """
    organization, before = (await credentials.check()).organization, None
    async for _ in _changes(server, credentials, server.video_changes, (organization, id)):
        shown = await _video(server, organization, id)
        if _progress(shown) != before:
            before = _progress(shown)
            yield shown
        if shown["status"] not in UNDER_WAY:
            return


async def video_when_changed(server: ServerState, organization: str, id: str, seconds: float) -> dict[str, Any]:
    """A video as soon as its status or progress changes, at the latest after `seconds`; at once if it is processed.

    Raises:
        ApiError: VIDEO_NOT_FOUND.
    """
    deadline, known = time.monotonic() + seconds, None
    first = shown = await _video(server, organization, id)
    while _progress(shown) == _progress(first) and first["status"] in UNDER_WAY and not server.stopping:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        before, known = known, await server.video_changes.change((organization, id), known, min(left, _CHECK_SECONDS))
        if known != before:
            shown = await _video(server, organization, id)
    return shown


async def _changes(
    server: ServerState, credentials: Credentials, watch: Watch[K, V], key: K
) -> AsyncIterator[V | None]:
    """Yields at once, and whenever the value of `key` has changed since, until the server stops.

    Raises:
        ApiError: the credentials no longer hold.
    """
    known: V | None = None
    yield known
    while not server.stopping:
        await credentials.check()
        before, known = known, await watch.change(key, known, _CHECK_SECONDS)
        if known != before:
            yield known


async def _video(server: ServerState, organization: str, id: str) -> dict[str, Any]:
    return await server.videos_pool.run(organization, lambda: server.videos.get(organization, id))


def _progress(shown: Mapping[str, Any]) -> tuple[str, float]:
    return shown["status"], shown["progress"]


def events_after(database: Database, organization: str, types: Sequence[str], after: int) -> list[Event]:
    """The first hundred events of these types after a sequence number."""
    query = select(Event).where(Event.organization_id == organization, Event.type.in_(types), Event.sequence > after)
    with database.read() as session:
        return list(session.scalars(query.order_by(Event.sequence).limit(_MOST_AT_ONCE)))
