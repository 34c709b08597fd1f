"""Refuses parameters that a call does not know: passed over, a misspelt `userId` would export a whole organization.

This is for calls that need a scope. Pages and OAuth are reached by addresses to which others add parameters of their
own, and RFC 6749 wants unknown ones ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.errors import ApiError
from pixr.server.openapi import find_route, scope_of
from pixr.server.principal import Principal

__all__ = ["Parameters"]


class Parameters:
    """The layer inside `Limiting`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["query_string"] and isinstance(scope["state"]["principal"], Principal):
            route = find_route(scope)
            refusal = None if route is None else _refusal(scope, route)
            if refusal is not None:
                scope["route"] = route  # which log, metrics and traces name, as where the framework found it
                await send_problem(scope, receive, send, refusal)
                return
        await self._app(scope, receive, send)


def _refusal(scope: Scope, route: APIRoute) -> ApiError | None:
    if scope_of(route) is None:
        return None
    known = sorted(_names(route.dependant))
    unknown = [name for name in Request(scope).query_params if name not in known]
    if not unknown:
        return None
    why = f"There is no such parameter here, but {', '.join(known)}." if known else "There are no parameters here."
    errors = [{"parameter": name, "code": "extra_forbidden", "detail": why} for name in unknown]
    return ApiError("INVALID_REQUEST", f"No parameter {unknown[0]!r}.", errors=errors)


def _names(dependant: Dependant) -> Iterator[str]:
    """The names of the parameters that a call takes, or what it depends on."""
    for field in dependant.query_params:
        yield field.alias
    for below in dependant.dependencies:
        yield from _names(below)
