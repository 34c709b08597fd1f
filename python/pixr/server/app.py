"""Puts the server together: the layers around every request, the routes, and what lives as long as the process.

RequestContext   id, log, metrics, and an answer whatever happens
Browsers         which web pages may call
Tus              what the upload protocol wants of every request
Heads            HEAD wherever there is GET
Deprecations     announces what will be removed
BodyLimit        no body larger than allowed
Authentication   who is calling
Limiting         not too often, and not beyond the plan
Parameters       no parameter that nobody reads
Idempotency      not twice
routes           scope, service, answer
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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
from pixr.server.parameters import Parameters
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
from pixr.server.searching import MOST_FILE_BYTES
from pixr.server.state import ServerState
from pixr.server.stop_signals import on_stop_signal
from pixr.server.tus import PATH, Tus
from pixr.server.warming import Warming

__all__ = ["create_app"]

# Routes are tried in this order, so the most used come first.
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
# The time in which the process must end after `shutdown_timeout`.
_END_SECONDS = 5.0
# The file, and what a form needs around it.
_SEARCH_FILE_BYTES = MOST_FILE_BYTES + (1 << 20)
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
    app = FastAPI(
        title="Pixr",
        version=version("pixr"),
        lifespan=_lifespan(server, owns_process=owns_process),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `documentation` has a route for it that does not block the event loop
        redirect_slashes=False,
        middleware=_layers(server),
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
        # `include_router` would nest them, and then trying each route costs several times as much. These routers have
        # nothing of their own to add to their routes.
        app.router.routes.extend(router.routes)
    app.openapi = lambda: specification(app)  # type: ignore[method-assign]
    return app


def _lifespan(
    server: ServerState, *, owns_process: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]:
    """What starts and stops with the process."""

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

    return lifespan


def _layers(server: ServerState) -> list[Middleware]:
    """The layers around every request, the outermost first."""
    settings = server.settings
    deprecations = [Middleware(Deprecations, deprecations=settings.deprecations)] if settings.deprecations else []
    return [
        Middleware(RequestContext),
        Middleware(Browsers, settings=settings),
        Middleware(Tus),
        Middleware(Heads),
        *deprecations,
        Middleware(
            BodyLimit,
            most_bytes=settings.max_body_bytes,
            patience=settings.slow_client_seconds,
            larger={PATH: settings.max_upload_bytes, "/v1/search/file": _SEARCH_FILE_BYTES},
        ),
        Middleware(Authentication, server=server),
        Middleware(Limiting, server=server),
        Middleware(Parameters),
        Middleware(Idempotency, server=server),
    ]


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
    """The methods of a path, over all of its routes: the framework names only those of the first one that matches.

    A path that a route spells out, such as `/v1/videos/batch`, does not count as `/v1/videos/{videoId}`.
    """
    routes: list[Any] = [one for router in (*ROUTERS, documentation.router) for one in router.routes]
    fitting = [one for one in routes if isinstance(one, APIRoute) and one.path_regex.match(request.url.path)]
    spelled = [one for one in fitting if one.path == request.url.path]
    allowed = {method for one in spelled or fitting for method in one.methods or ()}
    return allowed | {"HEAD"} if "GET" in allowed else allowed


async def _answer_invalid(request: Request, error: Any) -> Response:
    found, errors = error.errors(), []
    if found[0]["loc"] == ("body",) and found[0]["type"] != "missing" and not _says_json(request):
        # By default curl sends another content type, and so do a browser's forms.
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
