"""Videos are processed in the background, by processes that may die."""

from __future__ import annotations

import http.server
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from pixr.ingest import video as video_run
from pixr.progress import Progress
from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.models import Event, VideoRecord
from pixr.server.outbound import resolve
from pixr.server.processing.fetch import fetch
from pixr.server.processing.queue import Queue
from pixr.server.processing.worker import IndexingEncoders, Worker, _Job
from pixr.server.state import ServerState
from tests.python.clips import make_clip
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner, code_of
from tests.python.server.test_uploads import begin, send

pytest.importorskip("av")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of two seconds with two shots."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", ["one", "two"], seconds=1.0).read_bytes()


ENCODERS = IndexingEncoders(None)


def worker_of(server: ServerState, **changes: Any) -> Worker:
    settings = server.settings.model_copy(update={"speech": False, "screen": False} | changes)
    return Worker(settings, server.database, server.libraries, ENCODERS)


def uploaded(partner: Partner, content: bytes, **metadata: Any) -> str:
    upload = begin(partner, len(content), metadata=metadata)
    assert send(partner.client, upload, 0, content).status_code == 204
    return str(upload["videoId"])


def events(server: ServerState) -> list[str]:
    with server.database.read() as session:
        return [event.type for event in session.scalars(select(Event).order_by(Event.sequence))]


def test_a_video_that_failed_is_tried_again_on_request(acme: Partner, server: ServerState, clip: bytes) -> None:
    id = uploaded(acme, b"this is no video at all", title="Broken")
    assert worker_of(server).work_once()
    assert acme.get(f"/v1/videos/{id}").json()["status"] == "failed"
    with server.database.read() as session:
        file = session.get_one(VideoRecord, id).file
    assert file is not None
    (server.libraries.home(acme.organization) / file).write_bytes(clip)  # the operator mended it
    assert acme.post(f"/v1/videos/{id}/retry").json()["status"] == "queued"
    assert worker_of(server).work_once()
    assert acme.get(f"/v1/videos/{id}").json()["status"] == "completed"
    for other, status in ((id, 409), ("roof", 409), ("nobody", 404)):
        assert acme.post(f"/v1/videos/{other}/retry").status_code == status


def test_an_uploaded_video_is_processed_found_and_reported_by_events(
    acme: Partner, server: ServerState, clip: bytes
) -> None:
    id = uploaded(acme, clip, title="Two colours", tags=["test"], pixInvestment=7)
    assert worker_of(server).work_once()
    video = acme.get(f"/v1/videos/{id}").json()
    assert (video["status"], video["progress"], video["failure"]) == ("completed", 1.0, None)
    assert (video["duration"], video["quality"], video["resolutions"]) == (2.0, "sd", ["240p"])
    assert video["segments"]["count"] == video["segments"]["analyzed"] >= 2
    found = acme.post("/v1/search", json={"query": "two colours", "modes": ["text"]}).json()
    assert [result["videoId"] for result in found["results"]] == [id]
    assert events(server) == ["video.uploaded", "video.processing", "video.processed"]
    with server.database.read() as session:
        told = session.scalars(select(Event).where(Event.type == "video.processed")).one().data
    assert told["pixInvested"] == 7
    assert told["segments"] == video["segments"]
    assert not worker_of(server).work_once()


def test_a_broken_file_is_a_failed_video_with_a_reason(acme: Partner, server: ServerState) -> None:
    id = uploaded(acme, b"this is no video" * 100)
    assert worker_of(server).work_once()
    video = acme.get(f"/v1/videos/{id}").json()
    assert video["status"] == "failed"
    assert video["failure"]["code"] == "UNREADABLE_VIDEO"
    assert str(server.settings.data_directory) not in video["failure"]["detail"]
    assert events(server)[-1] == "video.failed"
    assert acme.delete(f"/v1/videos/{id}").status_code == 204


def test_a_video_that_is_too_long_is_refused(acme: Partner, server: ServerState, clip: bytes) -> None:
    id = uploaded(acme, clip)
    worker_of(server, max_video_seconds=1.0).work_once()
    assert "longer than 1 s" in acme.get(f"/v1/videos/{id}").json()["failure"]["detail"]
    listed = acme.get("/v1/videos", params={"status": "completed"}).json()["videos"]
    assert [video["videoId"] for video in listed] == ["boat", "roof"]


def test_the_file_of_what_was_deleted_beside_the_server_goes_when_the_server_is_asked(
    acme: Partner, server: ServerState, clip: bytes
) -> None:
    id = uploaded(acme, clip)
    assert worker_of(server).work_once()
    with server.libraries.writing(acme.organization) as library:
        library.delete(id)
    kept = server.libraries.home(acme.organization) / "uploads"
    assert acme.get(f"/v1/videos/{id}").status_code == 404
    assert list(kept.iterdir())
    assert acme.delete(f"/v1/videos/{id}").status_code == 204
    assert not list(kept.iterdir())


def test_what_is_changed_while_it_is_processed_counts(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = uploaded(acme, clip, title="before")
    worker = worker_of(server)
    index = worker._index

    def changed(*arguments: Any) -> Any:
        outcome = index(*arguments)
        assert acme.patch(f"/v1/videos/{id}", json={"title": "after"}).status_code == 200
        return outcome

    monkeypatch.setattr(worker, "_index", changed)
    worker.work_once()
    assert acme.get(f"/v1/videos/{id}").json()["title"] == "after"


class Killed(BaseException):
    """The worker ends where it is, as `kill -9` ends it."""


def test_what_is_changed_while_it_is_processed_is_there_when_the_worker_dies_just_after(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored after the video was complete: a worker killed in between lost what had been acknowledged.

    A quality was lost in any case, for that found by looking at the video took its place.
    """
    id = uploaded(acme, clip, title="before")
    worker = worker_of(server)
    index, complete = worker._index, Queue.complete

    def changed(*arguments: Any) -> Any:
        changes = {"title": "after", "quality": "mine", "metadata": {"room": 12}}
        assert acme.patch(f"/v1/videos/{id}", json=changes).status_code == 200
        return index(*arguments)

    def killed(*arguments: Any) -> None:
        complete(*arguments)
        raise Killed

    monkeypatch.setattr(worker, "_index", changed)
    monkeypatch.setattr(Queue, "complete", killed)
    with pytest.raises(Killed):
        worker.work_once()
    video = acme.get(f"/v1/videos/{id}").json()
    assert (video["status"], video["title"]) == ("completed", "after")
    assert (video["quality"], video["metadata"]) == ("mine", {"room": 12})


def test_a_worker_that_wakes_after_another_has_finished_its_video_leaves_it(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that was suspended just after a video was stored deleted it when it went on, though it was complete."""
    id = uploaded(acme, clip, title="lighthouse")
    worker, other = worker_of(server), worker_of(server)
    other.id = "other"
    index = worker._index

    def suspended(*arguments: Any) -> Any:
        outcome = index(*arguments)
        with server.database.write() as session:
            session.get_one(VideoRecord, id).lease_expires = now() - timedelta(seconds=1)
        assert other.work_once()
        return outcome

    monkeypatch.setattr(worker, "_index", suspended)
    worker.work_once()
    assert acme.get(f"/v1/videos/{id}").json()["status"] == "completed"
    found = acme.post("/v1/search", json={"query": "lighthouse", "modes": ["text"]}).json()["results"]
    assert [hit["videoId"] for hit in found] == [id]


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_a_video_that_is_cancelled_or_deleted_while_processed_is_not_found(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    id = uploaded(acme, clip, title="gone")
    worker = worker_of(server)
    index = worker._index

    def stopped(*arguments: Any) -> Any:
        outcome = index(*arguments)
        done = acme.post(f"/v1/videos/{id}/cancel") if way == "cancel" else acme.delete(f"/v1/videos/{id}")
        assert done.status_code in (200, 204), done.text
        return outcome

    monkeypatch.setattr(worker, "_index", stopped)
    worker.work_once()
    video = acme.get(f"/v1/videos/{id}")
    if way == "cancel":
        assert (video.json()["status"], video.json()["failure"]["code"]) == ("failed", "CANCELLED")
        assert code_of(acme.post(f"/v1/videos/{id}/cancel")) == "CONFLICT"
    else:
        assert video.status_code == 404
    assert acme.post("/v1/search", json={"query": "gone", "modes": ["text"]}).json()["results"] == []


def test_what_was_deleted_is_not_stored_again_by_the_worker_that_has_it(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks once a second; what it stored in between was in the library for good, of a video that was gone."""
    id = uploaded(acme, clip, title="gone")
    monkeypatch.setattr(video_run, "_INTERIM_SECONDS", 0.0)
    indexed, seen = _Job.indexed, itertools.count()

    def deleted(job: _Job, progress: Progress) -> None:
        if progress.stage == "visual":
            if next(seen) == 0:
                assert acme.delete(f"/v1/videos/{id}").status_code == 204
                return  # and what was seen so far is stored
            time.sleep(1.5)  # until the worker has looked
        indexed(job, progress)

    monkeypatch.setattr(_Job, "indexed", deleted)
    worker_of(server).work_once()
    assert next(seen) > 0
    assert acme.get(f"/v1/videos/{id}").status_code == 404
    assert acme.post("/v1/search", json={"query": "gone", "modes": ["text"]}).json()["results"] == []


def test_a_server_that_is_restarted_costs_a_video_none_of_its_attempts(
    acme: Partner, server: ServerState, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that took longer than from one restart to the next failed at the third, with nothing wrong with it."""
    id = uploaded(acme, clip)
    index, workers = Worker._index, []

    def stopped(worker: Worker, video: VideoRecord, path: Path, job: _Job) -> Any:
        workers.append(worker)
        if len(workers) <= 4:
            worker.stopping.set()
            time.sleep(1.2)  # until the worker has looked
        return index(worker, video, path, job)

    monkeypatch.setattr(Worker, "_index", stopped)
    for _ in range(5):
        worker_of(server).work_once()
    assert len(workers) == 5, "each took it up at once"
    assert acme.get(f"/v1/videos/{id}").json()["status"] == "completed"
    assert events(server) == ["video.uploaded", "video.processing", "video.processed"]


def test_a_dead_workers_video_is_claimed_again_and_given_up_after_some_deaths(
    acme: Partner, server: ServerState, clip: bytes
) -> None:
    id = uploaded(acme, clip)
    queue = Queue(server.database, most_attempts=2)

    def lose() -> None:
        with server.database.write() as session:
            session.get_one(VideoRecord, id).lease_expires = now() - timedelta(seconds=1)

    assert queue.claim("first") is not None
    assert queue.claim("second") is None, "its lease holds"
    lose()
    assert queue.claim("second") is not None
    assert not queue.renew(id, "first", 0.5, 0), "it is another's now"
    assert queue.complete(id, "first", {}) is None
    lose()
    assert queue.claim("third") is None
    assert acme.get(f"/v1/videos/{id}").json()["failure"]["code"] == "WORKER_LOST"
    assert events(server) == ["video.uploaded", "video.processing", "video.failed"]


@pytest.mark.parametrize("status", ["processing", "queued"])
def test_a_clock_that_is_set_back_keeps_no_video_waiting(
    acme: Partner, server: ServerState, clip: bytes, status: str
) -> None:
    """A video whose worker was killed, or that was to be tried again, waited for a day if that was set back."""
    id = uploaded(acme, clip)
    queue = Queue(server.database, most_attempts=5)
    assert queue.claim("first") is not None
    if status == "queued":
        queue.fail(id, "first", "internal", "a disk that is full", final=False)

    def set_back(by: timedelta) -> None:
        with server.database.write() as session:
            video = session.get_one(VideoRecord, id)
            assert video.status == status
            name = "lease_expires" if status == "processing" else "not_before"
            setattr(video, name, getattr(video, name) + by)

    set_back(timedelta(seconds=20))
    assert queue.claim("second") is None, "clocks may differ a little"
    set_back(timedelta(days=1))
    assert queue.claim("second") is not None


def test_one_video_does_not_wait_for_all_of_another_organization(
    acme: Partner, join: Callable[..., Partner], server: ServerState, clip: bytes
) -> None:
    """Oldest first over all: who uploaded one video behind a thousand waited for a thousand."""
    first, second, third = (uploaded(acme, clip) for _ in range(3))
    other = join()
    alone = uploaded(other, clip)
    queue = Queue(server.database, most_attempts=2)
    claimed = [queue.claim(f"worker {number}") for number in range(5)]
    assert [one.id if one else None for one in claimed] == [first, alone, second, third, None]


def test_one_worker_serves_organizations_in_turns(
    acme: Partner, server: ServerState, join: Callable[..., Partner]
) -> None:
    """With one worker nothing is being processed when it looks for the next, so it took the oldest of all."""
    partners = {partner.organization: partner for partner in (acme, join("Second"), join("Third"))}
    for partner, many in zip(partners.values(), (4, 2, 1), strict=True):
        for _ in range(many):
            uploaded(partner, b"no video")
    worker, ended = worker_of(server, ingest_attempts=1), list[str]()
    while worker.work_once():
        with server.database.read() as session:
            done = session.scalars(select(VideoRecord).where(VideoRecord.finished.is_not(None)))
            ended.append(max(done, key=lambda one: str(one.finished)).organization_id)
    first, second, third = partners
    assert ended == [first, second, third, first, second, first, first]


def test_a_long_poll_answers_when_something_changes(acme: Partner, server: ServerState, clip: bytes) -> None:
    id = uploaded(acme, clip)
    timer = threading.Timer(0.3, lambda: Queue(server.database, 3).claim("w"))
    timer.start()
    assert acme.get(f"/v1/videos/{id}", params={"wait": 30}).json()["status"] == "processing"
    timer.join()
    assert acme.get(f"/v1/videos/{id}", params={"wait": 0.1}).json()["status"] == "processing"


@contextmanager
def elsewhere(pages: dict[str, tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """A web server of someone else's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = pages[self.path]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{there.server_address[1]}"
        there.shutdown()


def test_a_video_is_fetched_from_a_url_through_redirects(
    start: Callable[..., TestClient], join: Callable[..., Partner], clip: bytes
) -> None:
    made = join()
    partner = Partner(start(allowed_networks=["127.0.0.0/8"]), made.organization, made.key, made.secret)
    server = state_of(partner.client)
    pages = {
        "/moved": (302, {"Location": "/clip.mp4"}, b""),
        "/clip.mp4": (200, {}, clip),
        "/inside": (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""),
        "/missing": (404, {}, b""),
        "/broken": (500, {}, b""),
    }
    with elsewhere(pages) as url:
        ids = {}
        for name in ("moved", "inside", "missing", "broken"):
            asked = partner.post("/v1/videos", json={"url": f"{url}/{name}", "metadata": {"title": name}})
            assert asked.status_code == 202, asked.text
            assert asked.json()["status"] == "queued"
            ids[name] = asked.json()["videoId"]
            assert asked.headers["location"] == f"{server.settings.base_url}/v1/videos/{ids[name]}"
            assert worker_of(server).work_once()
    shown = {name: partner.get(f"/v1/videos/{id}").json() for name, id in ids.items()}
    assert shown["moved"]["status"] == "completed", shown["moved"]
    assert shown["inside"]["failure"]["code"] == "URL_REFUSED"
    assert "answered 404" in shown["missing"]["failure"]["detail"]
    assert shown["broken"]["status"] == "queued", "the other side may recover"


@pytest.mark.parametrize("looks", [0, 2], ids=["before", "meanwhile"])
def test_fetching_leaves_room_on_the_disk_and_nothing_behind(
    start: Callable[..., TestClient], join: Callable[..., Partner], monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """The disk is full from the start, or others fill it after so many looks."""
    made = join()
    partner = Partner(start(allowed_networks=["127.0.0.0/8"]), made.organization, made.key, made.secret)
    server, looked = state_of(partner.client), itertools.count()

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=(3 << 20) if next(looked) < looks else (1 << 20))

    with elsewhere({"/long.mp4": (200, {}, b"a" * (1 << 20))}) as url:
        id = partner.post("/v1/videos", json={"url": f"{url}/long.mp4"}).json()["videoId"]
        monkeypatch.setattr(shutil, "disk_usage", usage)
        assert worker_of(server, free_bytes=1 << 20).work_once()
    failed = partner.get(f"/v1/videos/{id}").json()
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "INSUFFICIENT_STORAGE")
    assert list((server.libraries.home(partner.organization) / "uploads").iterdir()) == []


@pytest.mark.parametrize("content", [b"no video", None])
def test_the_file_of_a_video_that_is_deleted_while_it_is_fetched_does_not_stay(
    start: Callable[..., TestClient],
    join: Callable[..., Partner],
    clip: bytes,
    content: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever deleted it found no file as yet, and nobody looked afterwards: it stayed for good."""
    made = join()
    partner = Partner(start(allowed_networks=["127.0.0.0/8"]), made.organization, made.key, made.secret)
    server = state_of(partner.client)

    def fetched(*arguments: Any, **options: Any) -> int:
        assert partner.delete(f"/v1/videos/{id}").status_code == 204
        return fetch(*arguments, **options)

    monkeypatch.setattr("pixr.server.processing.worker.fetch", fetched)
    with elsewhere({"/a.mp4": (200, {}, content or clip)}) as url:
        id = partner.post("/v1/videos", json={"url": f"{url}/a.mp4"}).json()["videoId"]
        assert worker_of(server).work_once()
    assert list((server.libraries.home(partner.organization) / "uploads").iterdir()) == []
    assert partner.get("/v1/videos").json()["videos"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[::127.0.0.1]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[fec0::1]/",
        "http://[fd00::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://user:secret@93.184.216.34/",
        "ftp://93.184.216.34/",
        "http:///nothing",
        "http://a:99999999/",
        "http://0.0.0.0/",
    ],
)
def test_urls_that_lead_inside_are_refused(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        resolve(url)
    assert refused.value.code == "URL_REFUSED"


def test_a_checked_address_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a public address first and to a private one later gains nothing: it is asked once."""
    answers = iter(["93.184.216.34", "10.0.0.1"])
    monkeypatch.setattr(
        "pixr.server.outbound.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), 443))]
    )
    target = resolve("https://rebinding.example/video.mp4?a=b")
    assert target.url == "https://93.184.216.34/video.mp4?a=b"
    assert target.headers == {"Host": "rebinding.example"}
    assert target.extensions == {"sni_hostname": "rebinding.example"}


def test_a_url_of_a_private_address_is_refused_when_asked(acme: Partner) -> None:
    refused = acme.post("/v1/videos", json={"url": "http://169.254.169.254/latest"})
    assert (refused.status_code, code_of(refused)) == (422, "URL_REFUSED")


def test_files_of_a_deleted_video_are_gone(acme: Partner, server: ServerState, clip: bytes) -> None:
    id = uploaded(acme, clip)
    worker_of(server).work_once()
    uploads = server.libraries.home(acme.organization) / "uploads"
    assert [file for file in uploads.iterdir() if file.stat().st_size == len(clip)]
    acme.delete(f"/v1/videos/{id}")
    assert list(uploads.iterdir()) == []
