"""`GET /v1/events`: what happened, and as server-sent events what happens, for any `EventSource`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pixr.server.answer import json_answer
from pixr.server.authentication import Credentials
from pixr.server.errors import ApiError
from pixr.server.events import EVENT_TYPES
from pixr.server.following import events_after, follow
from pixr.server.latest import last_sequence
from pixr.server.principal import WebhookOwner
from pixr.server.schemas.webhooks import EventList
from pixr.server.state import Server, ServerState
from pixr.server.streaming import HEARTBEAT_SECONDS
from pixr.server.webhooks.body import event_to_dict

router = APIRouter(tags=["webhooks"])

_TYPE = "|".join(re.escape(one) for one in EVENT_TYPES)
# Told in the specification and checked below, where the answer can name what is wrong and what there is.
TYPES = {"pattern": f"^(({_TYPE})(,({_TYPE}))*)?$"}
NUMBER = {"pattern": "^[0-9]{0,18}$"}

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: video.processed\nid: 42\ndata: {"id": "evt_…", "type": "video.processed"}\n\n',
            }
        }
    }
}


@router.get("/v1/events", operation_id="listEvents", response_model=EventList, responses=STREAM)
async def stream(
    request: Request,
    caller: WebhookOwner,
    server: Server,
    types: Annotated[
        str | None, Query(max_length=2000, description="with commas between; all if not given", json_schema_extra=TYPES)
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, lt=1 << 63, description="the sequence number of the last one known")
    ] = None,
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=18, json_schema_extra=NUMBER)] = "",
) -> Response:
    """List up to a hundred events after one; with `Accept: text/event-stream`, follow those that happen from now on."""
    wanted = tuple(types.split(",")) if types else EVENT_TYPES
    if unknown := [one for one in wanted if one not in EVENT_TYPES]:
        raise ApiError("INVALID_REQUEST", f"No event {unknown[0]!r}; events are {', '.join(EVENT_TYPES)}.")
    if last:
        if not (last.isascii() and last.isdigit()):
            raise ApiError("INVALID_REQUEST", "Last-Event-ID is the number of an event.")
        after = int(last)
    if "text/event-stream" not in request.headers.get("accept", ""):
        found = await to_thread.run_sync(events_after, server.database, caller.organization, wanted, after or 0)
        events = [{"sequence": event.sequence, "event": event_to_dict(event)} for event in found]
        return json_answer({"events": events, "after": found[-1].sequence if found else after or 0})
    if after is None:
        after = await to_thread.run_sync(last_sequence, server.database, caller.organization)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    pieces = _server_sent(server, request.scope["state"]["credentials"], wanted, after)
    return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)


async def _server_sent(
    server: ServerState, credentials: Credentials, types: tuple[str, ...], after: int
) -> AsyncIterator[bytes]:
    yield b": following\n\n"
    events = follow(server, credentials, types, after)
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            if not (await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS))[0]:
                yield b": waiting\n\n"
                continue
            try:
                event = coming.result()
            except ApiError:  # whoever comes back without credentials that hold is told why
                return
            if event is None:
                return
            data = to_json(event_to_dict(event))
            yield b"event: %b\nid: %d\ndata: %b\n\n" % (event.type.encode(), event.sequence, data)
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
