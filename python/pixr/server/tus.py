"""What tus 1.0.0 demands for every request to an upload, whatever its answer.

The protocol's version is on every answer, even refusals. `X-HTTP-Method-Override` names the method for clients that
can't send PATCH or DELETE, because some proxies and browsers let only GET and POST through.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["PATH", "VERSION", "Tus"]

VERSION = {"Tus-Resumable": "1.0.0"}
PATH = "/v1/videos/upload/tus"
# Only methods that exist, since metrics are kept by method.
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")


class Tus:
    """A layer outside of everything that looks at the method."""

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
