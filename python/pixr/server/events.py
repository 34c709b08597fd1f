"""Records events in the transaction of what caused them, so that neither ever exists without the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pixr.server.ids import new_id
from pixr.server.models import Event
from pixr.server.webhooks.outbox import enqueue

__all__ = ["EVENT_TYPES", "EventType", "record", "take_turn"]

EventType = Literal[
    "video.uploaded",
    "video.processing",
    "video.processed",
    "video.failed",
    "video.deleted",
    "video.search_appearance",
    "creator.payout",
    "investment.accepted",
    "usage.threshold",
    "privacy.deleted",
    "version.sunset",
    "webhook.disabled",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)
_TURN = text("SELECT pg_advisory_xact_lock(7233242, hashtext(:organization))")


def take_turn(session: Session, organization: str) -> None:
    """Wait until no other open transaction has recorded events of the organization, and let the next one wait.

    PostgreSQL numbers events before they are committed. An event that is committed after its successor would be missed
    by everyone who already asks for what follows that one. SQLite has only one writer at a time anyway.
    """
    # First wait for every row that this transaction changes: whoever holds one of them may be waiting for this turn.
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_TURN, {"organization": organization})


def record(
    session: Session, organization: str, type: EventType, data: Mapping[str, Any], *, subject: str | None = None
) -> Event:
    """Add an event to the transaction, with a delivery for each endpoint that wants it.

    `subject` is what the event is about, by default `data["videoId"]`.

    A request that is carried out again after a crash (see `ids.repeatable`) finds its event already there.

    Only one transaction at a time records events of an organization. So that no two wait for each other, recording must
    be a transaction's last step, and if it does so for several organizations, it takes them in the order of their ids.
    """
    take_turn(session, organization)
    id = new_id("evt")
    known = session.scalar(select(Event).where(Event.id == id))
    if known is not None:
        return known
    event = Event(
        id=id, organization_id=organization, type=type, subject=subject or data.get("videoId"), data=dict(data)
    )
    session.add(event)
    enqueue(session, event)
    return event
