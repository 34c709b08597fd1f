"""Events: recorded in the same transaction as what caused them, so that neither is ever there without the other."""

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
    """Wait until no other transaction at work has recorded events of the organization; the next waits for this one.

    PostgreSQL numbers events before they are committed. One that is committed after its successor would never be told
    to whoever asks for what follows that. SQLite has one writer at a time.
    """
    # Whatever this transaction has to wait for comes first: whoever holds that may be waiting for this turn.
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_TURN, {"organization": organization})


def record(
    session: Session, organization: str, type: EventType, data: Mapping[str, Any], *, subject: str | None = None
) -> Event:
    """Add an event to the transaction, with a delivery for each endpoint that wants it.

    `subject` is what it is about; by default `data["videoId"]`.

    A request that is carried out again after a crash (see `ids.repeatable`) finds its event already there.

    One transaction at a time records events of an organization: this is its last step, and one that tells several
    organizations goes through them in the order of their ids, so that no two wait for each other.
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
