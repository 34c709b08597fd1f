"""A server in this process for each test, on SQLite, or on PostgreSQL where `PIXR_TEST_DATABASE` names one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import create_engine, make_url, text
from starlette.testclient import TestClient

from pixr.server.app import create_app
from pixr.server.database import Base, Database
from pixr.server.ids import new_id
from pixr.server.keys import create_key
from pixr.server.organizations import create_organization
from pixr.server.settings import Settings, load_settings
from pixr.server.state import ServerState, build_state
from tests.python.server.live import Live
from tests.python.server.partner import Partner

POSTGRES = os.environ.get("PIXR_TEST_DATABASE")


def _on_postgres(url: str, statement: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with all tables: a file to copy, or a database of this run's own in PostgreSQL."""
    name = new_id("pixr_test")
    if POSTGRES is None:
        url = f"sqlite:///{tmp_path_factory.mktemp('migrated') / 'server.db'}"
    else:
        _on_postgres(POSTGRES, f'CREATE DATABASE "{name}"')
        url = make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    database.migrate()
    database.close()
    yield url
    if POSTGRES is not None:
        _on_postgres(POSTGRES, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(migrated: str, tmp_path: Path) -> str:
    """The URL of a database that holds nothing but its tables."""
    if POSTGRES is None:
        copy = tmp_path / "server.db"
        shutil.copy(migrated.removeprefix("sqlite:///"), copy)
        return f"sqlite:///{copy}"
    _on_postgres(migrated, f"TRUNCATE {', '.join(Base.metadata.tables)} CASCADE")
    return migrated


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Starts a server on the test's database and data directory; a second one finds what the first left."""
    running: list[TestClient] = []

    def started(**changes: Any) -> TestClient:
        settings: dict[str, Any] = {"data": tmp_path / "data", "database": database_url}
        settings |= {"failed_logins_per_second": 1000} | changes
        client = TestClient(create_app(build_state(load_settings(**settings))), raise_server_exceptions=False)
        client.__enter__()
        running.append(client)
        return client

    yield started
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def listen(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts a server that listens on a port, for clients that others wrote."""
    running: list[Live] = []

    def listening(**changes: Any) -> Live:
        live = Live.start({"data": tmp_path / "data", "database": database_url} | changes)
        running.append(live)
        return live

    yield listening
    for live in running:
        live.stop()


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    """A server of many organizations."""
    return start()


@pytest.fixture
def server(client: TestClient) -> ServerState:
    """The parts of `client`'s server."""
    return state_of(client)


def state_of(client: TestClient) -> ServerState:
    """The parts of a client's server."""
    state: ServerState = client.app.state.server  # type: ignore[attr-defined]
    return state


@pytest.fixture
def join(client: TestClient) -> Callable[..., Partner]:
    """Adds an organization with a key to `client`'s server."""

    def joined(name: str = "Acme", *, plan: str = "enterprise", **options: Any) -> Partner:
        state = state_of(client)
        with state.database.write() as session:
            organization = create_organization(session, name, plan)
            key, secret = create_key(session, organization.id, name="test", **options)
        return Partner(client, organization.id, key.id, secret)

    return joined


@pytest.fixture
def acme(join: Callable[..., Partner], server: ServerState) -> Partner:
    """An organization with two videos of three spoken or shown sentences."""
    partner = join()
    fill(server, partner.organization)
    return partner


def fill(server: ServerState, organization: str) -> None:
    """Put two videos with words on two channels into the organization's library; no model is needed to search them."""
    words = [("speech", pa.string()), ("screen", pa.string())]
    schema = pa.schema([("video_id", pa.string()), ("start", pa.float64()), ("end", pa.float64()), *words])
    batch = pa.record_batch(
        {
            "video_id": ["roof", "roof", "boat"],
            "start": [0.0, 5.0, 0.0],
            "end": [5.0, 10.0, 8.0],
            "speech": ["we mount the solar panels", "now the cables", "the harbour at dawn"],
            "screen": ["Solar panels", None, "Harbour"],
        },
        schema=schema,
    )
    videos: list[dict[str, Any]] = [
        {"id": "roof", "title": "Solar install", "duration": 10.0, "tags": ["diy"], "source": "/films/roof.mp4"},
        {"id": "boat", "title": "Sailing", "duration": 8.0, "tags": ["sea"], "metadata": {"year": 2020}},
    ]
    with server.libraries.writing(organization) as library:
        library.add_segments(batch, videos=videos)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, in a directory of the test's own."""
    return load_settings(data=tmp_path / "data")
