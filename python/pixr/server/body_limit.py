"""Refuses bodies that are too large before they are read, and stops reading those that lied about it."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError

__all__ = ["BodyLimit"]


class BodyLimit:
    """Every body is at most `most_bytes` long, but for the paths of `larger`, which have their own limit."""

    def __init__(self, app: ASGIApp, most_bytes: int, larger: dict[str, int] | None = None) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = next((bytes for prefix, bytes in self._larger.items() if path.startswith(prefix)), self._most_bytes)
        too_large = ApiError("PAYLOAD_TOO_LARGE", f"A body has at most {limit} bytes here.")
        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told) > limit:
            await send_problem(scope, receive, send, too_large)
            return
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            if message["type"] == "http.request":
                got += len(message.get("body", b""))
                if got > limit:
                    raise too_large
            return message

        async def answer(message: Message) -> None:
            """Frameworks make answers of their own of an error while reading; ours goes out in place of them."""
            if got <= limit:
                await send(message)
            elif message["type"] == "http.response.start":
                await send_problem(scope, receive, send, too_large)

        await self._app(scope, counted, answer)
