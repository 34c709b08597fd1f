"""`/health` and `/metrics`, for load balancers and Prometheus; no credentials, and nothing told of any organization."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.metrics import INDEX_SEGMENTS, INGEST_WAITING, LIBRARIES_OPEN, exposition
from pixr.server.processing.queue import Queue
from pixr.server.schemas.health import Health
from pixr.server.state import Server, ServerState

router = APIRouter(tags=["health"])


@router.get("/health/live", operation_id="isLive", response_model=Health)
async def live() -> Response:
    """Whether the process answers at all."""
    return json_answer({"status": "ok", "checks": {}})


@router.get("/health/ready", operation_id="isReady", response_model=Health, responses={503: {"model": Health}})
def ready(server: Server) -> Response:
    """Whether requests will be answered: database, data directory, library, and room in the queue."""
    return _answer(server)


@router.get("/health", operation_id="health", response_model=Health, responses={503: {"model": Health}})
def health(server: Server) -> Response:
    """The same as `/health/ready`."""
    return _answer(server)


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {
            "description": "All metrics",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "pixr_libraries_open 1.0\n"}},
        }
    },
)
def metrics(server: Server) -> Response:
    """Everything measured, in Prometheus' text format."""
    LIBRARIES_OPEN.set(server.libraries.open_count())
    INDEX_SEGMENTS.set(server.libraries.segment_count())
    INGEST_WAITING.set(Queue(server.database, server.settings.ingest_attempts).waiting())
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)


def _answer(server: ServerState) -> Response:
    checks: dict[str, Callable[[], None]] = {
        "database": server.database.ping,
        "library": server.libraries.check,
        "queue": server.searches.check,
        "stopping": server.check_not_stopping,
    }
    found = {}
    for name, check in checks.items():
        try:
            check()
            found[name] = "ok"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            found[name] = type(error).__name__
    good = all(outcome == "ok" for outcome in found.values())
    return json_answer({"status": "ok" if good else "unavailable", "checks": found}, 200 if good else 503)
