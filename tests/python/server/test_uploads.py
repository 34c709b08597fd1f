"""Uploads by tus 1.0.0."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from tusclient.client import TusClient

from pixr.server import uploads
from pixr.server.app import create_app
from pixr.server.database import now
from pixr.server.models import Event, Upload, VideoRecord
from pixr.server.state import ServerState
from tests.python.server.conftest import POSTGRES, state_of
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.receiver import wait_until

PIECE = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}
BYTES = bytes(range(256)) * 40


def begin(partner: Partner, size: int = len(BYTES), **options: Any) -> Any:
    answer = partner.post("/v1/videos/upload/init", json={"filename": "roof.mp4", "size": size} | options)
    assert answer.status_code == 201, answer.text
    return answer.json()


def path_of(upload: Any) -> str:
    return "/" + str(upload["uploadUrl"]).split("/", 3)[3]


def send(client: TestClient, upload: Any, offset: int, piece: bytes, **headers: str) -> Any:
    return client.patch(path_of(upload), content=piece, headers=PIECE | {"Upload-Offset": str(offset)} | headers)


def test_tuspy_uploads_a_file_and_its_video_waits_to_be_processed(listen: Callable[..., Live], tmp_path: Path) -> None:
    live = listen()
    file = tmp_path / "roof.mp4"
    file.write_bytes(os.urandom(3_000_000))
    client = TusClient(f"{live.url}/v1/videos/upload/tus", headers=live.headers)
    uploader = client.uploader(
        str(file), chunk_size=1 << 20, metadata={"filename": "roof.mp4", "title": "Solar"}, upload_checksum=True
    )
    uploader.upload()
    with live.state.database.read() as session:
        video = session.scalars(select(VideoRecord)).one()
        assert (video.status, video.title, video.filename) == ("queued", "Solar", "roof.mp4")
        assert [event.type for event in session.scalars(select(Event))] == ["video.uploaded"]
    kept = live.state.libraries.home(live.organization) / str(video.file)
    assert kept.read_bytes() == file.read_bytes()


def test_an_upload_goes_on_where_it_was_after_the_server_was_restarted(
    acme: Partner, start: Callable[..., TestClient]
) -> None:
    upload = begin(acme)
    assert send(acme.client, upload, 0, BYTES[:5000]).headers["upload-offset"] == "5000"
    again = start()
    told = again.head(path_of(upload), headers={"Tus-Resumable": "1.0.0"})
    assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("5000", str(len(BYTES)))
    assert told.headers["cache-control"] == "no-store"
    assert "upload-expires" in told.headers
    assert send(again, upload, 5000, BYTES[5000:]).headers["upload-offset"] == str(len(BYTES))
    assert acme.get(f"/v1/videos/{upload['videoId']}").json()["status"] == "queued"


def test_what_a_broken_connection_brought_is_kept(listen: Callable[..., Live]) -> None:
    """The client dies in the middle of a piece: the bytes that came are acknowledged to whoever asks next."""
    live = listen()
    partner = Partner(TestClient(create_app(live.state)), live.organization, *live.headers.values())
    upload = begin(partner, size=8 << 20)
    address = live.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        head = f"PATCH {path_of(upload)} HTTP/1.1\r\nHost: x\r\nContent-Length: {8 << 20}\r\nUpload-Offset: 0\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in PIECE.items())
        connection.sendall(head.encode() + b"\r\n" + b"x" * (3 << 20))
        time.sleep(0.2)
    received, deadline = 0, time.monotonic() + 20
    while received < 2 << 20 and time.monotonic() < deadline:
        time.sleep(0.05)
        with live.state.database.read() as session:
            received = session.get_one(Upload, upload["uploadId"]).received
    assert 2 << 20 <= received <= 3 << 20
    kept = live.state.libraries.home(live.organization) / f"uploads/{upload['uploadId']}"
    assert kept.read_bytes()[:received] == b"x" * received


def test_offsets_that_do_not_fit_change_nothing(acme: Partner) -> None:
    upload = begin(acme)
    send(acme.client, upload, 0, BYTES[:100])
    for offset in (0, 99, 101, len(BYTES)):
        refused = send(acme.client, upload, offset, BYTES[:10])
        assert (refused.status_code, code_of(refused)) == (409, "UPLOAD_OFFSET_MISMATCH")
    assert code_of(send(acme.client, upload, -1, b"")) == "INVALID_REQUEST"
    too_much = send(acme.client, upload, 100, BYTES)
    assert (too_much.status_code, code_of(too_much)) == (413, "PAYLOAD_TOO_LARGE")
    assert send(acme.client, upload, 100, BYTES[100:]).status_code == 204
    assert send(acme.client, upload, len(BYTES), b"").status_code == 204, "an end may be told twice"
    past = send(acme.client, upload, len(BYTES), b"more")
    assert (past.status_code, code_of(past)) == (413, "PAYLOAD_TOO_LARGE"), "bytes past the end were taken in silence"


def test_a_piece_that_is_not_what_its_checksum_says_is_thrown_away(acme: Partner) -> None:
    upload = begin(acme)
    right = base64.b64encode(hashlib.sha256(BYTES).digest()).decode()
    wrong = send(acme.client, upload, 0, BYTES[:-1] + b"?", **{"Upload-Checksum": f"sha256 {right}"})
    assert (wrong.status_code, code_of(wrong)) == (460, "UPLOAD_CHECKSUM_MISMATCH")
    assert code_of(send(acme.client, upload, 0, BYTES, **{"Upload-Checksum": "sha256 AA=="})) == "INVALID_REQUEST"
    unknown = send(acme.client, upload, 0, BYTES, **{"Upload-Checksum": "crc32 AAAAAA=="})
    assert (unknown.status_code, code_of(unknown)) == (400, "UPLOAD_CHECKSUM_UNSUPPORTED"), "as tus says"
    assert send(acme.client, upload, 0, BYTES, **{"Upload-Checksum": f"sha256 {right}"}).status_code == 204


def test_creation_takes_the_first_piece_and_options_name_the_extensions(acme: Partner) -> None:
    told = acme.call("OPTIONS", "/v1/videos/upload/tus")
    assert told.headers["tus-extension"] == "creation,creation-with-upload,expiration,checksum,termination"
    name = base64.b64encode(b"../../etc/passwd").decode()
    made = acme.post(
        "/v1/videos/upload/tus",
        content=BYTES[:7],
        headers=PIECE | {"Upload-Length": str(len(BYTES)), "Upload-Metadata": f"filename {name},is_private"},
    )
    assert (made.status_code, made.headers["upload-offset"]) == (201, "7")
    assert made.headers["location"].startswith("http")
    with state_of(acme.client).database.read() as session:
        assert session.get_one(VideoRecord, made.headers["x-video-id"]).filename == "passwd"


@pytest.mark.parametrize("encoded", [b"\xff\xff", b"a", b"/w=="])
def test_metadata_that_is_no_base64_of_text_is_refused(acme: Partner, encoded: bytes) -> None:
    """Letters that are not ASCII were an internal error."""
    given: Any = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": b"filename " + encoded}
    refused = acme.post("/v1/videos/upload/tus", headers=given)
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")


def test_other_versions_of_tus_are_refused(acme: Partner) -> None:
    refused = acme.post("/v1/videos/upload/tus", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "1"})
    assert (refused.status_code, refused.headers["tus-version"]) == (412, "1.0.0")


def test_every_answer_to_an_upload_names_the_version_of_tus(acme: Partner, client: TestClient) -> None:
    upload = begin(acme)
    answers = [
        send(acme.client, upload, 0, BYTES[:1]),
        send(acme.client, upload, 0, BYTES[:1]),
        acme.client.head(path_of(upload) + "x"),
        acme.call("HEAD", "/v1/videos/upload/tus/upl_x"),
        acme.post("/v1/videos/upload/tus", headers={"Upload-Length": "0"}),
        client.post("/v1/videos/upload/tus", headers=PIECE),
        acme.get("/v1/videos/upload/tus"),
    ]
    assert [one.status_code for one in answers] == [204, 409, 401, 404, 422, 401, 405]
    assert [one.headers.get("tus-resumable") for one in answers] == ["1.0.0"] * len(answers)


def test_a_post_stands_for_the_method_that_its_header_names(acme: Partner) -> None:
    """As tus asks, for surroundings without PATCH and DELETE: tus-js-client's `overridePatchMethod` was 405."""
    upload = begin(acme)

    def override(method: str, content: bytes = b"", **headers: str) -> Any:
        more = PIECE | {"X-HTTP-Method-Override": method, "Idempotency-Key": "one"} | headers
        return acme.client.post(path_of(upload), content=content, headers=more)

    assert override("PATCH", BYTES[:100], **{"Upload-Offset": "0"}).status_code == 204
    told = override("HEAD")
    assert (told.status_code, told.headers["upload-offset"], told.content) == (200, "100", b"")
    assert override("PATCH", BYTES[100:110], **{"Upload-Offset": "100"}).headers["upload-offset"] == "110"
    assert override("NONSENSE").status_code == override("GET").status_code == 405
    assert 'method="NONSENSE"' not in acme.client.get("/metrics").text
    assert override("DELETE").status_code == 204
    assert acme.client.head(path_of(upload)).status_code == 404
    listed = acme.post("/v1/videos", headers={"X-HTTP-Method-Override": "GET"}, json={})
    assert listed.status_code == 422, "of uploads alone"


def test_an_ended_or_expired_upload_is_gone_with_its_bytes(acme: Partner, server: ServerState) -> None:
    ended, late = begin(acme), begin(acme)
    assert acme.client.delete(path_of(ended)).status_code == 204
    assert acme.client.head(path_of(ended)).status_code == 404
    with server.database.write() as session:
        session.get_one(Upload, late["uploadId"]).expires = now() - timedelta(seconds=1)
    assert acme.client.head(path_of(late)).status_code == 410
    assert server.uploads.sweep() == 1
    assert list((server.libraries.home(acme.organization) / "uploads").iterdir()) == []
    assert code_of(acme.get(f"/v1/videos/{late['videoId']}")) == "VIDEO_NOT_FOUND"


def test_an_upload_is_deleted_outside_of_the_transaction_and_swept_if_that_breaks_off(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk held the writer's turn, and what broke off left an upload that went on without its file."""
    upload = begin(acme)
    file = server.libraries.home(acme.organization) / "uploads" / upload["uploadId"]
    wrote = threading.Event()

    def write() -> None:
        with server.database.write() as session:
            session.get_one(Upload, upload["uploadId"], with_for_update=True)
            wrote.set()

    def breaks_off(path: Path, **options: Any) -> None:
        delete(path, **options)
        if path == file:
            threading.Thread(target=write, daemon=True).start()
            wrote.wait(3)
            raise RuntimeError("the process ends here")

    delete = Path.unlink
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", breaks_off)
        assert acme.client.delete(path_of(upload)).status_code == 500
    assert wrote.is_set()
    assert acme.client.head(path_of(upload)).status_code == 410
    assert server.uploads.sweep() == 1
    assert acme.client.head(path_of(upload)).status_code == 404
    assert code_of(acme.get(f"/v1/videos/{upload['videoId']}")) == "VIDEO_NOT_FOUND"


def test_a_url_is_of_one_upload_and_needs_its_token(acme: Partner, join: Callable[..., Partner]) -> None:
    mine, other = begin(acme), begin(acme)
    swapped = path_of(mine).replace(mine["uploadId"], other["uploadId"])
    assert acme.client.head(swapped).status_code == 401
    assert acme.client.head(path_of(mine) + "x").status_code == 401
    assert acme.client.head(path_of(mine).partition("?")[0]).status_code == 401
    assert acme.call("HEAD", path_of(mine).partition("?")[0]).status_code == 200
    assert join("Stranger").call("HEAD", path_of(mine).partition("?")[0]).status_code == 404


def test_sizes_and_types_have_limits(start: Callable[..., TestClient], join: Callable[..., Partner]) -> None:
    partner = join()
    small = Partner(start(max_upload_bytes=100), partner.organization, partner.key, partner.secret)
    asked = {"filename": "a.mp4", "size": 101}
    assert code_of(small.post("/v1/videos/upload/init", json=asked)) == "PAYLOAD_TOO_LARGE"
    page = asked | {"size": 9, "contentType": "text/html"}
    assert code_of(small.post("/v1/videos/upload/init", json=page)) == "UNSUPPORTED_MEDIA"
    full = Partner(start(free_bytes=1 << 60), partner.organization, partner.key, partner.secret)
    refused = full.post("/v1/videos/upload/init", json=asked)
    assert (refused.status_code, code_of(refused)) == (507, "INSUFFICIENT_STORAGE")


def test_a_disk_that_fills_up_is_said_and_what_was_acknowledged_stays(
    acme: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(acme)
    send(acme.client, upload, 0, BYTES[:100])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr("pixr.server.uploads.os.fsync", full)
        refused = send(acme.client, upload, 100, BYTES[100:])
    assert (refused.status_code, code_of(refused)) == (507, "INSUFFICIENT_STORAGE")
    assert acme.client.head(path_of(upload)).headers["upload-offset"] == "100"
    assert send(acme.client, upload, 100, BYTES[100:]).status_code == 204


@pytest.mark.skipif(POSTGRES is None, reason="SQLite has one writer at a time, and the other waits")
def test_a_piece_of_an_upload_whose_video_is_deleted_meanwhile_is_a_conflict(
    acme: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an internal error."""
    upload = begin(acme)
    looks = itertools.count(1)

    def found(*arguments: Any) -> Upload:
        known = find(*arguments)
        if next(looks) == 3:  # to say that it is received
            assert acme.delete(f"/v1/videos/{upload['videoId']}").status_code == 204
        return known

    find = uploads._own
    monkeypatch.setattr(uploads, "_own", found)
    refused = send(acme.client, upload, 0, BYTES)
    assert (refused.status_code, code_of(refused)) == (409, "CONFLICT")
    assert acme.client.head(path_of(upload)).status_code == 404


def test_one_request_at_a_time_writes(acme: Partner, server: ServerState) -> None:
    upload = begin(acme)
    file = server.libraries.home(acme.organization) / "uploads" / upload["uploadId"]
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = send(acme.client, upload, 0, BYTES)
        assert (refused.status_code, code_of(refused)) == (423, "UPLOAD_LOCKED")
    assert send(acme.client, upload, 0, BYTES).status_code == 204


def test_a_piece_that_breaks_off_holds_nobody_up_while_the_database_is_busy(listen: Callable[..., Live]) -> None:
    """What it brought was acknowledged on the event loop, which waited there for whoever wrote to the database."""
    live = listen()
    with httpx.Client(base_url=live.url, headers=live.headers) as client:
        asked = {"filename": "roof.mp4", "size": 1 << 20}
        upload = client.post("/v1/videos/upload/init", json=asked).json()
        path, address = path_of(upload), (str(client.base_url.host), int(client.base_url.port or 0))
        with live.state.database.write() as session, socket.create_connection(address) as sent:
            session.get_one(Upload, upload["uploadId"], with_for_update=True)
            head = "".join(f"{name}: {value}\r\n" for name, value in (PIECE | {"Upload-Offset": "0"}).items())
            sent.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n{head}\r\n".encode())
            sent.sendall(b"a" * 1000)
            time.sleep(0.5)
            sent.close()
            time.sleep(0.5)
            assert client.get("/health/live", timeout=3).status_code == 200
        wait_until(lambda: client.head(path).headers["upload-offset"] == "1000")


@contextmanager
def slow(*files: Path) -> Iterator[None]:
    """Files that nobody opens to write before the block ends: the system holds up whoever does, under a lease."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # by which it asks for the lease
    held = [file.open("rb") for file in files]
    try:
        for one in held:
            fcntl.fcntl(one, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        yield
    finally:
        for one in held:
            one.close()
        signal.signal(signal.SIGIO, before)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="leases are of Linux")
def test_many_uploads_to_a_slow_disk_leave_threads_to_the_others(
    acme: Partner, join: Callable[..., Partner], server: ServerState
) -> None:
    """The first stopped the event loop, and with it the whole process; the rest would have filled its threads."""
    late = join("Late")
    begun = [begin(late) for _ in range(60)]
    files = server.libraries.home(late.organization) / "uploads"
    with ThreadPoolExecutor(80) as threads:
        with slow(*(files / upload["uploadId"] for upload in begun)):
            waiting = [threads.submit(send, late.client, upload, 0, BYTES) for upload in begun]
            with pytest.raises(Late):
                waiting[-1].result(timeout=2)
            asked = ["/health/live", "/v1/videos", "/v1/usage", "/v1/auth/keys", "/docs/errors"]
            answers = [threads.submit(acme.get, one) for one in asked]
            assert [one.result(timeout=10).status_code for one in answers] == [200] * len(asked)
            own = threads.submit(begin, acme).result(timeout=10)
            assert threads.submit(send, acme.client, own, 0, BYTES).result(timeout=10).status_code == 204
            assert threads.submit(late.get, "/v1/usage").result(timeout=10).status_code == 200
        assert [one.result(timeout=20).status_code for one in waiting] == [204] * len(begun)
