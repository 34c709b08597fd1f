"""Decides what pages of other origins may do (CORS), and protects a server that asks for no keys from them.

Credentials are headers and never cookies, so a page has only its own. By default every origin may call the API with a
user token, follow events, and send files to the URL of an upload. With `--dev` there are no keys, and any page that is
open in a browser on this machine could reach the server. So then only this machine's own pages are answered, and only
under this machine's names, since anyone's name may resolve to this machine (DNS rebinding).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError
from pixr.server.settings import Settings

__all__ = ["Browsers"]

_OPEN = ("/v1/", "/graphql", "/.well-known/", "/openapi", "/postman.json", "/embed/")
_CLOSED = ("/v1/auth/authorize",)  # a page with a form, which no script may use
_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]+( *, *[A-Za-z0-9-]+)*")
# How long a browser may remember the answer to a preflight. Chrome accepts no longer time.
_PREFLIGHT_SECONDS = "7200"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Browsers:
    """The layer inside `RequestContext`, so that pages can read errors too."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._dev = settings.dev
        self._origins = frozenset(settings.browser_origins)
        self._names = {*_LOOPBACK, urlsplit(settings.base_url).hostname}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if self._dev and not self._is_of_this_machine(headers.get("host", ""), origin):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            refusal = ApiError(
                "FORBIDDEN", "With --dev, pages of this machine alone are answered, under its own names."
            )
            await send_problem(scope, receive, send, refusal)
            return
        path: str = scope["path"]
        if origin is None or scope["type"] == "websocket" or not path.startswith(_OPEN) or path in _CLOSED:
            await self._app(scope, receive, send)
            return
        allowed = self._headers_for(origin)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            wanted = headers.get("access-control-request-headers", "")
            names = wanted if _HEADER_NAMES.fullmatch(wanted) else ""
            more = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": _PREFLIGHT_SECONDS}
            preflight = Response(status_code=204, headers=allowed | more | {"Access-Control-Allow-Headers": names})
            await preflight(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                sent.update({name: value for name, value in allowed.items() if name != "Vary"})
                if "Vary" in allowed:
                    sent.add_vary_header(allowed["Vary"])
            await send(message)

        await self._app(scope, receive, answer)

    def _headers_for(self, origin: str) -> dict[str, str]:
        if "*" in self._origins:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
        varies = {"Vary": "Origin"}
        if origin not in self._origins and not (self._dev and _host_of(origin) in _LOOPBACK):
            return varies
        return varies | {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}

    def _is_of_this_machine(self, host: str, origin: str | None) -> bool:
        if _host_of(f"//{host}") not in self._names:
            return False
        return origin is None or origin in self._origins or "*" in self._origins or _host_of(origin) in self._names


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
