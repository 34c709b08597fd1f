"""Makes and changes an organization's endpoints, and rotates their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.events import take_turn
from pixr.server.ids import new_id
from pixr.server.instants import rfc3339
from pixr.server.keys import check_overlap
from pixr.server.models import Delivery, Event, WebhookEndpoint
from pixr.server.webhooks.body import EXAMPLES
from pixr.server.webhooks.outbox import enqueue_for
from pixr.server.webhooks.sender import Sender
from pixr.webhooks import new_secret

__all__ = [
    "MOST_ENDPOINTS",
    "create_endpoint",
    "list_endpoints",
    "own_delivery",
    "own_endpoint",
    "rotate_secret",
    "send_test",
    "shown_endpoint",
    "update_endpoint",
]

MOST_ENDPOINTS = 50


def create_endpoint(
    session: Session,
    organization: str,
    sender: Sender,
    *,
    url: str,
    event_types: Sequence[str] = (),
    description: str = "",
    max_concurrency: int = 4,
) -> WebhookEndpoint:
    """Make an endpoint with a secret of its own. Its host is looked up at every delivery, not here: names may move.

    Raises:
        ApiError: INVALID_REQUEST for a URL that can't be one, or that `sender` would send nothing to; CONFLICT past the
            most endpoints.
    """
    _check_url(url, sender)
    if len(list_endpoints(session, organization)) >= MOST_ENDPOINTS:
        raise ApiError("CONFLICT", f"An organization has at most {MOST_ENDPOINTS} endpoints.")
    made = WebhookEndpoint(
        id=new_id("whe"),
        organization_id=organization,
        url=url,
        description=description,
        event_types=sorted(set(event_types)),
        max_concurrency=max_concurrency,
        secret=new_secret(),
    )
    kept = session.merge(made)
    session.flush()  # the answer has what the database fills in, too
    return kept


def list_endpoints(session: Session, organization: str) -> list[WebhookEndpoint]:
    """The organization's endpoints, oldest first."""
    query = (
        select(WebhookEndpoint)
        .where(WebhookEndpoint.organization_id == organization)
        .order_by(WebhookEndpoint.created, WebhookEndpoint.id)
    )
    return list(session.scalars(query))


def own_endpoint(session: Session, organization: str, id: str) -> WebhookEndpoint:
    """An endpoint.

    Raises:
        ApiError: WEBHOOK_NOT_FOUND.
    """
    endpoint = session.get(WebhookEndpoint, id)
    if endpoint is None or endpoint.organization_id != organization:
        raise ApiError("WEBHOOK_NOT_FOUND", f"No endpoint {id!r}.")
    return endpoint


def update_endpoint(
    session: Session, organization: str, sender: Sender, id: str, changes: Mapping[str, Any]
) -> WebhookEndpoint:
    """Change `url`, `description`, `event_types`, `max_concurrency`, or `enabled`.

    What waited while an endpoint was disabled is delivered once it is enabled again.

    Raises:
        ApiError: WEBHOOK_NOT_FOUND, INVALID_REQUEST.
    """
    endpoint = own_endpoint(session, organization, id)
    given = dict(changes)
    if "url" in given:
        _check_url(given["url"], sender)
    if "event_types" in given:
        given["event_types"] = sorted(set(given["event_types"]))
    enabled = given.pop("enabled", None)
    for name, value in given.items():
        setattr(endpoint, name, value)
    if enabled is True:
        endpoint.disabled = endpoint.disabled_reason = None
    elif enabled is False and endpoint.disabled is None:
        endpoint.disabled, endpoint.disabled_reason = now(), "by its owner"
    return endpoint


def rotate_secret(session: Session, organization: str, id: str, overlap: timedelta) -> WebhookEndpoint:
    """Make a new secret. For `overlap` everything is signed with both; if that is zero, only with the new one.

    A request that is carried out again after a crash (see `ids.repeatable`) finds that it was done.

    Raises:
        ApiError: WEBHOOK_NOT_FOUND; CONFLICT while another secret before signs as well.
    """
    endpoint = own_endpoint(session, organization, id)
    session.refresh(endpoint, with_for_update=True)  # of two rotations at once the second sees the first
    rotation = new_id("rot")
    if endpoint.rotation == rotation:
        return endpoint
    check_overlap(endpoint.previous_expires, overlap)
    endpoint.previous_secret, endpoint.previous_expires = endpoint.secret, now() + overlap
    endpoint.secret, endpoint.rotation = new_secret(), rotation
    return endpoint


def send_test(session: Session, organization: str, id: str, type: str) -> Delivery:
    """Queue an example of an event, with `data.test` true, for one endpoint. It is tried once.

    Raises:
        ApiError: WEBHOOK_NOT_FOUND; CONFLICT where it is disabled.
    """
    endpoint = own_endpoint(session, organization, id)
    if endpoint.disabled is not None:
        raise ApiError("CONFLICT", f"The endpoint is disabled: {endpoint.disabled_reason}.")
    data = {**next(example for known, example in EXAMPLES.items() if known == type), "test": True}
    take_turn(session, organization)
    event_id = new_id("evt")
    event = session.scalar(select(Event).where(Event.id == event_id))  # known where this is carried out again
    if event is None:
        event = Event(id=event_id, organization_id=organization, type=type, subject=None, data=data)
        session.add(event)
    return enqueue_for(session, event, endpoint)


def own_delivery(session: Session, organization: str, id: str) -> Delivery:
    """A delivery.

    Raises:
        ApiError: DELIVERY_NOT_FOUND.
    """
    delivery = session.get(Delivery, id)
    if delivery is None or delivery.organization_id != organization:
        raise ApiError("DELIVERY_NOT_FOUND", f"No delivery {id!r}.")
    return delivery


def shown_endpoint(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """An endpoint in the form of the API, without its secret."""
    return {
        "endpointId": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "eventTypes": endpoint.event_types,
        "maxConcurrency": endpoint.max_concurrency,
        "enabled": endpoint.disabled is None,
        "disabledReason": endpoint.disabled_reason,
        "created": rfc3339(endpoint.created),
        "previousSecretExpires": rfc3339(endpoint.previous_expires),
    }


def _check_url(url: str, sender: Sender) -> None:
    if " " in url or not url.isprintable():  # which `urlsplit` would drop or keep without a word
        raise _wrong_url("A URL has no spaces and no control characters.")
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
        parts = urlsplit("")
    if not known or parts.username is not None or parts.password is not None or parts.fragment:
        raise _wrong_url("An endpoint is an http or https URL with a host, without credentials and fragment.")
    try:
        sender.check(url)
    except ApiError as error:
        raise _wrong_url(error.detail) from None


def _wrong_url(detail: str) -> ApiError:
    return ApiError("INVALID_REQUEST", detail, errors=[{"pointer": "/url", "code": "url", "detail": detail}])
