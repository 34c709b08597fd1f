"""Puts the server together: layers around every request, the routes, and what lives as long as the process.

RequestContext   id, log, metrics, an answer whatever happens
Browsers         whose pages may ask
Tus              what uploads want of every request
Heads            HEAD wherever there is GET
Deprecations     says what will go
BodyLimit        no body larger than allowed
Authentication   who asks
Limiting         not too often, not past the plan
Idempotency      not twice
routes           scope, service, answer
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from pixr.errors import PixrError
from pixr.server.authentication import Authentication
from pixr.server.body_limit import BodyLimit
from pixr.server.browsers import Browsers
from pixr.server.context import RequestContext, log
from pixr.server.deprecation import Deprecations
from pixr.server.errors import MEDIA_TYPE, ApiError, problem, problem_of
from pixr.server.heads import Heads
from pixr.server.idempotency import Idempotency
from pixr.server.limiting import Limiting
from pixr.server.maintenance import Maintenance
from pixr.server.openapi import specification
from pixr.server.patience import PATIENCE
from pixr.server.pointers import wrong_fields
from pixr.server.routes import (
    analytics,
    documentation,
    embed,
    events,
    graphql,
    health,
    inspectors,
    keys,
    oauth,
    pictures,
    privacy,
    sandbox,
    search,
    uploads,
    videos,
    webhooks,
    websocket,
)
from pixr.server.state import ServerState
from pixr.server.stop_signals import on_stop_signal
from pixr.server.tus import PATH, Tus
from pixr.server.warming import Warming

__all__ = ["create_app"]

# Routes are tried in this order: what is asked most comes first.
ROUTERS = (
    search.router,
    health.router,
    uploads.router,
    analytics.router,
    pictures.router,
    embed.router,
    videos.router,
    keys.router,
    oauth.router,
    webhooks.router,
    inspectors.router,
    events.router,
    websocket.router,
    graphql.router,
    privacy.router,
    sandbox.router,
)
# What the process has after `shutdown_timeout` to end in.
_END_SECONDS = 5.0
STATUS_CODES = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA",
}


def create_app(server: ServerState, *, owns_process: bool = False) -> FastAPI:
    """The ASGI application of a server. It closes `server` when it shuts down.

    With `owns_process`, a signal to stop ends the process in time, whatever its threads wait for.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG001 - how it is called
        seconds = server.settings.shutdown_timeout + _END_SECONDS
        on_stop_signal(server.stop, seconds if owns_process else None)
        server.courier.start()
        upkeep = Maintenance(server)
        upkeep.start()
        warming = Warming(server)
        warming.start()
        yield {PATIENCE: server.settings.slow_client_seconds}
        server.stop()
        warming.stop()
        await asyncio.to_thread(upkeep.stop)
        await asyncio.to_thread(server.close)
        await asyncio.to_thread(warming.join)

    app = FastAPI(
        title="Pixr",
        version=version("pixr"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # a route of `documentation` that does not keep the event loop
        redirect_slashes=False,
        middleware=[
            Middleware(RequestContext),
            Middleware(Browsers, settings=server.settings),
            Middleware(Tus),
            Middleware(Heads),
            *(
                [Middleware(Deprecations, deprecations=server.settings.deprecations)]
                if server.settings.deprecations
                else []
            ),
            Middleware(
                BodyLimit,
                most_bytes=server.settings.max_body_bytes,
                patience=server.settings.slow_client_seconds,
                larger={PATH: server.settings.max_upload_bytes, "/v1/search/file": 21 << 20},
            ),
            Middleware(Authentication, server=server),
            Middleware(Limiting, server=server),
            Middleware(Idempotency, server=server),
        ],
        exception_handlers={
            ApiError: _answer_error,
            PixrError: _answer_error,
            HTTPException: _answer_http,
            RequestValidationError: _answer_invalid,
        },
    )
    app.state.server = server
    app.state.routers = ROUTERS
    for router in (*ROUTERS, documentation.router):
        # Not `include_router`: where routers are inside of one another, each route tried costs several times as much,
        # twice over, and no router here has anything to add to its routes.
        app.router.routes.extend(router.routes)
    app.openapi = lambda: specification(app)  # type: ignore[method-assign]
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    answer = problem_of(error)
    if answer.status >= 500 and (answer.status != 503 or isinstance(error, PixrError)):
        log.error("request failed", extra={"code": answer.code, "detail": str(error)})
    return _respond(request, answer)


async def _answer_http(request: Request, error: Any) -> Response:
    code = STATUS_CODES.get(error.status_code, "INVALID_REQUEST" if error.status_code < 500 else "INTERNAL")
    headers = dict(error.headers or {})
    if code == "METHOD_NOT_ALLOWED":
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return _respond(request, ApiError(code, str(error.detail), headers=headers))


def _methods(request: Request) -> set[str]:
    """What may be done with the path: one method a route, and the framework names those of the first alone.

    A path that is spelled out, as `/v1/videos/batch`, is no `/v1/videos/{videoId}`.
    """
    routes: list[Any] = [one for router in (*ROUTERS, documentation.router) for one in router.routes]
    fitting = [one for one in routes if isinstance(one, APIRoute) and one.path_regex.match(request.url.path)]
    spelled = [one for one in fitting if one.path == request.url.path]
    allowed = {method for one in spelled or fitting for method in one.methods or ()}
    return allowed | {"HEAD"} if "GET" in allowed else allowed


async def _answer_invalid(request: Request, error: Any) -> Response:
    found, errors = error.errors(), []
    if found[0]["loc"] == ("body",) and found[0]["type"] != "missing" and not _says_json(request):
        # Which is what curl does by itself, and a browser's form.
        return _respond(
            request, ApiError("UNSUPPORTED_MEDIA", "The body is JSON: send Content-Type: application/json.")
        )
    in_body = []
    for one in found:
        source, *path = one["loc"]
        if one["type"] == "json_invalid":
            detail = f"The body is no JSON: {one['ctx']['error']}, at character {path[0]}"
            errors.append({"pointer": "", "code": one["type"], "detail": detail})
        elif source == "body":
            in_body.append({**one, "loc": path})
        else:
            errors.append({"parameter": ".".join(map(str, path)), "code": one["type"], "detail": one["msg"]})
    errors += wrong_fields(in_body, error.body)
    detail = f"{len(errors)} fields are wrong." if len(errors) > 1 else errors[0]["detail"]
    return _respond(request, ApiError("INVALID_REQUEST", detail, errors=errors))


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _respond(request: Request, error: ApiError) -> Response:
    body = problem(error, instance=request.url.path, request_id=request.scope["state"]["request_id"])
    return Response(to_json(body), error.status, error.headers, MEDIA_TYPE)
