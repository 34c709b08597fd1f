"""`/v1/webhooks`: endpoints, deliveries, replays and test events."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.events import EventType
from pixr.server.instants import rfc3339
from pixr.server.models import Delivery, DeliveryAttempt, Event
from pixr.server.paging import Cursor, Limit, page
from pixr.server.principal import WebhookOwner
from pixr.server.schemas.shape import Stored
from pixr.server.schemas.webhooks import (
    DeliveryDetail,
    DeliveryList,
    DeliveryShape,
    DeliveryStatus,
    EndpointChanges,
    EndpointList,
    EndpointRequest,
    EndpointShape,
    EndpointWithSecret,
    RotateSecretRequest,
    TestRequest,
)
from pixr.server.state import Server
from pixr.server.webhooks.body import event_to_dict
from pixr.server.webhooks.endpoints import (
    create_endpoint,
    list_endpoints,
    own_delivery,
    own_endpoint,
    rotate_secret,
    send_test,
    shown_endpoint,
    update_endpoint,
)
from pixr.server.webhooks.outbox import enqueue_for

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

EndpointId = Annotated[Stored, Path(alias="endpointId", max_length=100, examples=["whe_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]
DeliveryId = Annotated[Stored, Path(alias="deliveryId", max_length=100, examples=["dlv_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]
NO_STORE = {"Cache-Control": "no-store"}


@router.get("/endpoints", operation_id="listWebhookEndpoints", response_model=EndpointList)
def list_all(caller: WebhookOwner, server: Server, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List endpoints, oldest first, without secrets."""
    with server.database.read() as session:
        found = list_endpoints(session, caller.organization)
    return json_answer(
        page(server.signer, "endpoints", found, shown_endpoint, of=caller.organization, limit=limit, cursor=cursor)
    )


@router.post("/endpoints", operation_id="createWebhookEndpoint", status_code=201, response_model=EndpointWithSecret)
def create(asked: EndpointRequest, caller: WebhookOwner, server: Server) -> Response:
    """Create an endpoint. Its secret is shown this once. It gets the events that happen from now on."""
    with server.database.write() as session:
        made = create_endpoint(
            session,
            caller.organization,
            server.sender,
            url=asked.url,
            event_types=asked.event_types,
            description=asked.description,
            max_concurrency=asked.max_concurrency,
        )
        return json_answer(shown_endpoint(made) | {"secret": made.secret}, 201, NO_STORE)


@router.get("/endpoints/{endpointId}", operation_id="getWebhookEndpoint", response_model=EndpointShape)
def get(endpoint_id: EndpointId, caller: WebhookOwner, server: Server) -> Response:
    """Get an endpoint."""
    with server.database.read() as session:
        return json_answer(shown_endpoint(own_endpoint(session, caller.organization, endpoint_id)))


@router.patch("/endpoints/{endpointId}", operation_id="updateWebhookEndpoint", response_model=EndpointShape)
def update(endpoint_id: EndpointId, changes: EndpointChanges, caller: WebhookOwner, server: Server) -> Response:
    """Change an endpoint, or enable it again: what waited is then delivered."""
    given = {name: value for name, value in changes.model_dump(exclude_unset=True).items() if value is not None}
    with server.database.write() as session:
        shown = shown_endpoint(update_endpoint(session, caller.organization, server.sender, endpoint_id, given))
    server.courier.wake()
    return json_answer(shown)


@router.delete(
    "/endpoints/{endpointId}", operation_id="deleteWebhookEndpoint", status_code=204, response_class=Response
)
def delete(endpoint_id: EndpointId, caller: WebhookOwner, server: Server) -> Response:
    """Delete an endpoint with its deliveries."""
    with server.database.write() as session:
        session.delete(own_endpoint(session, caller.organization, endpoint_id))
    return Response(status_code=204)


@router.post("/endpoints/{endpointId}/rotate", operation_id="rotateWebhookSecret", response_model=EndpointWithSecret)
def rotate(endpoint_id: EndpointId, asked: RotateSecretRequest, caller: WebhookOwner, server: Server) -> Response:
    """Give an endpoint a new secret, shown this once; for `overlapSeconds` the old one signs as well.

    Until that ends a secret is rotated again with an overlap of 0 alone, after which the new one signs by itself.
    """
    with server.database.write() as session:
        made = rotate_secret(session, caller.organization, endpoint_id, timedelta(seconds=asked.overlap_seconds))
        return json_answer(shown_endpoint(made) | {"secret": made.secret}, headers=NO_STORE)


@router.post(
    "/endpoints/{endpointId}/test", operation_id="sendTestWebhook", status_code=202, response_model=DeliveryShape
)
def test(endpoint_id: EndpointId, asked: TestRequest, caller: WebhookOwner, server: Server) -> Response:
    """Send an example of an event to one endpoint, tried once; `data.test` is true."""
    with server.database.write() as session:
        delivery = send_test(session, caller.organization, endpoint_id, asked.type)
        session.flush()
        session.refresh(delivery)
        shown = shown_delivery(delivery)
    server.courier.wake()
    return json_answer(shown, 202)


@router.get("/deliveries", operation_id="listWebhookDeliveries", response_model=DeliveryList)
def list_deliveries(
    caller: WebhookOwner,
    server: Server,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    endpoint: Annotated[Stored | None, Query(alias="endpointId", max_length=100)] = None,
    status: DeliveryStatus | None = None,
    type: Annotated[EventType | None, Query(alias="eventType")] = None,
) -> Response:
    """List deliveries of the last 30 days, newest first."""
    name = f"deliveries:{caller.organization}:{endpoint}:{status}:{type}"
    query = select(Delivery).join(Delivery.event).where(Delivery.organization_id == caller.organization)
    if endpoint is not None:
        query = query.where(Delivery.endpoint_id == endpoint)
    if status is not None:
        query = query.where(Delivery.status == status)
    if type is not None:
        query = query.where(Event.type == type)
    if cursor is not None:
        sequence, id = server.signer.position(cursor, of=name)
        query = query.where((Delivery.sequence < sequence) | ((Delivery.sequence == sequence) & (Delivery.id > id)))
    query = query.order_by(Delivery.sequence.desc(), Delivery.id).limit(limit + 1)
    with server.database.read() as session:
        found = list(session.scalars(query))
    shown, last = [shown_delivery(one) for one in found[:limit]], found[limit - 1] if len(found) > limit else None
    following = server.signer.cursor([last.sequence, last.id], of=name) if last else None
    return json_answer({"deliveries": shown, "pagination": {"nextCursor": following, "hasMore": last is not None}})


@router.get("/deliveries/{deliveryId}", operation_id="getWebhookDelivery", response_model=DeliveryDetail)
def get_delivery(delivery_id: DeliveryId, caller: WebhookOwner, server: Server) -> Response:
    """Get a delivery with its event and every attempt: what was sent, and what came back."""
    with server.database.read() as session:
        delivery = own_delivery(session, caller.organization, delivery_id)
        history = session.scalars(
            select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery.id).order_by(DeliveryAttempt.id)
        )
        shown = shown_delivery(delivery) | {"event": event_to_dict(delivery.event)}
        return json_answer(shown | {"history": [_attempt(one) for one in history]})


@router.post(
    "/deliveries/{deliveryId}/replay",
    operation_id="replayWebhookDelivery",
    status_code=202,
    response_model=DeliveryShape,
)
def replay(delivery_id: DeliveryId, caller: WebhookOwner, server: Server) -> Response:
    """Send a delivery's event to its endpoint once more, under its old id, tried once."""
    with server.database.write() as session:
        before = own_delivery(session, caller.organization, delivery_id)
        delivery = enqueue_for(session, before.event, before.endpoint, replay=True)
        session.flush()
        session.refresh(delivery)
        shown = shown_delivery(delivery)
    server.courier.wake()
    return json_answer(shown, 202)


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    """A delivery as the API shows it."""
    waits = delivery.status == "pending"
    return {
        "deliveryId": delivery.id,
        "endpointId": delivery.endpoint_id,
        "eventId": delivery.event.id,
        "eventType": delivery.event.type,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "nextAttempt": rfc3339(delivery.next_attempt) if waits else None,
        "replay": delivery.replay,
        "created": rfc3339(delivery.created),
        "finished": rfc3339(delivery.finished),
    }


def _attempt(attempt: DeliveryAttempt) -> dict[str, Any]:
    return {
        "at": rfc3339(attempt.at),
        "milliseconds": round(attempt.milliseconds, 1),
        "statusCode": attempt.status_code,
        "error": attempt.error,
        "requestHeaders": attempt.request_headers,
        "responseHeaders": attempt.response_headers,
        "responseBody": attempt.response_body,
    }
