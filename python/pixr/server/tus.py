"""What tus 1.0.0 asks of every request to an upload, whatever becomes of it.

Its version is on every answer, refusals too, and `X-HTTP-Method-Override` names the method where a client's
surroundings know no PATCH or DELETE: some proxies and browsers let GET and POST through alone.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PATH", "VERSION", "Tus"]

VERSION = {"Tus-Resumable": "1.0.0"}
PATH = "/v1/videos/upload/tus"
# Those that there are and no others: metrics are kept by method.
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")


class Tus:
    """Stands outside of all that looks at the method."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and wanted in _METHODS:
            scope["method"] = wanted

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(VERSION)
            await send(message)

        await self._app(scope, receive, answer)
