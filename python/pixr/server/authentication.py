"""Finds out who is calling, from `X-API-Key` and `X-API-Secret` or a bearer token, once for every request.

The principal, or the reason why there is none, is put into the request's state, and `principal.requires` acts on it.
Connections that outlive a request, such as sockets and streams of events, ask again through the state's `credentials`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pixr.server.errors import ApiError
from pixr.server.keys import principal_of_key
from pixr.server.metrics import AUTH_FAILURES
from pixr.server.oauth.tokens import principal_of_token
from pixr.server.principal import Principal

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["Authentication", "Credentials"]

_HEADERS = ("x-api-key", "x-api-secret", "authorization")


class Credentials:
    """The credentials that a connection began with, so that it ends when they do. Header names are in lower case."""

    def __init__(self, server: ServerState, headers: Mapping[str, str]) -> None:
        self._server = server
        self._shown = {name: headers[name] for name in _HEADERS if name in headers}

    async def find(self) -> Principal | ApiError | None:
        """Whom they stand for now, or why they do not hold; None if there are none."""
        return await _find_principal(self._server, self._shown)

    async def check(self) -> Principal:
        """Whom they stand for now.

        Raises:
            ApiError: they are missing, wrong, revoked, or have expired.
        """
        found = await self.find()
        if isinstance(found, Principal):
            return found
        raise found or ApiError("AUTHENTICATION_REQUIRED", "This needs credentials.")


class Authentication:
    """Puts `principal` into the request's state: a `Principal`, an `ApiError`, or None if there are no credentials.

    It also puts `credentials` there, through which to ask again.
    """

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] in ("http", "websocket"):
            credentials = Credentials(self._server, Headers(scope=scope))
            scope["state"]["credentials"], scope["state"]["principal"] = credentials, await credentials.find()
        await self._app(scope, receive, send)


async def _find_principal(server: ServerState, headers: Mapping[str, str]) -> Principal | ApiError | None:
    key, secret = headers.get("x-api-key"), headers.get("x-api-secret")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" and key is None and secret is None else None
    if key is None and secret is None and bearer is None:
        return server.dev_principal
    try:
        if bearer is not None:
            of_user = bearer.count(".") == 2
            return await server.known.ask(server.user_tokens.principal if of_user else principal_of_token, bearer)
        if not key or not secret:
            raise ApiError("INVALID_API_KEY", "X-API-Key and X-API-Secret go together.")
        return await server.known.ask(principal_of_key, key, secret)
    except ApiError as error:
        AUTH_FAILURES.labels(error.code).inc()
        return error
