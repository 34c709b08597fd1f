"""One table has every code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

import pixr.errors
from pixr.errors import PixrError
from pixr.server.errors import CODES, problem_of
from pixr.server.state import ServerState
from tests.python.server.conftest import POSTGRES
from tests.python.server.partner import Partner, code_of

JSON = {"Content-Type": "application/json"}


def test_every_error_of_the_library_has_a_status() -> None:
    kinds = [kind for _, kind in inspect.getmembers(pixr.errors, inspect.isclass) if issubclass(kind, PixrError)]
    assert len(kinds) > 20
    for kind in kinds:
        assert kind.code.upper() in CODES, kind
        assert problem_of(kind("a", "b")).code == kind.code.upper()


def test_the_guide_says_of_every_status_what_to_do() -> None:
    """It left out 416."""
    guide = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "errors.md").read_text(encoding="utf-8")
    told = {int(status) for row in re.findall(r"^\| (\d[\d, ]*) \|", guide, re.MULTILINE) for status in row.split(", ")}
    assert told == {code.status for code in CODES.values()}


def test_what_is_said_of_a_span_is_what_a_library_takes(tmp_path: Path) -> None:
    """It asked for an end above the start, but an instant is a segment."""
    instant = pa.record_batch({"video_id": ["a"], "start": [5.0], "end": [5.0], "speech": ["now"]})
    with pixr.open(tmp_path / "films.pixr") as library:
        assert library.add_segments(instant) == ["a"]
    assert "0 <= start <= end" in CODES["INVALID_SPAN"].advice


def test_what_is_the_servers_fault_reveals_no_path() -> None:
    assert "/srv/pixr" not in problem_of(pixr.errors.Damaged("/srv/pixr/parts/1 is damaged")).detail
    assert "secret" not in problem_of(RuntimeError("secret")).detail


@pytest.mark.skipif(POSTGRES is not None, reason="SQLite has one writer at a time")
def test_a_database_that_others_write_to_for_long_is_asked_again(
    join: Callable[..., Partner], server: ServerState, start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an internal error, after which nobody tries again."""
    made = join()
    monkeypatch.setattr("pixr.server.database.LOCK_WAIT_SECONDS", 0.1)
    partner = Partner(start(), made.organization, made.key, made.secret)
    assert partner.get("/v1/sandbox").status_code == 200
    with server.database.write() as session:
        session.connection()  # which takes the lock
        busy = partner.get("/v1/sandbox")
        assert (busy.status_code, code_of(busy), busy.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
        if find_spec("strawberry") is not None:  # which has no release for Python 3.10
            create = 'mutation { createWebhookEndpoint(input: {url: "https://example.com/h"}) { endpointId } }'
            (told,) = partner.post("/graphql", json={"query": create}).json()["errors"]
            assert told["extensions"]["code"] == "UNAVAILABLE"
    assert partner.get("/v1/sandbox").status_code == 200


def test_the_path_of_a_library_that_another_process_writes_to_is_not_revealed(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was to ask again learned where the library lies, and which process held it."""
    monkeypatch.setattr("pixr.server.libraries.open_to_write.__defaults__", (0.1,))
    with pixr.open(server.libraries.path(acme.organization)):
        refused = acme.patch("/v1/videos/roof", json={"title": "x"})
    assert (refused.status_code, code_of(refused)) == (503, "LIBRARY_LOCKED")
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["detail"] == CODES["LIBRARY_LOCKED"].title


def test_the_path_at_which_the_server_put_a_sent_file_is_not_revealed(acme: Partner) -> None:
    asked = {"files": {"audio": b"no sound"}, "data": {"request": '{"channels": ["speech"]}'}}
    refused = acme.post("/v1/search/file", **asked)
    assert (refused.status_code, code_of(refused)) == (422, "UNREADABLE_VIDEO")
    assert "/" not in refused.json()["detail"]


def test_unknown_paths_and_methods_are_problems_too(client: TestClient, acme: Partner) -> None:
    assert code_of(client.get("/nowhere")) == "NOT_FOUND"
    wrong = acme.call("PUT", "/v1/videos/roof")
    assert (wrong.status_code, code_of(wrong)) == (405, "METHOD_NOT_ALLOWED")
    assert "allow" in wrong.headers


def test_a_request_id_is_taken_over_unless_it_could_forge_a_line(client: TestClient) -> None:
    assert client.get("/health/live", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for forged in ("a b", "x" * 65, 'a"}'):
        assert client.get("/health/live", headers={"X-Request-Id": forged}).headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/videos", "GET, HEAD, POST"),
        ("/v1/videos/roof", "DELETE, GET, HEAD, PATCH"),
        ("/v1/videos/upload/tus/upl_x", "DELETE, HEAD, PATCH"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
def test_the_answer_to_a_refused_method_lists_all_that_are_allowed(acme: Partner, path: str, allowed: str) -> None:
    refused = acme.call("PUT", path)
    assert (refused.status_code, code_of(refused), refused.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", allowed)


def test_the_answer_to_a_body_without_its_type_names_the_type_it_needs(acme: Partner) -> None:
    """What curl sends with `-d` is a form; the answer was that the body is no dictionary."""
    body = b'{"query": "solar"}'
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}):
        refused = acme.post("/v1/search", content=body, headers=headers)
        assert (refused.status_code, code_of(refused)) == (415, "UNSUPPORTED_MEDIA")
        assert "application/json" in refused.json()["detail"]
    assert acme.post("/v1/search", content=body, headers={"Content-Type": "application/json; charset=utf-8"}).is_success


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        (b'{"query": ', "", "at character 10"),
        (b"[]", "", "object"),
        (b'{"weights": {"smell": 1}}', "/weights/smell", "frame"),
        (b'{"pagination": {"limit": 0}}', "/pagination/limit", "1"),
        (b'{"then": 5}', "/then", "valid string; or: "),
        (b'{"facets": 5}', "/facets", "valid boolean; or: "),
        (b'{"facets": {"mode": "x"}}', "/facets/mode", "disjunctive"),
        (b'{"facets": ["tags", 5]}', "/facets/1", "string"),
        (b'{"video": ["roof", 5]}', "/video/1", "string"),
        (b'{"blend": [[5, 1]]}', "/blend/0/0", "string"),
        (b'{"blend": [["a"]]}', "/blend/0/1", "required"),
        (b'{"like": {"videoId": "roof", "start": 1}}', "/like/end", "required"),
        (b'{"a/b~c": 1}', "/a~1b~0c", "not permitted"),
    ],
)
def test_an_error_points_at_what_is_wrong(acme: Partner, body: bytes, pointer: str, detail: str) -> None:
    """A JSON Pointer to the whole body is empty: `/` is a field without a name, and `/10` was a place in the text.

    Where a field may be of several types each was a step of its own (`/facets/list[str]/1`), and an error of its own.
    """
    refused = acme.post("/v1/search", content=body, headers=JSON)
    assert code_of(refused) == "INVALID_REQUEST"
    (error,) = refused.json()["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]


def test_a_refusal_for_want_of_credentials_names_their_kind(client: TestClient, acme: Partner) -> None:
    for headers in ({}, {"X-API-Key": acme.key, "X-API-Secret": "wrong"}, {"X-API-Key": acme.key}):
        refused = client.get("/v1/videos", headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/auth/clients", {"name": "a", "scopes": ["search"], "public": 0}),
        ("/v1/auth/keys", {"name": "a", "expires": 0}),
        ("/v1/auth/keys", {"name": "a", "expires": "1795507200"}),
        ("/v1/videos/upload/init", {"filename": "a.mp4", "size": "5"}),
        ("/v1/videos/upload/init", {"filename": "a.mp4", "size": 5, "metadata": {"pixInvestment": True}}),
    ],
)
def test_values_of_another_type_are_refused_and_not_guessed_at(acme: Partner, path: str, body: dict[str, Any]) -> None:
    """`0` for a time was a key that had expired in 1970."""
    assert code_of(acme.post(path, json=body)) == "INVALID_REQUEST"


def test_a_whole_number_may_be_written_with_a_point(acme: Partner) -> None:
    made = acme.post("/v1/videos/upload/init", content=b'{"filename": "a.mp4", "size": 3e9}', headers=JSON)
    assert made.status_code == 201
    assert code_of(acme.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": 5.5})) == "INVALID_REQUEST"


def test_a_new_endpoint_is_shown_with_what_the_database_fills_in(acme: Partner) -> None:
    made = acme.post("/v1/webhooks/endpoints", json={"url": "https://example.com/hooks"}).json()
    assert made["created"] == acme.get(f"/v1/webhooks/endpoints/{made['endpointId']}").json()["created"]
