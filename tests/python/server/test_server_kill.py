"""`kill -9` of a server under load, and its end by SIGTERM: what was acknowledged is there, once.

Uploads by tus, processing, webhooks and idempotent requests go on through every kill, as clients do that try again. Two
kills with every run of the tests; `PIXR_FAULTS=fast` 10, `slow` 50.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.python.clips import make_clip
from tests.python.server.receiver import Receiver, receiving, wait_until

pytest.importorskip("av")

KILLS = {"fast": 10, "slow": 50}.get(os.environ.get("PIXR_FAULTS", ""), 2)
UPLOADS = {"fast": 10, "slow": 50}.get(os.environ.get("PIXR_FAULTS", ""), 3)
COMMAND = [sys.executable, "-c", "from pixr.cli import main; main()", "serve"]
PIECE_BYTES = 6000
TUS = {"Tus-Resumable": "1.0.0"}


class Server:
    """`pixr serve` as a process, on one port and one data directory through all its lives."""

    def __init__(self, data: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers: dict[str, str] = {}
        self.errors = data.with_name("errors.log")
        self._data = data
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        settings = {
            "PIXR_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
            "PIXR_DEFAULT_PLAN": "enterprise",
            "PIXR_SPEECH": "false",
            "PIXR_SCREEN": "false",
            "PIXR_INGEST_ATTEMPTS": "20",  # so many workers die here that a video could be given up as harmful
            "PIXR_LOG_LEVEL": "error",
        }
        with self.errors.open("a") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "--data", str(self._data), "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **settings},
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if found := re.findall(r"(pk_live_\w+) secret (sk_live_\w+)", line):
            self.headers = {"X-API-Key": found[0][0], "X-API-Secret": found[0][1]}
        wait_until(self._answers, 120)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/live", timeout=5).status_code == 200
        return False

    def kill(self, *, workers: bool) -> None:
        """`workers`: those who process videos die at the same instant, in place of noticing it."""
        assert self._process is not None
        if workers:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(120)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data")
    yield made
    if made._process is not None and made._process.poll() is None:
        made.kill(workers=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Client:
    """Uploads a file, whatever becomes of the server meanwhile, and remembers what it was told."""

    def __init__(self, server: Server, number: int, content: bytes, ended: threading.Event) -> None:
        self.begun: list[dict[str, Any]] = []
        self.acknowledged = 0
        self.offsets_lost: list[tuple[int, int]] = []
        self.done = False
        self._server = server
        self._number = number
        self._content = content
        self._ended = ended

    def run(self) -> None:
        upload = self._insist(self._begin)
        while upload is not None and not self._ended.is_set():
            with contextlib.suppress(httpx.TransportError):
                if self._send(upload["uploadUrl"]):
                    self._insist(self._begin)  # an answer kept for a day is the same after every kill
                    self.done = True
                    return
            time.sleep(0.1)

    def _insist(self, ask: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        while not self._ended.is_set():
            with contextlib.suppress(httpx.TransportError):
                if (answer := ask()) is not None:
                    return answer
            time.sleep(0.1)
        return None

    def _begin(self) -> dict[str, Any] | None:
        headers = self._server.headers | {"Idempotency-Key": f"upload-{self._number}"}
        body = {"filename": f"{self._number}.mp4", "size": len(self._content)}
        answer = httpx.post(f"{self._server.url}/v1/videos/upload/init", json=body, headers=headers, timeout=30)
        if answer.status_code in (409, 503):  # the one before is still held, or the server is on its way down
            return None
        assert answer.status_code == 201, answer.text
        self.begun.append(answer.json())
        return self.begun[-1]

    def _send(self, url: str) -> bool:
        with httpx.Client(timeout=30) as client:
            offset = int(client.head(url, headers=TUS).headers["upload-offset"])
            if offset < self.acknowledged:
                self.offsets_lost.append((self.acknowledged, offset))
            while offset < len(self._content):
                headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                answer = client.patch(url, content=self._content[offset : offset + PIECE_BYTES], headers=headers)
                if answer.status_code != 204:
                    assert answer.status_code in (409, 423, 503), answer.text
                    return False
                offset = self.acknowledged = int(answer.headers["upload-offset"])
        return True


def test_nothing_acknowledged_is_lost_or_doubled_by_kills_under_load(
    server: Server, receiver: Receiver, tmp_path: Path
) -> None:
    chance = random.Random(int(os.environ.get("PIXR_FAULTS_SEED", "1")))
    content = make_clip(tmp_path / "clip.mp4", ["one", "two"], seconds=1.0).read_bytes()
    server.start()
    endpoint = {"url": receiver.url, "eventTypes": ["video.uploaded", "video.processed", "video.failed"]}
    made = httpx.post(f"{server.url}/v1/webhooks/endpoints", json=endpoint, headers=server.headers, timeout=60)
    assert made.status_code == 201
    ended = threading.Event()
    clients = [Client(server, number, content + bytes([number]), ended) for number in range(UPLOADS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    try:
        for number, thread in enumerate(threads):
            thread.start()
            if number % max(1, UPLOADS // KILLS) == 0 and number // max(1, UPLOADS // KILLS) < KILLS:
                time.sleep(chance.uniform(0.2, 2.0))
                server.kill(workers=chance.random() < 0.5)
                server.start()
        wait_until(lambda: all(client.done for client in clients), 300)
        videos = {client.begun[0]["videoId"]: client for client in clients}
        wait_until(lambda: _processed(receiver, "video.processed") >= set(videos), 600)
        shown = httpx.get(f"{server.url}/v1/videos?limit=100", headers=server.headers, timeout=60).json()["videos"]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    for client in clients:
        assert client.offsets_lost == []
        assert len({json.dumps(answer, sort_keys=True) for answer in client.begun}) == 1, "one answer for one key"
    assert sorted(one["videoId"] for one in shown) == sorted(videos), "no upload is lost and none is doubled"
    assert {one["status"] for one in shown} == {"completed"}, shown
    assert {one["segments"]["count"] for one in shown} == {shown[0]["segments"]["count"]}
    for id, client in videos.items():
        (kept,) = server._data.glob(f"organizations/*/uploads/{client.begun[0]['uploadId']}")
        assert hashlib.sha256(kept.read_bytes()).digest() == hashlib.sha256(client._content).digest(), id
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for request in list(receiver.requests):
        event = json.loads(request.body)
        told[event["type"], event["data"]["videoId"]].add(request.headers["webhook-id"])
    assert set(told) == {(type, id) for type in ("video.uploaded", "video.processed") for id in videos}
    assert {len(ids) for ids in told.values()} == {1}, "delivered more than once, an event has the same id"


def test_a_worker_whose_server_is_dead_before_it_begins_ends(tmp_path: Path) -> None:
    """Importing takes a second; a server killed within it left a worker that took init for its parent, and stayed."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    settings = json.dumps({"data": str(tmp_path), "database": f"sqlite:///{tmp_path / 'server.db'}"})
    command = [sys.executable, "-m", "pixr.server.processing.worker", str(gone.pid)]
    done = subprocess.run(command, env={**os.environ, "PIXR_SERVER_SETTINGS": settings}, timeout=120, check=False)
    assert done.returncode == 0


def _processed(receiver: Receiver, type: str) -> set[str]:
    events = [json.loads(request.body) for request in list(receiver.requests)]
    return {event["data"]["videoId"] for event in events if event["type"] == type}


def test_a_server_that_is_told_to_stop_finishes_what_it_began(server: Server, tmp_path: Path) -> None:
    """SIGTERM while searches come in, an upload is half sent and somebody polls: all of these get their answer."""
    server.start()
    content = os.urandom(400_000)
    body = {"filename": "a.mp4", "size": len(content)}
    begun = httpx.post(f"{server.url}/v1/videos/upload/init", json=body, headers=server.headers, timeout=60).json()
    ended, searched, sent, polled = threading.Event(), [], [], []
    entered = threading.Barrier(4)

    def search() -> None:
        question = {"query": "harbour", "modes": ["text"]}
        entered.wait()
        while not ended.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{server.url}/v1/search", json=question, headers=server.headers, timeout=60)
                searched.append(answer.status_code)
                answer.json()

    def upload() -> None:
        def slowly() -> Iterator[bytes]:
            for at in range(0, len(content), 40_000):
                if at == 40_000:
                    entered.wait()
                yield content[at : at + 40_000]
                time.sleep(0.1)

        headers = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        sent.append(httpx.patch(begun["uploadUrl"], content=slowly(), headers=headers, timeout=60))

    def poll() -> None:
        entered.wait()
        video = f"{server.url}/v1/videos/{begun['videoId']}?wait=30"
        polled.append(httpx.get(video, headers=server.headers, timeout=60))

    threads = [threading.Thread(target=work) for work in (search, upload, poll)]
    for thread in threads:
        thread.start()
    entered.wait()
    wait_until(lambda: searched, 60)
    time.sleep(0.2)
    code = server.stop()
    ended.set()
    for thread in threads:
        thread.join()
    assert code in (0, -signal.SIGTERM), server.errors.read_text(encoding="utf8")
    assert set(searched) <= {200, 503}
    assert [answer.status_code for answer in sent] == [204], "the upload ended as if nothing had been"
    assert [answer.status_code for answer in polled] == [200]
    server.start()
    assert int(httpx.head(begun["uploadUrl"], timeout=60).headers["upload-offset"]) == len(content)
