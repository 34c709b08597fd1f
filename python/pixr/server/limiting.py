"""Holds every request with credentials to its organization's rate and monthly quota, and says so in headers.

Requests with wrong credentials share a small bucket for each address, so that keys can't be guessed by trying; those
without any share a large one, which is there against floods and may be a whole company's behind one address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError
from pixr.server.principal import Principal
from pixr.server.rate_limits import Allowance

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["Limiting", "count_call"]


class Limiting:
    """Stands behind `Authentication`."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        who = scope["state"]["principal"]
        allowance = self._take(scope, who)
        headers = allowance.headers()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if not allowance.allowed:
            scope["state"]["route"] = "refused"
            await send_problem(scope, receive, answer, ApiError("RATE_LIMITED", "Too many requests."))
            return
        if isinstance(who, Principal) and (refusal := self._server.usage.count(who)) is not None:
            await send_problem(scope, receive, answer, refusal)
            return
        await self._app(scope, receive, answer)

    def _take(self, scope: Scope, who: Principal | ApiError | None) -> Allowance:
        if isinstance(who, Principal):
            return _take(self._server, who)
        client, settings = scope.get("client"), self._server.settings
        address, take = client[0] if client else "", self._server.rate_limits.take
        if isinstance(who, ApiError):
            return take(address, settings.failed_logins_per_second, "failure")
        return take(address, settings.strangers_per_second, "stranger")


def count_call(server: ServerState, who: Principal) -> None:
    """Count what is asked within a connection or a request that asks for several things: each is a call.

    Raises:
        ApiError: RATE_LIMITED, QUOTA_EXCEEDED.
    """
    allowance = _take(server, who)
    if not allowance.allowed:
        raise ApiError("RATE_LIMITED", "Too many requests.", headers=allowance.headers())
    if (refusal := server.usage.count(who)) is not None:
        raise refusal


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
