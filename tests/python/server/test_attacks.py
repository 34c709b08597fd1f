"""Requests of someone who means harm: each is refused with a code of its own, and changes nothing."""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from pixr.server.errors import ApiError
from pixr.server.libraries import MOST_WRITERS
from pixr.server.outbound import follow, resolve
from pixr.server.state import ServerState
from tests.python.server.conftest import fill, state_of
from tests.python.server.dripping import dripping
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.test_oauth import ask, register

TUS = {"Tus-Resumable": "1.0.0"}
# Each is something that `str.isdigit` or `int` would let through, or choke on.
NO_NUMBERS = ["-1", "+0", "0x10", " 1 1", "1_0", "1.0", "1e3", "²", "9" * 19, "9" * 5000, ""]


def begun(partner: Partner, size: int = 10) -> tuple[str, str]:
    upload = partner.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": size}).json()
    return upload["uploadId"], "/v1/videos" + upload["uploadUrl"].partition("/v1/videos")[2]


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_offsets_and_lengths_that_are_no_numbers_are_refused(acme: Partner, number: str) -> None:
    written = number.encode("latin-1")
    piece = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": written}
    _, path = begun(acme)
    assert code_of(acme.patch(path, content=b"x", headers=piece)) == "INVALID_REQUEST"
    assert acme.call("HEAD", path).headers["upload-offset"] == "0"
    created = acme.post("/v1/videos/upload/tus", headers={**TUS, "Upload-Length": written})
    assert code_of(created) == "INVALID_REQUEST"


@pytest.mark.parametrize("offset", ["1", "9", "10", "11", "9" * 18])
def test_an_upload_has_no_gaps_and_no_bytes_past_its_end(acme: Partner, server: ServerState, offset: str) -> None:
    id, path = begun(acme)
    piece = {**TUS, "Content-Type": "application/offset+octet-stream"}
    assert code_of(acme.patch(path, content=b"x", headers=piece | {"Upload-Offset": offset})) == (
        "UPLOAD_OFFSET_MISMATCH"
    )
    longer = acme.patch(path, content=b"x" * 11, headers=piece | {"Upload-Offset": "0"})
    assert code_of(longer) == "PAYLOAD_TOO_LARGE"
    assert acme.call("HEAD", path).headers["upload-offset"] == "0"
    assert (server.libraries.home(acme.organization) / "uploads" / id).stat().st_size == 0


@pytest.mark.parametrize("position", ["²", "9" * 5000, "-1", "x"])
def test_a_place_in_a_stream_that_is_none_is_a_stale_one(acme: Partner, position: str) -> None:
    snapshot = acme.post("/v1/search", json={"query": "solar"}).json()["snapshot"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": f"{snapshot}:{position}".encode("latin-1")}
    answer = acme.post("/v1/search", json={"query": "solar"}, headers=headers)
    assert (answer.status_code, code_of(answer)) == (410, "CURSOR_EXPIRED")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/etc/shadow", "shadow"),
        ("a/../../b.mp4", "b.mp4"),
        ("bad\x00name\r\nX-Evil: 1.mp4", "badnameX-Evil: 1.mp4"),
        ("..", ".."),
    ],
)
def test_a_file_name_is_shown_and_no_path_is_made_of_it(
    acme: Partner, server: ServerState, tmp_path: Path, name: str, shown: str
) -> None:
    """By both ways of beginning an upload; every file lies under a name of the server's own."""
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    first = acme.post("/v1/videos/upload/init", json={"filename": name, "size": 3}).json()
    given = f"filename {base64.b64encode(name.encode()).decode()}"
    second = acme.post("/v1/videos/upload/tus", headers={**TUS, "Upload-Length": "3", "Upload-Metadata": given})
    assert second.status_code == 201
    ids = {first["uploadId"], urlsplit(second.headers["location"]).path.rpartition("/")[2]}
    home = server.libraries.home(acme.organization)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path for path in made if "server.db" not in path.name} == {home / "uploads" / id for id in ids}
    from sqlalchemy import select

    from pixr.server.models import VideoRecord

    with server.database.read() as session:
        assert set(session.scalars(select(VideoRecord.filename))) == {shown}


def png_of(width: int, height: int) -> bytes:
    """A picture of one colour that is a thousand times smaller than what it decodes to."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width + 1) * min(height, 200)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(acme: Partner) -> None:
    bomb = png_of(60_000, 60_000)
    assert len(bomb) < 1 << 20
    refused = acme.post("/v1/search/file", files={"image": bomb}, data={"request": '{"modes": ["visual"]}'})
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_QUERY")


def test_a_packed_body_is_not_unpacked(acme: Partner) -> None:
    """There is no way to send a body that grows: what is packed is no JSON."""
    packed = gzip.compress(b'{"query": "' + b"a" * 50_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert code_of(acme.post("/v1/search", content=packed, headers=headers)) == "INVALID_REQUEST"


def test_json_that_is_nested_too_deeply_is_refused(acme: Partner) -> None:
    for body in (b'{"filters":' * 50_000 + b"1" + b"}" * 50_000, b'{"query": ' + b"[" * 200_000):
        answer = acme.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")
    nested: dict[str, Any] = {"query": "a"}
    for _ in range(200):
        nested = {"query": "a", "then": nested}
    assert acme.post("/v1/search", json=nested).status_code == 422


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.com/\r\nSet-Cookie: a=b",
        "https://app.example.com/ä",
        "https://[",
        "https:///nothing",
        "javascript:alert(1)",
        "https://app.example.com/#fragment",
        "http://localhost.evil.example/",
    ],
)
def test_an_address_that_would_break_out_of_its_header_is_not_registered(acme: Partner, uri: str) -> None:
    body = {"name": "app", "redirectUris": [uri], "scopes": ["search"]}
    assert code_of(acme.post("/v1/auth/clients", json=body)) == "INVALID_REQUEST"


def test_a_state_that_would_break_out_of_its_header_stays_in_it(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post)
    refused = ask(acme.client, registered, state="x\r\nSet-Cookie: stolen=1", code_challenge=None)
    assert refused.status_code == 302
    assert "set-cookie" not in refused.headers
    assert "\r" not in refused.headers["location"]
    assert "\n" not in refused.headers["location"]


def test_no_header_of_a_request_makes_one_of_an_answer(listen: Callable[..., Live]) -> None:
    """Bare carriage returns, folded lines and control letters, sent as they are over a socket."""
    live = listen()
    parts = urlsplit(live.url)
    credentials = "".join(f"{name}: {value}\r\n" for name, value in live.headers.items())
    for evil in ("a\rX-Evil: 1", "a\r\n X-Evil: 1", "a\x00X-Evil: 1", "a\x0bX-Evil: 1", "a\nX-Evil: 1"):
        for name in ("X-Request-Id", "Upload-Metadata", "Idempotency-Key", "Tus-Resumable", "Origin"):
            with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as connection:
                connection.settimeout(20)
                request = f"POST /v1/videos/upload/tus HTTP/1.1\r\nHost: x\r\n{credentials}Upload-Length: 5\r\n"
                request += f"{name}: {evil}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                connection.sendall(request.encode("latin-1"))
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
            status = int(answer.split()[1])
            assert status < 500, (name, evil, answer)
            headers = answer.partition(b"\r\n\r\n")[0].lower().splitlines()
            assert not [line for line in headers if line.startswith(b"x-evil")], (name, evil, answer)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The lengths of everything that is compared in constant time."""
    seen: list[tuple[int, int]] = []
    original = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        seen.append((len(one), len(other)))
        return original(one, other)

    monkeypatch.setattr("hmac.compare_digest", watched)
    return seen


def test_secrets_are_compared_in_constant_time_whether_the_key_is_known_or_not(
    acme: Partner, compared: list[tuple[int, int]]
) -> None:
    """As many comparisons of as many bytes for a key that exists, for one that does not, and wherever they differ."""
    ways = []
    almost = acme.secret[:-1] + ("a" if acme.secret[-1] != "a" else "b")
    for key, secret in ((acme.key, "x"), (acme.key, almost), ("pk_live_unknown", acme.secret)):
        compared.clear()
        answer = acme.client.get("/v1/videos", headers={"X-API-Key": key, "X-API-Secret": secret})
        assert code_of(answer) == "INVALID_API_KEY"
        ways.append(list(compared))
    assert ways == [[(32, 32)]] * 3


def test_guessing_the_secrets_of_clients_is_slowed_too(
    start: Callable[..., TestClient], join: Callable[..., Partner]
) -> None:
    made = join()
    client = start(failed_logins_per_second=0.05)
    partner = Partner(client, made.organization, made.key, made.secret)
    registered = register(partner.headers, client.post)
    form = {"grant_type": "client_credentials", "scope": "search", "client_id": registered["clientId"]}
    for path in ("token", "revoke", "introspect"):
        guesses = [
            client.post(f"/v1/auth/{path}", data=form | {"client_secret": "guess", "token": "x"}) for _ in range(4)
        ]
        assert (guesses[-1].status_code, code_of(guesses[-1])) == (429, "RATE_LIMITED")
        assert int(guesses[-1].headers["retry-after"]) >= 1
    right = client.post("/v1/auth/token", data=form | {"client_secret": registered["secret"]})
    assert right.status_code == 200, "whoever knows the secret is not locked out by those who do not"


@pytest.mark.parametrize(
    "url",
    ["http://[", "http://[::1", "http://a:b/", "http://\u2100.example/", "http://8.8.8.8/\x01", "http://8.8.8.8/\x7f"],
)
def test_what_is_no_url_is_refused_and_not_an_error_of_the_server(acme: Partner, url: str) -> None:
    assert code_of(acme.post("/v1/videos", json={"url": url})) == "URL_REFUSED"
    assert code_of(acme.post("/v1/search", json={"image": {"url": url}})) == "URL_REFUSED"
    with pytest.raises(ApiError) as refused:
        resolve(follow("https://example.com/", url))
    assert refused.value.code == "URL_REFUSED"


def test_a_name_server_that_does_not_answer_holds_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = threading.Event()
    monkeypatch.setattr("pixr.server.outbound.socket.getaddrinfo", lambda *_, **__: silence.wait(30))
    monkeypatch.setattr("pixr.server.outbound.LOOKUP_SECONDS", 0.05)
    try:
        with pytest.raises(ApiError, match="not resolved within") as refused:
            resolve("https://slow.example/clip.mp4")
    finally:
        silence.set()
    assert refused.value.code == "URL_REFUSED"


def test_links_to_slow_servers_hold_up_no_other_search(
    start: Callable[..., TestClient], acme: Partner, join: Callable[..., Partner]
) -> None:
    """A dozen of these kept each search of all others waiting for half a minute, or later each that had a link."""
    client = start(allowed_networks=["127.0.0.0/8"], search_concurrency=1, search_queue=8)
    made = join("Stranger")
    stranger = Partner(client, made.organization, made.key, made.secret)
    mine = Partner(client, acme.organization, acme.key, acme.secret)
    assert mine.post("/v1/search", json={"query": "solar"}).status_code == 200
    with dripping() as url, ThreadPoolExecutor(20) as pool:
        question = {"image": {"url": f"{url}/body"}}
        slow = [pool.submit(stranger.post, "/v1/search", json=question) for _ in range(20)]
        time.sleep(0.5)
        begun = time.monotonic()
        assert mine.post("/v1/search", json={"query": "solar"}).status_code == 200
        nobody_listens = {"image": {"url": "http://127.0.0.1:9/roof.png"}}
        assert code_of(mine.post("/v1/search", json=nobody_listens)) == "UNREADABLE_VIDEO"
        assert time.monotonic() - begun < 5, "a link may take ten seconds"
        assert not any(one.done() for one in slow)
        assert {code_of(one.result()) for one in slow} == {"UNREADABLE_VIDEO"}


def test_names_that_are_slow_to_look_up_hold_up_no_other_request(
    start: Callable[..., TestClient], acme: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads that serve waited for them, all forty, and every request with these."""
    mine = Partner(start(), acme.organization, acme.key, acme.secret)
    silence = threading.Event()
    monkeypatch.setattr("pixr.server.outbound.socket.getaddrinfo", lambda *_, **__: silence.wait(30) and [])
    with ThreadPoolExecutor(50) as pool:
        asked = {"url": "https://slow.example/clip.mp4"}
        slow = [pool.submit(mine.post, "/v1/videos", json=asked) for _ in range(50)]
        time.sleep(1.0)
        begun = time.monotonic()
        assert mine.get("/v1/videos").status_code == 200
        assert time.monotonic() - begun < 2, "a name may take five seconds"
        assert not any(one.done() for one in slow)
        silence.set()


def test_writers_of_one_organization_leave_threads_to_others(
    acme: Partner, server: ServerState, join: Callable[..., Partner]
) -> None:
    """All forty threads waited for the library of one, and every other organization for these: twenty seconds."""
    stranger = join("Stranger")
    assert stranger.get("/v1/videos").status_code == 200
    with ThreadPoolExecutor(60) as pool:
        with server.libraries.writing(acme.organization):
            asked = {"description": "changed"}
            writers = [pool.submit(acme.patch, "/v1/videos/roof", json=asked) for _ in range(60)]
            time.sleep(1.0)
            begun = time.monotonic()
            assert stranger.get("/v1/videos").status_code == 200
            assert time.monotonic() - begun < 2
        answers = [one.result() for one in writers]
    written = [one for one in answers if one.status_code == 200]
    refused = [one for one in answers if one.status_code != 200]
    assert len(written) >= MOST_WRITERS - 1, "those that could wait had their turn"
    assert {(one.status_code, code_of(one), one.headers["retry-after"]) for one in refused} == {
        (503, "LIBRARY_LOCKED", "1")
    }


def test_a_webhook_is_sent_to_the_address_that_was_checked(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is public when the endpoint is made, and leads inside when the event is sent."""
    endpoint = acme.post("/v1/webhooks/endpoints", json={"url": "http://rebinding.example/hook"}).json()
    monkeypatch.setattr(
        "pixr.server.outbound.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("169.254.169.254", 80))]
    )
    sent = acme.post(f"/v1/webhooks/endpoints/{endpoint['endpointId']}/test", json={}).json()
    from tests.python.server.receiver import wait_until

    path = f"/v1/webhooks/deliveries/{sent['deliveryId']}"
    wait_until(lambda: acme.get(path).json()["history"])
    (attempt,) = acme.get(path).json()["history"]
    assert attempt["statusCode"] is None
    assert "not public" in attempt["error"]


def test_cursors_of_searches_and_deliveries_can_not_be_made_or_moved(
    acme: Partner, join: Callable[..., Partner]
) -> None:
    stranger = join("Stranger")
    fill(state_of(acme.client), stranger.organization)
    question = {"query": "solar harbour", "minScore": 0.0, "pagination": {"limit": 1}}
    cursor = acme.post("/v1/search", json=question).json()["pagination"]["nextCursor"]
    assert cursor is not None
    forged = [cursor[:-2] + "AA", cursor[::-1], base64.b64encode(b'{"offset":1}').decode(), "x", "é", "0" * 4000]
    for one in forged:
        page = {**question, "pagination": {"limit": 1, "cursor": one}}
        answer = acme.post("/v1/search", json=page)
        assert (answer.status_code, code_of(answer)) == (400, "INVALID_CURSOR"), one
    other = {**question, "query": "solar", "pagination": {"limit": 1, "cursor": cursor}}
    assert acme.post("/v1/search", json=other).status_code == 400
    mine = {**question, "pagination": {"limit": 1, "cursor": cursor}}
    theirs = stranger.post("/v1/search", json=mine)
    assert theirs.status_code in (400, 410), "a cursor of one organization opens nothing of another"
    listed = acme.get("/v1/videos", params={"limit": 1}).json()["pagination"]["nextCursor"]
    for path in ("/v1/videos", "/v1/webhooks/deliveries"):
        for one in ("x", "a.b.c", listed[:-1], json.dumps(["z"])):
            assert code_of(acme.get(path, params={"cursor": one})) == "INVALID_CURSOR"
    assert code_of(stranger.get("/v1/videos", params={"cursor": listed})) == "INVALID_CURSOR"
