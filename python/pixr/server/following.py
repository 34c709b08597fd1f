"""Follows the events of an organization as they happen, for long-lived connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from anyio import to_thread
from sqlalchemy import func, select

from pixr.server.database import Database
from pixr.server.models import Event

if TYPE_CHECKING:
    from pixr.server.authentication import Credentials
    from pixr.server.state import ServerState

__all__ = ["events_after", "follow", "last_sequence"]

_POLL_SECONDS = 0.5
_MOST_AT_ONCE = 100


async def follow(
    server: ServerState, credentials: Credentials, types: Sequence[str], after: int
) -> AsyncIterator[Event]:
    """The events of these types after a sequence number, until the server stops.

    Raises:
        ApiError: the credentials no longer hold.
    """
    while not server.stopping:
        who = await credentials.check()
        for event in await to_thread.run_sync(events_after, server.database, who.organization, types, after):
            after = event.sequence
            yield event
        await asyncio.sleep(_POLL_SECONDS)


def last_sequence(database: Database, organization: str) -> int:
    """The number of the organization's last event, 0 if there was none."""
    with database.read() as session:
        return session.scalar(select(func.max(Event.sequence)).where(Event.organization_id == organization)) or 0


def events_after(database: Database, organization: str, types: Sequence[str], after: int) -> list[Event]:
    """The first hundred events of these types after a sequence number."""
    query = select(Event).where(Event.organization_id == organization, Event.type.in_(types), Event.sequence > after)
    with database.read() as session:
        return list(session.scalars(query.order_by(Event.sequence).limit(_MOST_AT_ONCE)))
