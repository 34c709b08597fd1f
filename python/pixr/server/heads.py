"""Answers HEAD wherever GET is answered, with GET's headers. Caches and players send it before they fetch."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.tus import PATH

__all__ = ["Heads"]

# Here HEAD has its own meaning: it asks for the offset of an upload.
_OWN = f"{PATH}/"


class Heads:
    """Serves HEAD as GET and sends only the headers. A stream is cut off after them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].startswith(_OWN):
            await self._app(scope, receive, send)
            return
        asked, ended = {**scope, "method": "GET"}, False

        async def headers_alone(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b""})

        try:
            await self._app(asked, receive, headers_alone)
        finally:
            if "route" in asked:  # for the log
                scope["route"] = asked["route"]
