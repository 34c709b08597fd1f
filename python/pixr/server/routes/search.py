"""`POST /v1/search`: as one answer, as server-sent events, or as lines, by `Accept`; with files as multipart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.pointers import wrong_fields
from pixr.server.principal import Searcher
from pixr.server.schemas.search import SearchRequest, SearchResponse
from pixr.server.searching import MOST_FILE_BYTES, answer_search
from pixr.server.state import Server
from pixr.server.streaming import as_events, as_lines, pieces, place_after

router = APIRouter(tags=["search"])

EVENTS, LINES = "text/event-stream", "application/x-ndjson"
MORE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            EVENTS: {
                "schema": {"type": "string"},
                "example": 'event: result\nid: 42-20:1\ndata: {"videoId": "vid_…"}\n\n',
            },
            LINES: {"schema": {"type": "string"}, "example": '{"type":"result","videoId":"vid_…"}\n'},
        }
    },
    204: {"description": "Whoever came back with `Last-Event-ID` has seen it all"},
}


@router.post("/v1/search", operation_id="search", response_model=SearchResponse, responses=MORE)
async def search(asked: SearchRequest, request: Request, caller: Searcher, server: Server) -> Response:
    """Find moments in words or with vectors; each result says why it was found."""
    return await _respond(request, answer_search(server, caller, asked))


@router.post(
    "/v1/search/file",
    operation_id="searchByFile",
    response_model=SearchResponse,
    responses=MORE,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "image": {"type": "string", "format": "binary"},
                            "audio": {"type": "string", "format": "binary"},
                            "clip": {"type": "string", "format": "binary"},
                            "request": {"type": "string", "description": "a SearchRequest as JSON"},
                        },
                    },
                    "example": {"image": "…", "request": '{"pagination": {"limit": 5}}'},
                }
            },
        }
    },
)
async def search_by_file(request: Request, caller: Searcher, server: Server) -> Response:
    """Find moments like a picture, a sound or a clip; `request` may say more, as in `search`."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError("UNSUPPORTED_MEDIA", "This takes multipart/form-data.")
    async with request.form(max_files=1, max_fields=2, max_part_size=server.settings.max_body_bytes) as form:
        kind = next((name for name in ("image", "audio", "clip") if name in form), "image")
        file, document = form.get(kind), form.get("request", "{}")
        if not isinstance(file, UploadFile) or not isinstance(document, str):
            raise ApiError("INVALID_REQUEST", "One part is a file, `image`, `audio` or `clip`; `request` is JSON.")
        content = await file.read(MOST_FILE_BYTES + 1)
    if not content or len(content) > MOST_FILE_BYTES:
        raise ApiError("PAYLOAD_TOO_LARGE", f"A file has 1 to {MOST_FILE_BYTES} bytes here.")
    try:
        asked = SearchRequest.model_validate_json(document)
    except ValidationError as error:
        found = error.errors()
        wrong = wrong_fields(found, None if found[0]["type"] == "json_invalid" else from_json(document))
        raise ApiError("INVALID_REQUEST", "The part `request` is no SearchRequest.", errors=wrong) from None
    return await _respond(request, answer_search(server, caller, asked, files={kind: content}))


async def _respond(request: Request, asked: Awaitable[dict[str, Any]]) -> Response:
    accepted = request.headers.get("accept", "")
    if EVENTS not in accepted and LINES not in accepted:
        whole = await asked
        timing = ", ".join(f"{name};dur={milliseconds:.2f}" for name, milliseconds in whole["timing"].items())
        return json_answer(whole, headers={"Server-Timing": timing})
    answer: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(asked)
    about: dict[str, Any] = {"instance": request.url.path, "request_id": request.scope["state"]["request_id"]}
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if EVENTS in accepted:
        after = 0
        if last := request.headers.get("last-event-id"):
            whole = await answer
            after = place_after(last, whole)
            if after >= sum(1 for _ in pieces(whole)):
                return Response(status_code=204, headers=headers)  # which tells an EventSource not to come back
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(whole)
        return StreamingResponse(as_events(answer, after=after, **about), media_type=EVENTS, headers=headers)
    return StreamingResponse(as_lines(answer, **about), media_type=LINES, headers=headers)
