"""Refuses bodies that say they are too large, and stops reading those that turn out to be, or that come too slowly."""

from __future__ import annotations

import time
from contextlib import suppress

from anyio import move_on_after
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError
from pixr.server.whole_numbers import whole_number

__all__ = ["BodyLimit"]

# A body that arrives at this rate may take as long as it likes.
SLOWEST_BYTES_PER_SECOND = 1000.0


class BodyLimit:
    """Every body is at most `most_bytes` long, except on the paths of `larger`, which have limits of their own.

    A body may keep the server waiting for `patience` seconds in all, and for a second more for each thousand bytes that
    arrive. To the layers inside, a body that comes too slowly looks like a broken connection.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, patience: float, larger: dict[str, int] | None = None) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._patience = patience
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = next((bytes for prefix, bytes in self._larger.items() if path.startswith(prefix)), self._most_bytes)
        too_large = ApiError("PAYLOAD_TOO_LARGE", f"A body has at most {limit} bytes here.")
        if (whole_number(Headers(scope=scope).get("content-length", "")) or 0) > limit:
            await send_problem(scope, receive, send, too_large)
            return
        got, waited, more, answered = 0, 0.0, True, False
        refusal: ApiError | None = None

        async def counted() -> Message:
            nonlocal got, waited, more, refusal
            if not more:
                return await receive()
            if refusal is not None:
                return {"type": "http.disconnect"}
            message: Message | None = None
            begun = time.monotonic()
            with move_on_after(min(self._patience, self._patience + got / SLOWEST_BYTES_PER_SECOND - waited)):
                message = await receive()
            waited += time.monotonic() - begun
            if message is None:
                refusal = ApiError("REQUEST_TIMEOUT", "The body came too slowly.", headers={"Connection": "close"})
                return {"type": "http.disconnect"}
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                more = message.get("more_body", False)
                if got > limit:
                    refusal = too_large
                    raise too_large
            return message

        async def answer(message: Message) -> None:
            """Drop an answer that the framework makes of an error while reading, so that ours is sent instead."""
            nonlocal answered
            if refusal is None or answered:
                answered = True
                await send(message)

        with suppress(ClientDisconnect):
            await self._app(scope, counted, answer)
        if refusal is not None and not answered:
            await send_problem(scope, receive, send, refusal)
