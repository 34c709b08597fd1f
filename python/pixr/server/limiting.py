"""Holds every request with credentials to its organization's rate and monthly quota, and reports both in headers.

Requests with wrong credentials share a small bucket for each address, so that keys can't be guessed by trying. Those
without credentials share a large one for each address, which stops floods but must do for a whole company behind one
address. The handshake of a socket is held to the same rates, but does not count towards the quota.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError
from pixr.server.principal import Principal
from pixr.server.rate_limits import Allowance

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["Limiting", "check_rate", "count_call", "count_failure"]


class Limiting:
    """The layer inside `Authentication`."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        who = scope["state"]["principal"]
        allowance = self._take(scope, who)
        headers = allowance.headers()

        async def answer(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if not allowance.allowed:
            scope["state"]["route"] = "refused"
            await send_problem(scope, receive, answer, ApiError("RATE_LIMITED", "Too many requests."))
            return
        is_call = isinstance(who, Principal) and scope["type"] == "http"
        if is_call and (refusal := self._server.usage.count(who)) is not None:
            await send_problem(scope, receive, answer, refusal)
            return
        await self._app(scope, receive, answer)

    def _take(self, scope: Scope, who: Principal | ApiError | None) -> Allowance:
        if isinstance(who, Principal):
            return _take(self._server, who)
        connection = HTTPConnection(scope)
        if isinstance(who, ApiError):
            return _take_failure(self._server, connection)
        rate = self._server.settings.strangers_per_second
        return self._server.rate_limits.take(_address(connection), rate, "stranger")


def count_call(server: ServerState, who: Principal) -> None:
    """Count one of several calls that are made in one connection or request.

    Raises:
        ApiError: RATE_LIMITED, QUOTA_EXCEEDED.
    """
    check_rate(server, who)
    if (refusal := server.usage.count(who)) is not None:
        raise refusal


def check_rate(server: ServerState, who: Principal) -> None:
    """Hold a message of a connection to the rate, without counting it as a call.

    Raises:
        ApiError: RATE_LIMITED.
    """
    _check(_take(server, who), "Too many requests.")


def count_failure(server: ServerState, connection: HTTPConnection) -> None:
    """Slow down guessing, where credentials come in a body or a message.

    Raises:
        ApiError: RATE_LIMITED.
    """
    _check(_take_failure(server, connection), "Too many attempts.")


def _check(allowance: Allowance, why: str) -> None:
    if not allowance.allowed:
        raise ApiError("RATE_LIMITED", why, headers=allowance.headers())


def _take_failure(server: ServerState, connection: HTTPConnection) -> Allowance:
    return server.rate_limits.take(_address(connection), server.settings.failed_logins_per_second, "failure")


def _address(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _take(server: ServerState, who: Principal) -> Allowance:
    """Count a request against a token's own rate, if it has one, and then its organization's. Returns the tighter one.

    What the token's own rate refuses is not counted against its organization.
    """
    plan = server.settings.plan(who.plan)
    if who.rate_limit is not None and who.rate_limit < plan.rate:
        own = server.rate_limits.take(f"{who.organization}/{who.subject}", who.rate_limit, "token")
        if not own.allowed:
            return own
        shared = server.rate_limits.take(who.organization, plan.rate)
        return shared if not shared.allowed or shared.left < own.left else own
    return server.rate_limits.take(who.organization, plan.rate)
