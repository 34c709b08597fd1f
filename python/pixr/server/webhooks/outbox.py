"""Puts an event into the queue of every endpoint that wants it, in the transaction that recorded the event."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.ids import new_id
from pixr.server.models import Delivery, Event, WebhookEndpoint

__all__ = ["enqueue", "enqueue_for"]


def enqueue(session: Session, event: Event) -> None:
    """Add a delivery for each enabled endpoint of the organization that wants events of this type."""
    wanted = select(WebhookEndpoint).where(
        WebhookEndpoint.organization_id == event.organization_id, WebhookEndpoint.disabled.is_(None)
    )
    # Locked, so that none is deleted before this transaction ends. One that is being deleted is waited for and skipped.
    for endpoint in session.scalars(wanted.with_for_update(read=True, key_share=True)):
        if not endpoint.event_types or event.type in endpoint.event_types:
            enqueue_for(session, event, endpoint)


def enqueue_for(session: Session, event: Event, endpoint: WebhookEndpoint, *, replay: bool = False) -> Delivery:
    """A delivery of the event to one endpoint. A request that is carried out again after a crash finds its own."""
    session.flush()  # the event's sequence is given by the database
    id = new_id("dlv")
    if (known := session.get(Delivery, id)) is not None:
        return known
    delivery = Delivery(
        id=id,
        organization_id=event.organization_id,
        endpoint_id=endpoint.id,
        sequence=event.sequence,
        subject=event.subject,
        replay=replay,
    )
    session.add(delivery)
    return delivery
