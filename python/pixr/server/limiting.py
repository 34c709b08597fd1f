"""Holds every request with credentials to its organization's rate and monthly quota, and says so in headers.

Requests without valid credentials share a small bucket for each address, so that keys can't be guessed by trying.
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

__all__ = ["Limiting"]


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
        if allowance is None:
            await self._app(scope, receive, send)
            return
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

    def _take(self, scope: Scope, who: Principal | ApiError | None) -> Allowance | None:
        limits, settings = self._server.rate_limits, self._server.settings
        if isinstance(who, Principal):
            plan = settings.plans.get(who.plan, settings.plans[settings.default_plan])
            if who.rate_limit is not None and who.rate_limit < plan.rate:
                return limits.take(f"{who.organization}/{who.subject}", who.rate_limit)
            return limits.take(who.organization, plan.rate)
        if isinstance(who, ApiError):
            client = scope.get("client")
            return limits.take(f"failures/{client[0] if client else ''}", settings.failed_logins_per_second)
        return None
