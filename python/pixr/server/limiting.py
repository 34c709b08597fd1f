"""Holds every request with credentials to its organization's rate and monthly quota, and says so in headers.

Requests with wrong credentials share a small bucket for each address, so that keys can't be guessed by trying; those
without any share a large one, which is there against floods and may be a whole company's behind one address.
The handshake of a socket is held to the same rates, and is a call of no quota.
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
    """Stands behind `Authentication`."""

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
    """Count what is asked within a connection or a request that asks for several things: each is a call.

    Raises:
        ApiError: RATE_LIMITED, QUOTA_EXCEEDED.
    """
    check_rate(server, who)
    if (refusal := server.usage.count(who)) is not None:
        raise refusal


def check_rate(server: ServerState, who: Principal) -> None:
    """Hold to the rate what is no call: other messages of a connection.

    Raises:
        ApiError: RATE_LIMITED.
    """
    _check(_take(server, who), "Too many requests.")


def count_failure(server: ServerState, connection: HTTPConnection) -> None:
    """Slow down whoever guesses, where credentials come in a body or a message.

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
    """Count a request; what a token's own rate refuses costs its organization nothing. The tighter of both is told."""
    settings = server.settings
    plan = settings.plans.get(who.plan, settings.plans[settings.default_plan])
    if who.rate_limit is not None and who.rate_limit < plan.rate:
        own = server.rate_limits.take(f"{who.organization}/{who.subject}", who.rate_limit, "token")
        if not own.allowed:
            return own
        shared = server.rate_limits.take(who.organization, plan.rate)
        return shared if not shared.allowed or shared.left < own.left else own
    return server.rate_limits.take(who.organization, plan.rate)
