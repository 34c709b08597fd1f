"""`/v1/ws`: searches and events over one connection.

The handshake carries credentials as any request does; a browser, which can't set headers, sends
`{"type": "authenticate", "token": "…"}` first. Once they no longer hold, the connection is closed (4401), and so it is
when too many were wrong (4429). Then:

    {"type": "search", "id": "1", "request": {…}}   →  result…, facets, done, or error, each with that id
    {"type": "subscribe", "events": ["video.processed"], "after": 0}   →  {"type": "event", "sequence": …, "event": {…}}
    {"type": "ping"}   →  {"type": "pong"}
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from pixr.server.authentication import Credentials
from pixr.server.context import answer_to
from pixr.server.errors import ApiError, problem
from pixr.server.events import EVENT_TYPES
from pixr.server.following import follow
from pixr.server.latest import last_sequence
from pixr.server.limiting import check_rate, count_call, count_failure
from pixr.server.principal import Principal
from pixr.server.schemas.search import SearchRequest
from pixr.server.searching import answer_search
from pixr.server.state import ServerState
from pixr.server.streaming import pieces
from pixr.server.webhooks.body import event_to_dict

router = APIRouter()

_AUTHENTICATION_SECONDS = 10
_MOST_AT_WORK = 16
_REFUSED, _TOO_MANY = 4401, 4429


@router.websocket("/v1/ws")
async def connect(socket: WebSocket) -> None:
    """Serve one connection."""
    server: ServerState = socket.app.state.server
    await socket.accept()
    connection = _Connection(socket, server)
    try:
        await connection.run()
    except WebSocketDisconnect:
        pass
    finally:
        await connection.end()


class _Connection:
    def __init__(self, socket: WebSocket, server: ServerState) -> None:
        self._socket = socket
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._credentials: Credentials = socket.scope["state"]["credentials"]

    async def run(self) -> None:
        found = self._socket.scope["state"].get("principal")
        try:
            who = found if isinstance(found, Principal) else await self._authenticate()
        except ApiError as error:
            await self._socket.close(_TOO_MANY, error.code)
            return
        if who is None:
            await self._socket.close(_REFUSED, "credentials are needed")
            return
        await self._send({"type": "ready", "organization": who.organization})
        while True:
            text = await self._receive()
            try:
                who = await self._credentials.check()
            except ApiError as error:
                await self._socket.close(_REFUSED, error.code)
                return
            message = self._read(text)
            try:
                await self._take_up(who, message)
            except ApiError as error:
                await self._fail(message.get("id"), error)

    async def _take_up(self, who: Principal, message: dict[str, Any]) -> None:
        kind, id = message.get("type"), message.get("id")
        if kind != "search":  # which counts itself, as a call
            check_rate(self._server, who)
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "search":
            await self._begin(id, self._search(who, id, message.get("request")))
        elif kind == "subscribe":
            await self._begin(id, self._subscribe(who, message))
        else:
            raise ApiError("INVALID_REQUEST", "`type` is search, subscribe or ping.")

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _authenticate(self) -> Principal | None:
        try:
            text = await asyncio.wait_for(self._receive(), _AUTHENTICATION_SECONDS)
        except asyncio.TimeoutError:
            return None
        token = self._read(text).get("token")
        if not isinstance(token, str):
            return None
        self._credentials = Credentials(self._server, {"authorization": f"Bearer {token}"})
        found = await self._credentials.find()
        if isinstance(found, ApiError):
            count_failure(self._server, self._socket)
        return found if isinstance(found, Principal) else None

    async def _receive(self) -> str | bytes:
        """The next message; JSON in a binary frame is JSON too."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message.get("reason"))
        text: str | bytes | None = message.get("text")
        return message["bytes"] if text is None else text

    async def _begin(self, id: Any, work: Any) -> None:
        if len(self._tasks) >= _MOST_AT_WORK:
            work.close()
            await self._fail(id, ApiError("OVERLOADED", f"At most {_MOST_AT_WORK} at a time on one connection."))
            return
        task = asyncio.create_task(self._guard(id, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, id: Any, work: Any) -> None:
        try:
            await work
        except (WebSocketDisconnect, RuntimeError):  # nobody listens any more
            return
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            known = answer_to(error)
            await self._fail(id, known)
            if known.status == HTTPStatus.UNAUTHORIZED:
                await self._socket.close(_REFUSED, known.code)

    async def _search(self, who: Principal, id: Any, request: Any) -> None:
        self._check(who, "search")
        try:
            asked = SearchRequest.model_validate(request)
        except ValidationError as error:
            raise ApiError("INVALID_REQUEST", str(error.errors()[0]["msg"])) from None
        count_call(self._server, who)
        for name, body in pieces(await answer_search(self._server, who, asked)):
            await self._send({"type": name, "id": id, name if name == "facets" else "body": body})

    async def _subscribe(self, who: Principal, message: dict[str, Any]) -> None:
        self._check(who, "webhooks")
        wanted: Any = message.get("events") or list(EVENT_TYPES)
        asked = message.get("after")
        if not isinstance(wanted, list) or any(one not in EVENT_TYPES for one in wanted):
            raise ApiError("INVALID_REQUEST", f"`events` are of {', '.join(EVENT_TYPES)}.")
        if asked is not None and (type(asked) is not int or not 0 <= asked < 1 << 63):
            raise ApiError("INVALID_REQUEST", "`after` is the sequence number of an event.")
        last = await to_thread.run_sync(last_sequence, self._server.database, who.organization)
        after: int = last if asked is None else asked
        await self._send({"type": "subscribed", "id": message.get("id"), "after": after})
        async for event in follow(self._server, self._credentials, wanted, after):
            await self._send({"type": "event", "sequence": event.sequence, "event": event_to_dict(event)})

    @staticmethod
    def _check(who: Principal, scope: str) -> None:
        if scope not in who.scopes:
            raise ApiError("INSUFFICIENT_SCOPE", f"These credentials lack the scope {scope!r}.")

    @staticmethod
    def _read(text: str | bytes) -> dict[str, Any]:
        try:
            message = from_json(text)
        except ValueError:
            message = None
        return message if isinstance(message, dict) else {}

    async def _fail(self, id: Any, error: ApiError) -> None:
        request_id = self._socket.scope["state"]["request_id"]
        await self._send({"type": "error", "id": id, "error": problem(error, instance="/v1/ws", request_id=request_id)})

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._writing:
            await self._socket.send_text(to_json(message).decode())
