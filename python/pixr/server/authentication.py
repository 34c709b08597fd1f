"""Finds out who asks, from `X-API-Key` and `X-API-Secret` or a bearer token, once for every request.

What it finds, a principal or the reason why not, lies in the request's state; `principal.requires` acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pixr.server.errors import ApiError
from pixr.server.keys import principal_of_key
from pixr.server.metrics import AUTH_FAILURES
from pixr.server.oauth.tokens import principal_of_token
from pixr.server.principal import Principal

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["Authentication", "find_principal"]


class Authentication:
    """Puts `principal` into the request's state: a `Principal`, an `ApiError`, or None without credentials."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in ("http", "websocket"):
            scope["state"]["principal"] = await find_principal(self._server, Headers(scope=scope))
        await self._app(scope, receive, send)


async def find_principal(server: ServerState, headers: Mapping[str, str]) -> Principal | ApiError | None:
    """Who sent these headers, whose names are in small letters; or why not; None if they carry no credentials."""
    key, secret = headers.get("x-api-key"), headers.get("x-api-secret")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" and key is None and secret is None else None
    if key is None and secret is None and bearer is None:
        return server.dev_principal
    try:
        if bearer is not None:
            return server.known.find(bearer) or await to_thread.run_sync(_of_bearer, server, bearer)
        if not key or not secret:
            raise ApiError("INVALID_API_KEY", "X-API-Key and X-API-Secret go together.")
        return server.known.find(key, secret) or await to_thread.run_sync(_of_key, server, key, secret)
    except ApiError as error:
        AUTH_FAILURES.labels(error.code).inc()
        return error


def _of_bearer(server: ServerState, token: str) -> Principal:
    if token.count(".") == 2:
        return server.user_tokens.principal(token)
    return server.known.look_up(principal_of_token, token)


def _of_key(server: ServerState, key: str, secret: str) -> Principal:
    return server.known.look_up(principal_of_key, key, secret)
