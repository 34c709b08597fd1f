"""What is held is given out whole, and what is deleted is nowhere: the raw files are searched for it."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete

from pixr.library import Library
from pixr.server.database import now
from pixr.server.models import Delivery, DeliveryAttempt, Event
from pixr.server.pictures import pictures_name
from pixr.server.privacy import deletion, export, files, holdings
from pixr.server.state import ServerState
from tests.python.server.conftest import POSTGRES
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.receiver import wait_until

MARKER = "zyxmarkerqwv"


@pytest.fixture
def marked(acme: Partner, server: ServerState) -> Partner:
    """Acme with a video of the user `usr_9`, whose every text, upload and picture has a marker."""
    batch = pa.record_batch({"video_id": ["marked"], "start": [0.0], "end": [4.0], "speech": [f"spoken {MARKER}"]})
    video: dict[str, Any] = {
        "id": "marked",
        "title": f"Title {MARKER}",
        "duration": 4.0,
        "creator": {"id": "usr_9", "name": MARKER},
        "metadata": {"note": MARKER},
    }
    with server.libraries.writing(acme.organization) as library:
        library.add_segments(batch, videos=[video])
    begun = acme.post(
        "/v1/videos/upload/init",
        json={"filename": f"{MARKER}.mp4", "size": 100, "metadata": {"title": MARKER, "creator": {"id": "usr_9"}}},
    ).json()
    sent = acme.call(
        "PATCH",
        begun["uploadUrl"].removeprefix(server.settings.base_url),
        content=MARKER.encode(),
        headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    assert sent.status_code == 204, sent.text
    pictures = server.videos.pictures_of(acme.organization, "marked")
    pictures.mkdir(parents=True)
    (pictures / "0-320.webp").write_bytes(f"RIFF {MARKER}".encode())
    inspector = acme.post("/v1/webhooks/inspector", json={}).json()["inspectorId"]
    told = {"type": "video.uploaded", "data": {"videoId": begun["videoId"], "filename": f"{MARKER}.mp4"}}
    assert acme.client.post(f"/v1/webhooks/inspector/{inspector}/receive", json=told).status_code == 200
    # A search of somebody else's shows the video; its words are not the user's.
    assert acme.post("/v1/search", json={"query": "spoken"}).json()["results"]
    return acme


def opened(partner: Partner, **query: str) -> zipfile.ZipFile:
    answer = partner.get("/v1/export", params=query)
    assert answer.status_code == 200
    return zipfile.ZipFile(io.BytesIO(answer.content))


def files_with(marker: str, *places: Path) -> list[Path]:
    return [
        path for place in places for path in place.rglob("*") if path.is_file() and marker.encode() in path.read_bytes()
    ]


def test_an_export_has_everything_and_no_secret(marked: Partner, tmp_path: Path) -> None:
    archive = opened(marked)
    names = archive.namelist()
    assert {"library/videos.jsonl", "library/library.parquet", "database/api_keys.jsonl"} <= set(names)
    assert any(name.startswith("files/uploads/") for name in names)
    videos = [json.loads(line)["videoId"] for line in archive.read("library/videos.jsonl").splitlines()]
    assert sorted(videos) == ["boat", "marked", "roof"]
    assert pq.read_table(io.BytesIO(archive.read("library/library.parquet"))).num_rows >= 4
    (key,) = [json.loads(line) for line in archive.read("database/api_keys.jsonl").splitlines()]
    assert key["id"] == marked.key
    assert not {"secret_hash", "previous_hash"} & set(key)


def test_an_export_has_what_belongs_to_the_organization_as_a_part_of_something(
    marked: Partner, server: ServerState
) -> None:
    """What inspectors received, how webhooks were answered, the organization itself and receipts were left out."""
    server.courier.close()  # or it attempts the delivery as well
    marked.post("/v1/privacy/deletions", json={"scope": "user", "userId": "usr_none"})
    marked.post("/v1/webhooks/endpoints", json={"url": "https://example.com/h"})
    marked.delete("/v1/videos/boat")
    with server.database.write() as session:
        delivery = session.query(Delivery).one().id
        session.add(DeliveryAttempt(delivery_id=delivery, at=now(), milliseconds=1.0, request_headers={}))
    archive = opened(marked)

    def rows(table: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in archive.read(f"database/{table}.jsonl").splitlines()]

    assert MARKER.encode() in base64.b64decode(rows("inspector_requests")[0]["body"])
    assert [row["delivery_id"] for row in rows("delivery_attempts")] == [delivery]
    assert [row["id"] for row in rows("organizations")] == [marked.organization]
    assert [row["receipt"]["scope"] for row in rows("privacy_receipts")] == ["user"]


def test_a_file_that_goes_meanwhile_ends_neither_export_nor_deletion(
    marked: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are dropped when there are many, uploads expire: what was listed and then gone was an internal error."""
    listed = files.files_of_organization

    def goes(home: Path) -> list[Path]:
        found = listed(home)
        found[0].unlink()
        return found

    for module in (files, export, deletion):
        monkeypatch.setattr(module, "files_of_organization", goes, raising=False)
    assert sum(name.startswith("files/") for name in opened(marked).namelist()) == 1
    asked = {"scope": "organization", "confirm": marked.organization}
    receipt = marked.post("/v1/privacy/deletions", json=asked)
    assert (receipt.status_code, receipt.json()["files"]["count"]) == (200, 0)


@pytest.mark.parametrize("told", [True, False])
def test_an_export_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing(
    marked: Partner, server: ServerState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """It was an internal error, and what was written of it kept the disk full: the file was closed some time later.

    The disk says beforehand that it is full, or not before it is.
    """
    (server.libraries.home(marked.organization) / "uploads" / "large").write_bytes(random.randbytes(4 << 20))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = deleted_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if told:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
    try:
        refused = marked.get("/v1/export")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (refused.status_code, code_of(refused)) == (507, "INSUFFICIENT_STORAGE")
    assert deleted_files() == before
    assert not list(tmp_path.glob("pixr-export-*"))


def test_what_an_export_left_that_was_killed_with_its_server_is_removed_by_the_next(
    marked: Partner, server: ServerState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the whole library stayed in the temporary directory, for anybody's backup of it."""
    killed = """
import os, signal, sys
from pixr.server.privacy import export
from pixr.server.settings import load_settings
from pixr.server.state import build_state

export.export = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
state = build_state(load_settings(data=sys.argv[1], database=sys.argv[2]))
export.write_export(state.database, state.libraries, sys.argv[3])
"""
    settings = server.settings
    place = tmp_path / "temporary"
    place.mkdir()
    command = [sys.executable, "-c", killed, str(settings.data_directory), settings.database_url, marked.organization]
    ended = subprocess.run(command, check=False, env=os.environ | {"TMPDIR": str(place)})
    assert ended.returncode == -signal.SIGKILL
    assert len(list(place.glob("pixr-export-*"))) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    opened(marked)
    assert not list(place.glob("pixr-export-*"))


def test_exports_of_one_organization_hold_nobody_up(
    listen: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many as there are threads that serve all requests held up everyone, who could not even show credentials."""
    live, gate, at_work = listen(), threading.Event(), list[str]()

    def slow(*arguments: Any, **options: Any) -> IO[bytes]:
        at_work.append("export")
        gate.wait()
        return export.write_export(*arguments, **options)

    monkeypatch.setattr("pixr.server.routes.privacy.write_export", slow)
    with httpx.Client(base_url=live.url, headers=live.headers, timeout=60) as client, ThreadPoolExecutor(45) as many:
        asked = [many.submit(client.get, "/v1/export") for _ in range(45)]
        try:
            wait_until(lambda: len(at_work) == 2)
            for method, path in (("GET", "/v1/videos"), ("POST", "/v1/search")):
                body = {"query": "solar"} if method == "POST" else None
                assert httpx.request(method, live.url + path, headers=live.headers, json=body, timeout=5).is_success
            assert len(at_work) == 2
        finally:
            gate.set()
        assert [one.result().status_code for one in asked] == [200] * 45


def test_users_with_more_videos_than_a_database_takes_parameters_are_given_out_and_deleted(
    marked: Partner, server: ServerState
) -> None:
    """Both were an internal error: past 65,535 videos on PostgreSQL, past 32,766 or 250,000 on SQLite."""
    server.search_log.flush()
    count = 260_000
    videos = [f"v{number:06}" for number in range(count)] + ["marked"]
    home = server.libraries.home(marked.organization)
    kinds = {path.parent.name for path in files.files_of_videos(server.database, home, marked.organization, videos)}
    assert kinds == {pictures_name("marked")}
    with server.database.write() as session:
        gone = {
            table.name: session.execute(delete(table).where(condition)).rowcount  # type: ignore[attr-defined]
            for table, condition in holdings.of_user(marked.organization, "usr_9", videos)
        }
    assert gone["search_appearances"] == 1


def deleted_files() -> list[str]:
    """Files that this process holds open and that have no name any more."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    return sorted(link for link in links if link.endswith("(deleted)"))


def test_an_export_names_models_but_not_the_server_s_folders(marked: Partner, server: ServerState) -> None:
    choice = server.libraries.path(marked.organization) / "encoders.json"
    for names, told in ((["clip"], True), (["clip", "/srv/models/clap"], False)):
        choice.write_text(json.dumps({"encoders": names, "precision": "auto"}))
        parquet = opened(marked).read("library/library.parquet")
        assert (b"pixr.encoders" in parquet, b"/srv/models" in parquet) == (told, False)


def test_an_export_about_a_user_has_nothing_of_others(marked: Partner) -> None:
    archive = opened(marked, userId="usr_9")
    texts = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    assert MARKER in archive.read("library/segments.jsonl").decode()
    assert "Solar" not in texts
    assert "Sailing" not in texts
    for kind in ("uploads", "pictures"):
        assert any(name.startswith(f"files/{kind}/") for name in archive.namelist()), kind


def test_what_is_deleted_of_a_user_is_in_no_file(marked: Partner, server: ServerState, tmp_path: Path) -> None:
    """Pictures lie in directories named by a hash, and were passed over: a deleted user's thumbnails stayed."""
    assert files_with(MARKER, tmp_path)
    receipt = marked.post("/v1/privacy/deletions", json={"scope": "user", "userId": "usr_9"}).json()
    assert (receipt["library"]["videos"], receipt["library"]["segments"]) == (1, 1)
    assert (receipt["files"]["uploads"], receipt["files"]["pictures"], receipt["files"]["count"]) == (1, 1, 2)
    assert receipt["rows"]["videos"] == receipt["rows"]["uploads"] == receipt["rows"]["inspector_requests"] == 1
    assert marked.get("/v1/privacy/receipts").json()["receipts"] == [receipt]
    assert code_of(marked.get("/v1/videos/marked")) == "VIDEO_NOT_FOUND"
    assert {video["videoId"] for video in marked.get("/v1/videos").json()["videos"]} == {"boat", "roof"}
    if POSTGRES is None:  # whose files are not this test's to read
        assert [str(path) for path in files_with(MARKER, tmp_path)] == []
    with server.database.read() as session:
        (told,) = [event for event in session.query(Event) if event.type == "privacy.deleted"]
    assert told.data == {"receiptId": receipt["receiptId"], "videos": 1}


def test_an_organization_can_be_deleted_whole_by_whoever_names_it(
    marked: Partner, join: Callable[..., Partner], server: ServerState, tmp_path: Path
) -> None:
    other = join("Other")
    refused = marked.post("/v1/privacy/deletions", json={"scope": "organization", "confirm": "org_wrong"})
    assert code_of(refused) == "INVALID_REQUEST"
    receipt = marked.post("/v1/privacy/deletions", json={"scope": "organization", "confirm": marked.organization})
    assert receipt.status_code == 200
    assert receipt.json()["library"]["videos"] == 3
    assert marked.get("/v1/videos").status_code == 401
    assert not server.libraries.home(marked.organization).exists()
    if POSTGRES is None:
        assert [str(path) for path in files_with(MARKER, tmp_path)] == []
    assert other.get("/v1/videos").status_code == 200


@pytest.mark.parametrize("everything", [False, True])
def test_a_deletion_that_a_crash_cut_short_is_finished_by_whoever_asks_again(
    marked: Partner, server: ServerState, tmp_path: Path, everything: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows went first, with them what says whose a file is, and the keys: files stayed that nobody could delete."""
    asked = {"scope": "user", "userId": "usr_9"}
    if everything:
        asked = {"scope": "organization", "confirm": marked.organization}
    with monkeypatch.context() as broken:
        broken.setattr(Library, "compact", no_room)
        assert marked.post("/v1/privacy/deletions", json=asked).status_code == 500
    assert marked.post("/v1/privacy/deletions", json=asked).status_code == 200
    assert files_with(MARKER, tmp_path / "data") == []


def no_room(library: Library) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(library.path))


def test_only_administrators_export_and_delete(join: Callable[..., Partner]) -> None:
    reader = join(scopes=["videos.read", "videos.write", "search"])
    assert code_of(reader.get("/v1/export")) == "INSUFFICIENT_SCOPE"
    assert code_of(reader.post("/v1/privacy/deletions", json={"scope": "user", "userId": "x"})) == "INSUFFICIENT_SCOPE"


def test_what_is_wrong_with_a_deletion_is_said_in_our_words(acme: Partner) -> None:
    answer = acme.post("/v1/privacy/deletions", json={"scope": "user"})
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")
    assert answer.json()["detail"] == "userId goes with the scope user, and only with it"
