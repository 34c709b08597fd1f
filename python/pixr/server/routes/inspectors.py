"""`/v1/webhooks/inspector`: endpoints of the server's own that show what webhooks carry, as JSON and as a page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.instants import rfc3339
from pixr.server.models import Inspector, InspectorRequest
from pixr.server.principal import WebhookOwner
from pixr.server.routes.webhooks import shown_delivery
from pixr.server.schemas.shape import Stored
from pixr.server.schemas.webhooks import (
    DeliveryShape,
    InspectorDetail,
    InspectorReplay,
    InspectorShape,
    NewInspector,
)
from pixr.server.state import Server, ServerState
from pixr.server.webhooks.inspector_page import CONTENT_SECURITY_POLICY, page
from pixr.server.webhooks.inspectors import create_inspector, own_inspector, receive, replay, requests_of, verdict

router = APIRouter(prefix="/v1/webhooks/inspector", tags=["webhooks"])

InspectorId = Annotated[Stored, Path(alias="inspectorId", max_length=100, examples=["whi_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]
PURPOSE = "inspector page"
DAY_SECONDS = 86_400


@router.post("", operation_id="createInspector", status_code=201, response_model=InspectorShape)
def create(asked: NewInspector, caller: WebhookOwner, server: Server) -> Response:
    """Create an inspector; give its `url` to an endpoint, or to any other sender."""
    with server.database.write() as session:
        made = create_inspector(session, caller.organization, secret=asked.secret, respond_with=asked.respond_with)
        return json_answer(_shown(server, made), 201)


@router.get("/{inspectorId}", operation_id="getInspector", response_model=InspectorDetail)
def get(inspector_id: InspectorId, caller: WebhookOwner, server: Server) -> Response:
    """Get an inspector and what it received, newest first, each with the verdict on its signature."""
    with server.database.read() as session:
        found = own_inspector(session, caller.organization, inspector_id)
        requests = [_request(found, one) for one in requests_of(session, found.id)]
        return json_answer(_shown(server, found) | {"requests": requests})


@router.delete("/{inspectorId}", operation_id="deleteInspector", status_code=204, response_class=Response)
def delete(inspector_id: InspectorId, caller: WebhookOwner, server: Server) -> Response:
    """Delete an inspector and what it received."""
    with server.database.write() as session:
        session.delete(own_inspector(session, caller.organization, inspector_id))
    return Response(status_code=204)


@router.post(
    "/{inspectorId}/requests/{requestId}/replay",
    operation_id="replayInspectedEvent",
    status_code=202,
    response_model=DeliveryShape,
)
def replay_request(
    inspector_id: InspectorId,
    request_id: Annotated[Stored, Path(alias="requestId", max_length=100)],
    asked: InspectorReplay,
    caller: WebhookOwner,
    server: Server,
) -> Response:
    """Send the event of a received request to an endpoint, signed anew, under its old id."""
    with server.database.write() as session:
        delivery = replay(session, caller.organization, inspector_id, request_id, asked.endpoint_id)
        session.flush()
        session.refresh(delivery)
        shown = shown_delivery(delivery)
    server.courier.wake()
    return json_answer(shown, 202)


@router.post(
    "/{inspectorId}/receive",
    operation_id="receiveWebhook",
    response_class=Response,
    responses={"default": {"description": "The status that the inspector was told to answer with, and no body"}},
)
async def receive_request(inspector_id: InspectorId, request: Request, server: Server) -> Response:
    """Receive a webhook, from anyone who knows the URL, and answer with the inspector's status."""
    body, headers = await request.body(), {name.lower(): value for name, value in request.headers.items()}
    status = await run_in_threadpool(_keep, server, inspector_id, headers, body)
    return Response(status_code=status)


@router.get("/{inspectorId}/page", operation_id="showInspector", response_class=Response)
def show(inspector_id: InspectorId, server: Server, token: Annotated[str, Query(max_length=1000)] = "") -> Response:
    """Show what an inspector received as a page. The token of `pageUrl` opens it, for a day."""
    if server.signer.open_token(token, purpose=PURPOSE, max_age=DAY_SECONDS) != inspector_id:
        raise ApiError("INVALID_TOKEN", "The token is of another page.")
    with server.database.read() as session:
        found = session.get(Inspector, inspector_id)
        if found is None:
            raise ApiError("INSPECTOR_NOT_FOUND", f"No inspector {inspector_id!r}.")
        requests = [_request(found, one) for one in requests_of(session, found.id)]
        html = page(_shown(server, found), requests)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(html, headers=headers | {"Referrer-Policy": "no-referrer"}, media_type="text/html")


def _keep(server: ServerState, id: str, headers: dict[str, str], body: bytes) -> int:
    with server.database.write() as session:
        return receive(session, id, headers, body).respond_with


def _shown(server: ServerState, inspector: Inspector) -> dict[str, Any]:
    base = f"{server.settings.base_url}{router.prefix}/{inspector.id}"
    return {
        "inspectorId": inspector.id,
        "url": f"{base}/receive",
        "pageUrl": f"{base}/page?token={server.signer.token(inspector.id, purpose=PURPOSE)}",
        "verifies": inspector.secret is not None,
        "respondWith": inspector.respond_with,
        "created": rfc3339(inspector.created),
    }


def _request(inspector: Inspector, request: InspectorRequest) -> dict[str, Any]:
    return {
        "requestId": request.id,
        "received": rfc3339(request.received),
        "headers": request.headers,
        "body": request.body.decode("utf-8", "replace"),
        "signature": verdict(inspector, request),
    }
