"""Runs the server: prepares the database and the first keys, prints its address, and answers until it has to stop."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from pixr.server.metrics_directory import claim_metrics_directory
from pixr.server.patience import PatientProtocol
from pixr.server.processing.pool import WorkerPool
from pixr.server.settings import Settings

__all__ = ["app_of_environment", "first_start", "serve", "settings_of_environment"]

_OBJECTS_BEFORE_COLLECTION = 20_000
# The variable through which worker processes get the settings.
SETTINGS_VARIABLE = "PIXR_SERVER_SETTINGS"


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Requests under way are finished first.

    Raises:
        OSError: the address is taken.
    """
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    if settings.workers + settings.ingest_workers > 1:
        _share_metrics(settings.data_directory)
    listening = _listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    print(first_start(settings), flush=True)
    os.environ[SETTINGS_VARIABLE] = settings.model_dump_json()
    # This handler acts before uvicorn sets its own and after it restores this one, so that no worker is left behind.
    signal.signal(signal.SIGTERM, _end)
    workers = WorkerPool(settings.ingest_workers)
    workers.start()
    try:
        _answer(settings, listening)
    finally:
        workers.stop(settings.shutdown_timeout)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - how it is called
    sys.exit(0)


def _answer(settings: Settings, listening: socket.socket) -> None:
    uvicorn.run(
        "pixr.server.serve:app_of_environment",
        factory=True,
        http=PatientProtocol,
        fd=listening.fileno(),
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_timeout),
        h11_max_incomplete_event_size=64 << 10,
        ws_max_size=settings.max_body_bytes,
    )


def app_of_environment() -> FastAPI:
    """The application of this process, by the settings that `serve` wrote into the environment."""
    from pixr.server.app import create_app
    from pixr.server.logs import configure_logging
    from pixr.server.state import build_state
    from pixr.server.tracing import start_tracing

    settings = settings_of_environment()
    configure_logging(settings.log_level)
    start_tracing(settings, "api")
    app = create_app(build_state(settings), owns_process=True)
    # A page of results is a thousand objects. By default Python's collector would look through them twice for garbage,
    # and now and then through everything that was ever loaded. None of that is garbage, and there are few cycles.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    return app


def settings_of_environment() -> Settings:
    """The settings that `serve` wrote into the environment of the processes that it starts."""
    return Settings.model_validate_json(os.environ[SETTINGS_VARIABLE])


def first_start(settings: Settings) -> str:
    """The line that says where the server is. At the very first start it has the keys, which are never shown again."""
    from pixr.server.database import Database
    from pixr.server.keys import create_key
    from pixr.server.models import Organization
    from pixr.server.organizations import first_organization

    line = f"pixr: serving {settings.library or settings.data} at {settings.base_url}"
    database = Database(settings.database_url)
    try:
        database.migrate()
        with database.write() as session:
            if session.scalar(select(func.count()).select_from(Organization)):
                return line
            owner = first_organization(session, settings)
            live, live_secret = create_key(session, owner.id, name="first live key", environment="live")
            test, test_secret = create_key(session, owner.id, name="first test key", environment="test")
    finally:
        database.close()
    return (
        f"{line} · organization {owner.id} · live key {live.id} secret {live_secret}"
        f" · test key {test.id} secret {test_secret} (shown this once)"
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit this. uvicorn mistakes the socket's family, so its event loop would not set it. Without it the
    # body, which is written after the headers, would come 40 ms late in all but the first answer of a connection.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.bind((host, port))
    listening.listen(2048)
    listening.set_inheritable(True)
    return listening


def _share_metrics(directory: Path) -> None:
    """Let the metrics of several processes add up. Call it before any metric is made."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(claim_metrics_directory(directory))
    if "pixr.server.metrics" in sys.modules:
        raise RuntimeError("metrics were made before their directory was known")
