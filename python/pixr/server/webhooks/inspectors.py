"""Inspectors: endpoints of the server's own that keep what they receive, to look at, verify and replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pixr.errors import InvalidSignature
from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.ids import new_id
from pixr.server.models import Delivery, Event, Inspector, InspectorRequest
from pixr.server.webhooks.endpoints import own_endpoint
from pixr.server.webhooks.outbox import enqueue_for
from pixr.webhooks import TOLERANCE_SECONDS, verify

__all__ = [
    "MOST_BYTES",
    "create_inspector",
    "forget_videos",
    "own_inspector",
    "receive",
    "replay",
    "requests_of",
    "verdict",
]

MOST_BYTES = 256 << 10
MOST_REQUESTS = 200
MOST_INSPECTORS = 20
# Credentials that a caller sends by mistake are not kept.
_HIDDEN = ("authorization", "cookie", "x-api-key", "x-api-secret")


def create_inspector(session: Session, organization: str, *, secret: str | None, respond_with: int) -> Inspector:
    """Make an inspector. `secret` verifies what it receives, and `respond_with` is the status that it answers.

    Raises:
        ApiError: CONFLICT past the most inspectors; INVALID_REQUEST if the secret is not one.
    """
    if secret is not None:
        try:
            verify("", {"webhook-id": "x", "webhook-timestamp": "0", "webhook-signature": "x"}, secret, now=0)
        except InvalidSignature:
            pass
        except ValueError as error:
            problem = {"pointer": "/secret", "code": "secret", "detail": str(error)}
            raise ApiError("INVALID_REQUEST", str(error), errors=[problem]) from None
    known = session.scalars(select(Inspector.id).where(Inspector.organization_id == organization)).all()
    if len(known) >= MOST_INSPECTORS:
        raise ApiError("CONFLICT", f"An organization has at most {MOST_INSPECTORS} inspectors.")
    made = Inspector(
        id=new_id("whi"), organization_id=organization, secret=secret, respond_with=respond_with, created=now()
    )
    return session.merge(made)


def own_inspector(session: Session, organization: str, id: str) -> Inspector:
    """An inspector.

    Raises:
        ApiError: INSPECTOR_NOT_FOUND.
    """
    found = session.get(Inspector, id)
    if found is None or found.organization_id != organization:
        raise ApiError("INSPECTOR_NOT_FOUND", f"No inspector {id!r}.")
    return found


def receive(session: Session, id: str, headers: Mapping[str, str], body: bytes) -> Inspector:
    """Keep a request. If there are too many, the oldest are deleted.

    Raises:
        ApiError: INSPECTOR_NOT_FOUND, PAYLOAD_TOO_LARGE.
    """
    inspector = session.get(Inspector, id)
    if inspector is None:
        raise ApiError("INSPECTOR_NOT_FOUND", f"No inspector {id!r}.")
    if len(body) > MOST_BYTES:
        raise ApiError("PAYLOAD_TOO_LARGE", f"An inspector takes at most {MOST_BYTES} bytes.")
    kept = {name: "[removed]" if name in _HIDDEN else value.replace("\0", "") for name, value in headers.items()}
    session.add(InspectorRequest(id=new_id("whr"), inspector_id=id, headers=kept, body=body))
    session.flush()
    stale = select(InspectorRequest.id).where(InspectorRequest.inspector_id == id)
    stale = stale.order_by(InspectorRequest.received.desc(), InspectorRequest.id).offset(MOST_REQUESTS)
    session.execute(delete(InspectorRequest).where(InspectorRequest.id.in_(stale)))
    return inspector


def requests_of(session: Session, id: str) -> list[InspectorRequest]:
    """What an inspector received, newest first."""
    query = select(InspectorRequest).where(InspectorRequest.inspector_id == id)
    return list(session.scalars(query.order_by(InspectorRequest.received.desc(), InspectorRequest.id)))


def forget_videos(session: Session, organization: str, videos: Sequence[str]) -> int:
    """Delete what the organization's inspectors received about the videos. Returns how many requests that were."""
    mine = select(Inspector.id).where(Inspector.organization_id == organization)
    names = [to_json(video) for video in videos]
    about = [
        request
        for request in session.scalars(select(InspectorRequest).where(InspectorRequest.inspector_id.in_(mine)))
        if any(name in request.body for name in names)
    ]
    for request in about:
        session.delete(request)
    return len(about)


def verdict(inspector: Inspector, request: InspectorRequest) -> dict[str, Any]:
    """Whether the request's signature is right: `{"valid", "reason"}`; valid is None without a secret to check with.

    A replayed or old request is judged by the time at which it came.
    """
    if inspector.secret is None:
        return {"valid": None, "reason": "the inspector has no secret to verify with"}
    came = request.received.timestamp()
    try:
        verify(request.body, request.headers, inspector.secret, tolerance_seconds=TOLERANCE_SECONDS, now=came)
    except InvalidSignature as error:
        return {"valid": False, "reason": str(error)}
    return {"valid": True, "reason": None}


def replay(session: Session, organization: str, id: str, request_id: str, endpoint_id: str) -> Delivery:
    """Send the event in a request to an endpoint, with a new signature and its old id.

    Raises:
        ApiError: INSPECTOR_NOT_FOUND, DELIVERY_NOT_FOUND if the request carried no event of this organization,
            WEBHOOK_NOT_FOUND.
    """
    own_inspector(session, organization, id)
    request = session.get(InspectorRequest, request_id)
    if request is None or request.inspector_id != id:
        raise ApiError("DELIVERY_NOT_FOUND", f"No request {request_id!r}.")
    event = session.scalar(select(Event).where(Event.id == request.headers.get("webhook-id", "")))
    if event is None or event.organization_id != organization:
        raise ApiError("DELIVERY_NOT_FOUND", "The request carried no event that is still kept.")
    return enqueue_for(session, event, own_endpoint(session, organization, endpoint_id), replay=True)
