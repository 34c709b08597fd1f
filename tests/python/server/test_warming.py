"""Models are loaded before the first search where they will be needed, and a server does without where it can't."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from pixr.errors import ModelNotFound
from pixr.server.state import ServerState
from pixr.server.warming import Warming
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner
from tests.python.server.receiver import wait_until

LOAD = "pixr.encoders.load.load_encoders"


def add_vectors(server: ServerState, organization: str) -> None:
    vectors = pa.array([[1.0, 0.0]], pa.list_(pa.float32()))
    batch = pa.record_batch({"video_id": ["roof"], "start": [0.0], "end": [5.0], "frame": vectors})
    with server.libraries.writing(organization) as library:
        library.add_segments(batch)


def test_models_are_loaded_once_before_the_first_search(
    acme: Partner,
    join: Callable[..., Partner],
    server: ServerState,
    start: Callable[..., TestClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[Any] = []

    def load(names: Any, options: Any) -> Any:
        loaded.append(names)
        return SimpleNamespace(all=())

    monkeypatch.setattr(LOAD, load)
    for organization in (acme.organization, join("Beta").organization):
        add_vectors(server, organization)
    assert loaded == []
    again = state_of(start())
    wait_until(lambda: loaded)
    assert len(loaded) == 1
    with again.libraries.reading(acme.organization) as library:
        library._encoders.loaded()
    assert len(loaded) == 1


def test_a_library_without_vectors_needs_no_models(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOAD, lambda *_: pytest.fail("nothing needs them"))
    assert not Warming(server).warm()
    assert acme.post("/v1/search", json={"query": "solar"}).json()["results"]


def test_models_that_cannot_be_loaded_are_logged_and_the_server_answers(
    acme: Partner,
    server: ServerState,
    start: Callable[..., TestClient],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_vectors(server, acme.organization)

    def fail(*_: Any) -> None:
        raise ModelNotFound("no such model")

    monkeypatch.setattr(LOAD, fail)
    with caplog.at_level(logging.WARNING, "pixr.server.warming"):
        client = start()
        wait_until(lambda: "could not be loaded" in caplog.text)
    assert client.get("/health/ready").status_code == 200
