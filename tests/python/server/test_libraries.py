"""One organization's library, however long its disk takes, holds up no other organization."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pixr.encoder_choice import chosen, remember
from pixr.encoders.load import load_encoders
from pixr.server.state import ServerState
from tests.python.server.conftest import fill
from tests.python.server.partner import Partner, code_of

_SECONDS = 10


@contextmanager
def slow(library: Path) -> Iterator[None]:
    """A library whose files are not read before the block ends: its manifest is a pipe to which nobody writes."""
    manifest, aside = library / "MANIFEST", library / "MANIFEST.aside"
    manifest.rename(aside)
    os.mkfifo(manifest)
    try:
        yield
    finally:
        content = os.open(manifest, os.O_RDWR)  # whoever waits opens it now, and reads to its end
        aside.replace(manifest)
        os.close(content)


def test_a_library_that_is_slow_to_open_holds_up_no_other(
    acme: Partner, join: Callable[..., Partner], server: ServerState
) -> None:
    """It was opened under the lock of all libraries, so every request of every organization waited for it."""
    late = join("Late")
    fill(server, late.organization)
    assert [len(one.get("/v1/videos").json()["videos"]) for one in (acme, late)] == [2, 2]
    server.libraries.forget(late.organization)
    with ThreadPoolExecutor() as threads:
        with slow(server.libraries.path(late.organization)):
            waiting = [threads.submit(late.get, "/v1/videos") for _ in range(3)]
            with pytest.raises(Late):
                waiting[0].result(timeout=1)
            answers = [threads.submit(acme.get, path) for path in ("/v1/videos", "/v1/videos/roof", "/metrics")]
            assert [one.result(timeout=_SECONDS).status_code for one in answers] == [200, 200, 200]
            assert server.libraries.open_count() == 1
        told = {one.result(timeout=_SECONDS).status_code for one in waiting}
    assert told <= {200, 500}, "what was read of a pipe is no library, who comes later finds the file"
    assert len(late.get("/v1/videos").json()["videos"]) == 2


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/roof", "/v1/videos/roof/embed"])
def test_many_requests_for_a_slow_library_leave_threads_to_the_others(
    acme: Partner, join: Callable[..., Partner], server: ServerState, path: str
) -> None:
    """They filled the forty threads that serve all, and nobody else was answered before they were."""
    late = join("Late")
    fill(server, late.organization)
    server.libraries.forget(late.organization)
    with ThreadPoolExecutor(80) as threads:
        with slow(server.libraries.path(late.organization)):
            waiting = [threads.submit(late.get, path) for _ in range(60)]
            with pytest.raises(Late):
                waiting[-1].result(timeout=2)
            asked = ["/v1/videos", "/v1/videos/roof", "/v1/usage", "/v1/auth/keys", "/docs/errors"]
            answers = [threads.submit(acme.get, one) for one in asked]
            assert [one.result(timeout=_SECONDS).status_code for one in answers] == [200] * len(asked)
            assert threads.submit(late.get, "/v1/usage").result(timeout=_SECONDS).status_code == 200
        for one in waiting:
            one.result(timeout=_SECONDS)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/videos/roof/chapters", "/v1/videos/roof/thumbnail"])
def test_many_searches_and_pictures_of_a_slow_library_leave_threads_to_the_others(
    acme: Partner, join: Callable[..., Partner], server: ServerState, path: str
) -> None:
    """They filled the threads of their kind, and the first of anybody else waited until one of them ended."""

    def ask(who: Partner) -> int:
        body = {"query": "solar"} if path == "/v1/search" else {}
        answer = who.get(path) if path.endswith("thumbnail") else who.post(path, json=body)
        return int(answer.status_code)

    late = join("Late")
    fill(server, late.organization)
    usual = 409 if path.endswith("thumbnail") else 200  # 409: the library was asked, and the video has no file
    assert ask(acme) == usual
    server.libraries.forget(late.organization)
    many = server.settings.search_concurrency + 8
    with ThreadPoolExecutor(many + 1) as threads:
        with slow(server.libraries.path(late.organization)):
            waiting = [threads.submit(ask, late) for _ in range(many)]
            with pytest.raises(Late):
                waiting[-1].result(timeout=2)
            assert threads.submit(ask, acme).result(timeout=_SECONDS) == usual
        for one in waiting:
            one.result(timeout=_SECONDS)


def test_a_model_that_is_slow_to_load_holds_up_no_library_with_another(
    acme: Partner, join: Callable[..., Partner], server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All models were loaded under one lock, so whoever searched a library with any other waited for the slow one."""
    late = join("Late")
    for partner in (acme, late):
        vectors = pa.array([[1.0, 0.0]], pa.list_(pa.float32()))
        batch = pa.record_batch({"video_id": ["seen"], "start": [0.0], "end": [5.0], "frame": vectors})
        with server.libraries.writing(partner.organization) as library:
            library.add_segments(batch)
    remember(server.libraries.path(late.organization), chosen(["minilm", "concepts"], "auto"))
    read = threading.Event()

    def load(names: Any, options: Any) -> Any:
        if "minilm" in names:
            assert read.wait(_SECONDS)
        return load_encoders(names, options)

    monkeypatch.setattr("pixr.encoders.load.load_encoders", load)

    def search(partner: Partner) -> str:
        return code_of(partner.post("/v1/search", json={"query": "a roof", "modes": ["visual"]}))

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(search, late)
        with pytest.raises(Late):
            waiting.result(timeout=1)
        other = threads.submit(search, acme)
        try:
            assert other.result(timeout=_SECONDS / 2) == "SPACE_MISMATCH", "its models were loaded, and are not its own"
        finally:
            read.set()
        assert waiting.result(timeout=_SECONDS) == "SPACE_MISMATCH"


def test_a_library_that_could_not_be_opened_is_opened_by_the_next_who_asks(acme: Partner, server: ServerState) -> None:
    server.libraries.forget(acme.organization)
    manifest = server.libraries.path(acme.organization) / "MANIFEST"
    content = manifest.read_bytes()
    manifest.write_bytes(b"no manifest")
    for _ in range(2):
        assert code_of(acme.get("/v1/videos")) == "NOT_A_LIBRARY"
    assert server.libraries.open_count() == 0
    manifest.write_bytes(content)
    assert len(acme.get("/v1/videos").json()["videos"]) == 2
    assert server.libraries.open_count() == 1
