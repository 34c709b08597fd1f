"""A request under an idempotency key is carried out once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from pixr.server.database import now
from pixr.server.idempotency import sweep
from pixr.server.models import IdempotentRequest, Upload, VideoRecord
from pixr.server.state import ServerState
from tests.python.server.partner import Partner, code_of

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


def test_keys_are_of_one_organization_and_one_route(acme: Partner, join: Callable[..., Partner]) -> None:
    mine, theirs = init(acme), init(join("Stranger"))
    assert mine.json()["uploadId"] != theirs.json()["uploadId"]
    made = acme.post("/v1/auth/keys", json={"name": "x"}, headers={"Idempotency-Key": "once"})
    assert made.status_code == 201


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


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_unusable_keys_are_refused(acme: Partner, key: str) -> None:
    assert code_of(init(acme, key)) == "INVALID_REQUEST"
