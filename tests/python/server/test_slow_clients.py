"""Clients that take their time are cut off, and cost nobody else anything. Real sockets on a listening server."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.python.server.conftest import fill
from tests.python.server.live import Live
from tests.python.server.partner import code_of

PATIENCE = 1.0


@pytest.fixture
def live(listen: Callable[..., Live]) -> Live:
    return listen(slow_client_seconds=PATIENCE)


def connect(live: Live) -> socket.socket:
    parts = urlsplit(live.url)
    connection = socket.create_connection((str(parts.hostname), int(parts.port or 0)))
    connection.settimeout(20)
    return connection


def head(live: Live, method: str, path: str, **more: object) -> bytes:
    headers = {"Host": "x", **live.headers, **{name.replace("_", "-"): value for name, value in more.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def drip(connection: socket.socket, piece: bytes, seconds: float) -> bytes:
    """Send a byte now and then until the other side has enough; what it said."""
    deadline = time.monotonic() + seconds
    connection.settimeout(0.1)
    got = b""
    while time.monotonic() < deadline:
        try:
            connection.sendall(piece)
            read = connection.recv(65536)
            if not read:
                return got
            got += read
        except TimeoutError:
            continue
        except OSError:
            return got
    raise AssertionError("the server still listens")


@pytest.mark.parametrize(
    "asked", [b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000]
)
def test_what_is_no_http_is_refused_in_the_form_of_all_errors(live: Live, asked: bytes) -> None:
    """It was told in plain text, without the id by which an operator could be asked about it."""
    answer = b""
    with connect(live) as connection, suppress(ConnectionResetError):
        connection.sendall(asked)
        while read := connection.recv(65536):
            answer += read
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert status == "HTTP/1.1 400 Bad Request"
    response = httpx.Response(400, headers=headers, content=body)
    assert code_of(response) == "MALFORMED_REQUEST"
    assert headers["connection"] == "close"


@pytest.mark.parametrize("line", [b"X-%d: " + b"a" * 8000 + b"\r\n", b"a" * 8000])
def test_headers_of_any_length_are_not_kept(listen: Callable[..., Live], line: bytes) -> None:
    """They were held in memory for as long as they came: gigabytes within the time that they had, by anybody."""
    with connect(listen()) as endless:
        endless.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: ")
        with suppress(OSError):  # the answer may come with the connection's end
            for number in range(2000):
                endless.sendall(line % number if b"%d" in line else line)
            endless.sendall(b"\r\n\r\n")
        with suppress(ConnectionResetError):
            assert b"200 OK" not in endless.recv(65536)
    with connect(listen()) as usual:
        usual.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 16_000 + b"\r\n\r\n")
        assert usual.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("first", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_never_end_are_not_waited_for(live: Live, first: bytes) -> None:
    with connect(live) as slow:
        slow.sendall(first)
        begun = time.monotonic()
        assert drip(slow, b"x" if first else b"", 15) == b""
        assert time.monotonic() - begun > PATIENCE / 2
    assert httpx.get(f"{live.url}/health/live").status_code == 200


def test_a_second_request_that_never_ends_is_not_waited_for_either(live: Live) -> None:
    with connect(live) as slow:
        slow.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += slow.recv(65536)
        assert b"200 OK" in answer
        slow.sendall(b"GET /health/live HTTP/1.1\r\n")
        assert drip(slow, b"x", 15) == b""


def test_a_body_that_trickles_is_answered_and_the_connection_closed(live: Live) -> None:
    with connect(live) as slow:
        slow.sendall(head(live, "POST", "/v1/search", Content_Type="application/json", Content_Length=1000))
        answer = drip(slow, b" ", 15)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"REQUEST_TIMEOUT"' in answer


def test_what_is_left_of_a_body_after_its_refusal_is_not_read_without_end(live: Live) -> None:
    with connect(live) as slow:
        slow.sendall(head(live, "POST", "/v1/search", Content_Type="application/json", Content_Length=10_000_000))
        answer = drip(slow, b" ", 15)
    assert answer.startswith(b"HTTP/1.1 413")


def test_an_upload_that_stalls_keeps_what_it_brought_and_goes_on(live: Live) -> None:
    """Also where less came than is written to disk at a time: a poor connection must get ahead."""
    content = bytes(range(256)) * 8
    begun = httpx.post(
        f"{live.url}/v1/videos/upload/init", json={"filename": "a.mp4", "size": len(content)}, headers=live.headers
    ).json()
    path = begun["uploadUrl"].removeprefix(live.url)
    piece = {"Tus_Resumable": "1.0.0", "Content_Type": "application/offset+octet-stream"}
    with connect(live) as slow:
        slow.sendall(head(live, "PATCH", path, Content_Length=len(content), Upload_Offset=0, **piece))
        slow.sendall(content[:700])
        assert b" 408 " in slow.recv(65536)
    offset = int(httpx.head(begun["uploadUrl"]).headers["upload-offset"])
    assert offset == 700
    rest = {name.replace("_", "-"): value for name, value in piece.items()} | {"Upload-Offset": str(offset)}
    assert httpx.patch(begun["uploadUrl"], content=content[offset:], headers=rest).status_code == 204
    kept = live.state.libraries.home(live.organization) / "uploads" / begun["uploadId"]
    assert hashlib.sha256(kept.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_an_answer_that_is_not_read_is_given_up(live: Live) -> None:
    """A stream larger than all buffers, and nobody who reads it: its connection ends, and the server's part of it."""
    fill(live.state, live.organization)
    body = json.dumps({"query": "solar panels", "minScore": 0.0}).encode()
    with connect(live) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = head(
            live,
            "POST",
            "/v1/search",
            Content_Type="application/json",
            Content_Length=len(body),
            Accept="text/event-stream",
        )
        deadline = time.monotonic() + 20
        try:
            while time.monotonic() < deadline:  # answers pile up until the server stops to read
                slow.sendall(request + body)
        except OSError:
            return
    raise AssertionError("the server still waits for its answers to be read")


def test_a_request_that_the_end_of_the_server_cuts_short_gets_an_answer_that_says_so(
    listen: Callable[..., Live],
) -> None:
    """It was an internal error in plain text, which nobody asks again after."""
    live = listen()
    asked = {"filename": "a.mp4", "size": 1000}
    upload = httpx.post(f"{live.url}/v1/videos/upload/init", json=asked, headers=live.headers).json()
    path = upload["uploadUrl"].removeprefix(live.url)
    piece = {"Tus-Resumable": "1.0.0", "Upload-Offset": 0, "Content-Type": "application/offset+octet-stream"}
    answer = b""
    with connect(live) as connection:
        connection.sendall(head(live, "PATCH", path, **{"Content-Length": 1000} | piece) + b"a" * 10)
        time.sleep(0.5)
        live.stop()
        while read := connection.recv(65536):
            answer += read
    first, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = first.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert code_of(httpx.Response(503, headers=headers, content=body)) == "UNAVAILABLE"
    assert headers["retry-after"] == "1"
