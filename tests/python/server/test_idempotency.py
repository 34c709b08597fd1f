"""A request under an idempotency key is carried out once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from pixr.server import idempotency
from pixr.server.database import now
from pixr.server.idempotency import sweep
from pixr.server.keys import create_key
from pixr.server.models import Delivery, Event, IdempotentRequest, Upload, VideoRecord
from pixr.server.sandbox.sandboxes import Sandboxes
from pixr.server.state import ServerState
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.receiver import wait_until

INIT = "/v1/videos/upload/init"
ASKED = {"filename": "a.mp4", "size": 10}


def init(partner: Partner, key: str = "once", **changes: Any) -> Any:
    return partner.post(INIT, json=ASKED | changes, headers={"Idempotency-Key": key})


def count(server: ServerState, table: Any) -> int:
    with server.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_answer_is_given_again_also_after_a_restart(
    acme: Partner, start: Callable[..., TestClient], server: ServerState
) -> None:
    first, second = init(acme), init(acme)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
    assert second.headers["content-type"] == first.headers["content-type"]
    restarted = Partner(start(), acme.organization, acme.key, acme.secret)
    assert init(restarted).content == first.content
    assert count(server, Upload) == count(server, VideoRecord) == 1
    assert init(acme, "another").json()["uploadId"] != first.json()["uploadId"]


def test_another_body_under_the_same_key_is_refused(acme: Partner) -> None:
    init(acme)
    reused = init(acme, size=11)
    assert (reused.status_code, code_of(reused)) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_form_is_the_same_whatever_boundary_its_parts_have(acme: Partner) -> None:
    """Clients choose one anew for each try, so every form that was sent again was refused as another."""

    def ask(boundary: str, *contents: bytes) -> Any:
        parts = zip(("image", "request"), contents, strict=True)
        lines = [
            b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="a"\r\n\r\n%b\r\n'
            % (boundary.encode(), name.encode(), content)
            for name, content in parts
        ]
        body = b"".join(lines) + b"--%b--\r\n" % boundary.encode()
        headers = {"Idempotency-Key": "once", "Content-Type": f'multipart/form-data; boundary="{boundary}"'}
        return acme.post("/v1/search/file", content=body, headers=headers)

    first, again = ask("one", b"no picture", b"{}"), ask("the other one", b"no picture", b"{}")
    assert (first.status_code, again.content, again.headers["idempotent-replayed"]) == (422, first.content, "true")
    for others in ((b"no picturE", b"{}"), (b"no picture--", b"{}"), (b"no picture{}", b""), (b"", b"no picture{}")):
        assert code_of(ask("one", *others)) == "IDEMPOTENCY_KEY_REUSED"


def test_keys_are_of_one_organization_and_one_route(acme: Partner, join: Callable[..., Partner]) -> None:
    mine, theirs = init(acme), init(join("Stranger"))
    assert mine.json()["uploadId"] != theirs.json()["uploadId"]
    made = acme.post("/v1/auth/keys", json={"name": "x"}, headers={"Idempotency-Key": "once"})
    assert made.status_code == 201


def test_a_kept_answer_is_not_for_whoever_lacks_the_scope(acme: Partner, server: ServerState) -> None:
    """A key's secret was told to any token of the organization that sent the request again, also one in a browser.

    The kept answer came before anything asked for scopes; by GraphQL too, where each field has its own.
    """
    named = {"Idempotency-Key": "once"}
    asked = {"name": "backend"}
    made = acme.post("/v1/auth/keys", json=asked, headers=named)
    assert made.json()["secret"]
    token = server.user_tokens.issue(acme.organization, "usr_1", ["search"], 60, None)
    browser = {"Authorization": f"Bearer {token}"} | named
    again = acme.client.post("/v1/auth/keys", json=asked, headers=browser)
    assert (again.status_code, code_of(again)) == (403, "INSUFFICIENT_SCOPE")
    if find_spec("strawberry") is not None:  # which has no release for Python 3.10
        hook = {"query": 'mutation { createWebhookEndpoint(input: {url: "https://example.com/h"}) { secret } }'}
        hooked = acme.post("/graphql", json=hook, headers=named)
        assert hooked.json()["data"]["createWebhookEndpoint"]["secret"]
        refused = acme.client.post("/graphql", json=hook, headers=browser).json()
        assert refused["errors"][0]["extensions"]["code"] == "INSUFFICIENT_SCOPE"
    # Other credentials that have the scope are told, as they are the same organization's.
    with server.database.write() as session:
        key, secret = create_key(session, acme.organization, name="other", scopes=["admin", "webhooks"])
    colleague = Partner(acme.client, acme.organization, key.id, secret)
    assert colleague.post("/v1/auth/keys", json=asked, headers=named).content == made.content


def test_of_two_requests_at_a_time_one_is_carried_out(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    begin = type(server.uploads).begin

    def slow(*arguments: Any, **options: Any) -> Any:
        entered.set()
        gate.wait(20)
        return begin(*arguments, **options)

    monkeypatch.setattr(type(server.uploads), "begin", slow)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(init(acme)))
    first.start()
    assert entered.wait(20)
    meanwhile = init(acme)
    assert (meanwhile.status_code, code_of(meanwhile)) == (409, "IDEMPOTENCY_IN_FLIGHT")
    assert meanwhile.headers["retry-after"] == "1"
    gate.set()
    first.join()
    assert answers[0].status_code == 201
    assert init(acme).content == answers[0].content


def test_a_request_that_takes_long_is_not_carried_out_by_another_meanwhile(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key was held for a minute, whatever was done under it: a deletion that took longer was begun a second time."""
    monkeypatch.setattr(idempotency, "HELD", timedelta(seconds=0.8))
    begun: list[float] = []
    begin = type(server.uploads).begin

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.append(time.monotonic())
        time.sleep(3.0)
        return begin(*arguments, **options)

    monkeypatch.setattr(type(server.uploads), "begin", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(init, acme)
        wait_until(lambda: begun)
        while time.monotonic() < begun[0] + 2.0:
            assert code_of(init(acme)) == "IDEMPOTENCY_IN_FLIGHT"
            time.sleep(0.2)
    assert first.result().content == init(acme).content
    assert len(begun) == 1


def test_what_a_crash_cut_short_is_finished_and_not_doubled(acme: Partner, server: ServerState) -> None:
    """The server dies after the upload was made and before the answer was kept: the row is as that leaves it."""
    first = init(acme)
    with server.database.write() as session:
        held = session.scalars(select(IdempotentRequest)).one()
        held.status = held.headers = held.body = None
        held.held_until = now() - timedelta(seconds=1)
    again = init(acme)
    assert "idempotent-replayed" not in again.headers
    assert (again.json()["uploadId"], again.json()["videoId"]) == (first.json()["uploadId"], first.json()["videoId"])
    assert count(server, Upload) == count(server, VideoRecord) == 1


def test_a_clock_that_is_set_back_lengthens_no_hold(acme: Partner, server: ServerState) -> None:
    """A request that a crash cut short was "at work" for as long as the clock was set back."""
    first = init(acme)

    def hold(by: timedelta) -> None:
        with server.database.write() as session:
            held = session.scalars(select(IdempotentRequest)).one()
            held.status = held.headers = held.body = None
            held.held_until = now() + by

    hold(timedelta(seconds=80))
    assert code_of(init(acme)) == "IDEMPOTENCY_IN_FLIGHT", "clocks may differ a little"
    hold(timedelta(days=1))
    assert init(acme).json()["uploadId"] == first.json()["uploadId"]


def cut_short(server: ServerState) -> None:
    """Leave the requests as a process leaves them that is killed when the work is done and the answer not kept."""
    with server.database.write() as session:
        for held in session.scalars(select(IdempotentRequest)):
            held.status = held.headers = held.body = None
            held.held_until = now() - timedelta(seconds=1)


def test_a_rotation_that_a_crash_cut_short_returns_a_secret(
    acme: Partner, client: TestClient, server: ServerState
) -> None:
    """The first secret was told to nobody, and whoever asked again was refused until the overlap had ended."""
    made = acme.post("/v1/auth/keys", json={"name": "backend"}).json()
    holder = Partner(client, acme.organization, made["keyId"], made["secret"])

    def rotated() -> Any:
        return acme.post(f"/v1/auth/keys/{holder.key}/rotate", json={}, headers={"Idempotency-Key": "turn"})

    lost = rotated().json()["secret"]
    cut_short(server)
    told = rotated()
    assert (told.status_code, rotated().json()) == (200, told.json())
    fresh = Partner(client, acme.organization, holder.key, told.json()["secret"])
    assert [one.get("/v1/videos").status_code for one in (fresh, holder)] == [200, 200]
    assert code_of(Partner(client, acme.organization, holder.key, lost).get("/v1/videos")) == "INVALID_API_KEY"
    another = acme.post(f"/v1/auth/keys/{holder.key}/rotate", json={}, headers={"Idempotency-Key": "turn again"})
    assert (another.status_code, code_of(another)) == (409, "CONFLICT")


def test_webhooks_requests_that_a_crash_cut_short_are_answered(acme: Partner, server: ServerState) -> None:
    """Rotations were refused as those of keys; test events and replays failed with 500 for the rest of the day."""
    made = acme.post("/v1/webhooks/endpoints", json={"url": "https://example.com/h"}).json()
    path = f"/v1/webhooks/endpoints/{made['endpointId']}"
    delivery = acme.post(f"{path}/test", json={}).json()["deliveryId"]
    asked: list[tuple[str, Any]] = [
        (f"{path}/rotate", {}),
        (f"{path}/test", {}),
        (f"/v1/webhooks/deliveries/{delivery}/replay", None),
    ]
    named = {"Idempotency-Key": "once"}
    first = [acme.post(where, json=body, headers=named) for where, body in asked]
    assert [one.status_code for one in first] == [200, 202, 202]
    counted = count(server, Delivery), count(server, Event)
    cut_short(server)
    again = [acme.post(where, json=body, headers=named) for where, body in asked]
    assert [one.status_code for one in again] == [200, 202, 202]
    assert again[0].json()["secret"] == first[0].json()["secret"]
    assert [one.json()["deliveryId"] for one in again[1:]] == [one.json()["deliveryId"] for one in first[1:]]
    assert (count(server, Delivery), count(server, Event)) == counted


def test_cancelling_and_retrying_that_a_crash_cut_short_are_answered(acme: Partner, server: ServerState) -> None:
    """Whoever asked again was told that the video was not being processed, or did not fail: by what the first did."""
    sent = init(acme).json()
    piece = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    url = "/" + sent["uploadUrl"].split("/", 3)[3]
    assert acme.client.patch(url, content=b"0123456789", headers=piece).status_code == 204

    def ask(what: str) -> Any:
        return acme.post(f"/v1/videos/{sent['videoId']}/{what}", headers={"Idempotency-Key": what})

    for what, answered, status in (("cancel", 200, "failed"), ("retry", 202, "queued")):
        first = ask(what)
        told = count(server, Event)
        cut_short(server)
        again = ask(what)
        assert (first.status_code, again.status_code, again.json()["status"]) == (answered, answered, status)
        assert count(server, Event) == told
    with server.database.write() as session:
        video = session.scalars(select(VideoRecord)).one()
        video.status, video.failure_code, video.failure = "failed", "unreadable_video", "x"
    cut_short(server)
    assert ask("retry").json()["status"] == "failed", "it was tried again, and failed again"
    another = acme.post(f"/v1/videos/{sent['videoId']}/cancel", headers={"Idempotency-Key": "another"})
    assert code_of(another) == "CONFLICT"


def test_a_refusal_for_now_is_not_kept(acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(server.uploads), "begin", lambda *_, **__: 1 / 0)
        assert init(acme).status_code == 500
    assert init(acme).status_code == 201


def test_a_day_later_the_key_is_free(acme: Partner, server: ServerState) -> None:
    first = init(acme)
    with server.database.write() as session:
        session.scalars(select(IdempotentRequest)).one().expires = now() - timedelta(seconds=1)
    second = init(acme)
    assert second.json()["uploadId"] != first.json()["uploadId"]
    with server.database.write() as session:
        session.scalars(select(IdempotentRequest)).one().expires = now() - timedelta(seconds=1)
        session.flush()
        assert sweep(session) == 1


def test_of_those_who_use_a_key_again_a_day_later_one_is_carried_out(acme: Partner, server: ServerState) -> None:
    """On PostgreSQL the second of two that came together was told of an internal error."""
    old = init(acme).json()["uploadId"]
    with ThreadPoolExecutor(4) as pool:
        with server.database.write() as session:
            session.scalars(select(IdempotentRequest)).one().expires = now() - timedelta(seconds=1)
            session.flush()
            asked = [pool.submit(init, acme) for _ in range(4)]
            time.sleep(0.5)
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.json()["uploadId"] for answer in answers if answer.status_code == 201}
    assert (len(made), old in made) == (1, False)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_unusable_keys_are_refused(acme: Partner, key: str) -> None:
    assert code_of(init(acme, key)) == "INVALID_REQUEST"


def test_two_creations_by_tus_differ_by_their_headers(acme: Partner, server: ServerState) -> None:
    """A creation has no body: what it asks for stands in its headers, which come back with the answer too."""

    def create(length: int) -> Any:
        headers = {"Idempotency-Key": "once", "Tus-Resumable": "1.0.0", "Upload-Length": str(length)}
        return acme.post("/v1/videos/upload/tus", headers=headers)

    first, second, other = create(10), create(10), create(11)
    assert (second.status_code, second.headers["idempotent-replayed"]) == (201, "true")
    for name in ("location", "tus-resumable", "upload-offset", "upload-expires", "x-video-id"):
        assert second.headers[name] == first.headers[name]
    assert code_of(other) == "IDEMPOTENCY_KEY_REUSED"
    assert count(server, Upload) == 1


def test_pieces_of_an_upload_go_by_their_offset_and_not_by_a_key(acme: Partner) -> None:
    """A piece may have gigabytes: it is not kept in memory for a key's sake."""
    path = "/v1/videos" + init(acme).json()["uploadUrl"].partition("/v1/videos")[2]
    headers = {"Idempotency-Key": "piece", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    first = acme.patch(path, content=b"12345", headers=headers)
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert code_of(acme.patch(path, content=b"12345", headers=headers)) == "UPLOAD_OFFSET_MISMATCH"


@pytest.mark.parametrize(("method", "status"), [("POST", 201), ("PATCH", 415)])
def test_nothing_that_is_sent_to_an_upload_is_kept_in_memory(
    listen: Callable[..., Live], method: str, status: int
) -> None:
    """What was said to be of another type was read whole first: up to the 50 GB that an upload may have."""
    live = listen()
    made = httpx.post(f"{live.url}{INIT}", json={"filename": "a.mp4", "size": 10}, headers=live.headers).json()
    address = urlsplit(live.url)
    path = "/v1/videos/upload/tus" + (f"/{made['uploadId']}" if method == "PATCH" else "")
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as connection:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Idempotency-Key: once", "Content-Length: 20000000000"]
        lines += ["Content-Type: application/octet-stream", "Upload-Length: 10", "Upload-Offset: 0"]
        lines += [f"{name}: {value}" for name, value in live.headers.items()]
        connection.sendall("\r\n".join([*lines, "", "begin"]).encode())
        assert connection.recv(1000).startswith(f"HTTP/1.1 {status} ".encode()), "before the rest of it has come"


def test_half_a_request_leaves_its_key_free(listen: Callable[..., Live]) -> None:
    """A connection breaks in the middle of a body; whoever sends it again whole is not told that the key is used."""
    live = listen()
    body = b'{"filename": "a.mp4", "size": 10}'
    address = urlsplit(live.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        lines = [f"POST {INIT} HTTP/1.1", "Host: x", "Idempotency-Key: once", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in live.headers.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[:20])
        time.sleep(0.3)
    headers = live.headers | {"Idempotency-Key": "once", "Content-Type": "application/json"}
    whole = httpx.post(f"{live.url}{INIT}", content=body, headers=headers)
    assert (whole.status_code, "idempotent-replayed" in whole.headers) == (201, False)


def test_a_kept_answer_gives_no_secret_to_whoever_reads_the_database(acme: Partner, server: ServerState) -> None:
    made = acme.post("/v1/auth/keys", json={"name": "x"}, headers={"Idempotency-Key": "once"})
    again = acme.post("/v1/auth/keys", json={"name": "x"}, headers={"Idempotency-Key": "once"})
    assert again.json()["secret"] == made.json()["secret"]
    with server.database.read() as session:
        kept = session.scalars(select(IdempotentRequest)).one()
    assert made.json()["secret"].encode() not in (kept.body or b"")
    assert kept.body


def test_a_deletion_under_a_key_is_carried_out_once(acme: Partner) -> None:
    """A deletion of personal data deleted its own hold with the kept answers, and was answered 500 each time."""
    asked = {"scope": "user", "userId": "usr_9"}

    def delete() -> Any:
        return acme.post("/v1/privacy/deletions", json=asked, headers={"Idempotency-Key": "once"})

    first, second = delete(), delete()
    assert first.status_code == 200, first.text
    assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
    assert acme.get("/v1/privacy/receipts").json()["receipts"] == [first.json()]


def test_a_deletion_that_a_crash_cut_short_books_one_receipt(acme: Partner, server: ServerState) -> None:
    asked, headers = {"scope": "user", "userId": "usr_9"}, {"Idempotency-Key": "once"}
    first = acme.post("/v1/privacy/deletions", json=asked, headers=headers)
    with server.database.write() as session:
        held = session.scalars(select(IdempotentRequest)).one()
        held.status = held.headers = held.body = None
        held.held_until = now() - timedelta(seconds=1)
    again = acme.post("/v1/privacy/deletions", json=asked, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert acme.get("/v1/privacy/receipts").json()["receipts"] == [first.json()]


def test_an_organization_can_be_deleted_under_a_key(acme: Partner, server: ServerState) -> None:
    """Nothing of it is kept, not even the answer; a sandbox, which is as new, answers a second time as the first."""
    with server.database.write() as session:
        key, secret = create_key(session, acme.organization, name="test", environment="test")
    tester, headers = Partner(acme.client, acme.organization, key.id, secret), {"Idempotency-Key": "once"}
    own = tester.get("/v1/sandbox").json()["organization"]
    emptied = [
        tester.post("/v1/privacy/deletions", json={"scope": "organization", "confirm": own}, headers=headers)
        for _ in range(2)
    ]
    assert [one.status_code for one in emptied] == [200, 200]
    assert emptied[0].content == emptied[1].content
    asked = {"scope": "organization", "confirm": acme.organization}
    assert acme.post("/v1/privacy/deletions", json=asked, headers=headers).status_code == 200
    assert count(server, IdempotentRequest) == 0


@pytest.mark.parametrize("by", ["user deletion", "organization deletion", "reset"])
def test_requests_at_work_outlive_deletions_and_resets(
    by: str, acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lost their holds to deletions of others' data and to resets, and were answered 500 when they were done."""
    with server.database.write() as session:
        key, secret = create_key(session, acme.organization, name="test", environment="test")
    tester = Partner(acme.client, acme.organization, key.id, secret)
    own = tester.get("/v1/sandbox").json()["organization"]
    entered, gate = threading.Event(), threading.Event()
    begin = type(server.uploads).begin

    def slow(*arguments: Any, **options: Any) -> Any:
        begun = begin(*arguments, **options)
        entered.set()
        gate.wait(20)
        return begun

    monkeypatch.setattr(type(server.uploads), "begin", slow)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(init(tester)))
    first.start()
    assert entered.wait(20)
    if by == "reset":
        sandboxes = Sandboxes(server.settings, server.database, server.libraries)
        monkeypatch.setattr(sandboxes, "_indexed", lambda: _no_clips(server))
        sandboxes.reset(own)
    else:
        asked = {"scope": "user", "userId": "usr_9"} if by == "user deletion" else {"scope": "organization"}
        assert tester.post("/v1/privacy/deletions", json=asked | {"confirm": own}).status_code == 200
    if by != "organization deletion":
        assert code_of(init(tester)) == "IDEMPOTENCY_IN_FLIGHT"
    gate.set()
    first.join()
    assert answers[0].status_code == 201, answers[0].text
    assert init(tester).content == answers[0].content


def _no_clips(server: ServerState) -> Path:
    path = server.settings.data_directory / "none.parquet"
    with server.libraries.reading("org_none") as library:
        library.export(path)
    return path
