"""The outermost layer of a request: its id, its time, its line in the log, and an answer whatever happens inside it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextvars import Token

from pydantic_core import to_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.errors import MEDIA_TYPE, ApiError, problem, problem_of
from pixr.server.ids import new_id
from pixr.server.logs import request_id
from pixr.server.metrics import REQUEST_SECONDS
from pixr.server.tracing import Span, span

__all__ = ["RequestContext", "answer_to", "send_problem"]

log = logging.getLogger("pixr.server")
_CLIENT_GONE = 499
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Puts `X-Request-Id` on every response (the caller's own, if it sent one), and measures each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if _GIVEN_ID.fullmatch(given) else new_id("req")
        scope.setdefault("state", {})["request_id"] = id
        token = request_id.set(id)
        if scope["type"] == "http":
            with span(scope["method"], kind="server", headers=Headers(scope=scope)) as traced:
                await self._serve(scope, receive, send, id, token, traced)
        else:
            await self._serve(scope, receive, send, id, token, Span())

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, id: str, token: Token[str | None], traced: Span
    ) -> None:
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = id
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:  # the process ends, and the time to finish requests is over
            if status or scope["type"] == "websocket":
                raise
            stopping = ApiError("UNAVAILABLE", "The server is stopping.", headers={"Retry-After": "1"})
            await send_problem(scope, receive, answer, stopping)
        except Exception as error:
            failed = problem_of(error)
            log.exception("request failed", extra={"code": failed.code})
            if status or scope["type"] == "websocket":
                raise
            await send_problem(scope, receive, answer, failed)
        finally:
            if scope["type"] == "http":  # without a status, the caller left before the answer
                self._report(scope, status or _CLIENT_GONE, time.perf_counter() - begun, traced)
            request_id.reset(token)

    def _report(self, scope: Scope, status: int, seconds: float, traced: Span) -> None:
        route = getattr(scope.get("route"), "path", None) or "unknown"
        REQUEST_SECONDS.labels(scope["method"], route, str(status)).observe(seconds)
        principal = scope["state"].get("principal")
        traced.rename(f"{scope['method']} {route}")
        traced.set_attributes(
            {
                "http.request.method": scope["method"],
                "http.route": route,
                "http.response.status_code": status,
                "pixr.request_id": scope["state"]["request_id"],
                "pixr.organization": getattr(principal, "organization", None),
            }
        )
        if status >= 500:
            traced.fail(str(status))
        log.info(
            "request",
            extra={
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1e3, 2),
                "organization": getattr(principal, "organization", None),
            },
        )


def answer_to(error: Exception) -> ApiError:
    """An exception as an error to report after an answer has begun, or as one of several. The log has the rest."""
    known = problem_of(error)
    if known.status >= 500 and not isinstance(error, ApiError):
        log.error("request failed", extra={"code": known.code, "detail": str(error)}, exc_info=error)
    return known


async def send_problem(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Answer with an error."""
    from starlette.responses import Response

    body = problem(error, instance=scope["path"], request_id=scope["state"]["request_id"])
    response = Response(to_json(body), error.status, error.headers, MEDIA_TYPE)
    await response(scope, receive, send)
