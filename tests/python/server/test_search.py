"""Search over HTTP is the Python call, and nothing more."""

from __future__ import annotations

import asyncio
import json
import threading
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from pydantic_core import to_json
from sqlalchemy import select

import pixr
from pixr.server.errors import ApiError
from pixr.server.models import SearchAppearance
from pixr.server.search_pool import SearchPool
from pixr.server.state import ServerState
from pixr.wire import hits_to_dict
from tests.python.server.partner import Partner, code_of


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ({"query": "solar panels"}, {"query": "solar panels", "facets": True}),
        (
            {"query": "solar panels", "modes": ["audio"], "explain": True, "facets": False, "minScore": 0.0},
            {"query": "solar panels", "modes": ["audio"], "facets": False, "min_score": 0.0},
        ),
        (
            {"query": "harbour cables", "filters": {"tags": ["sea"]}, "facets": ["tags"], "moments": 1},
            {"query": "harbour cables", "filters": {"tags": ["sea"]}, "facets": ["tags"], "moments": 1},
        ),
    ],
)
def test_a_search_answers_with_the_bytes_of_the_python_call(
    acme: Partner, server: ServerState, body: dict[str, Any], arguments: dict[str, Any]
) -> None:
    response = acme.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    with pixr.open(server.libraries.path(acme.organization), read_only=True) as library:
        expected = hits_to_dict(library.search(**arguments), explain=body.get("explain", False))
    assert expected["results"], "a comparison of nothing"
    got = json.loads(response.content)
    expected["timing"] = got["timing"]
    for result, told in zip(expected["results"], got["results"], strict=True):
        assert (told["thumbnailUrl"] or "").startswith("http") == (result["videoId"] == "roof")
        result["thumbnailUrl"] = told["thumbnailUrl"]
    expected["searchId"] = got["searchId"]
    assert response.content == to_json(expected)
    assert set(got["timing"]) == {"encode", "search", "total"}
    assert "search;dur=" in response.headers["server-timing"]


def test_questions_are_related_in_time_as_in_python(acme: Partner, server: ServerState) -> None:
    asked = {"query": "solar panels", "then": "cables", "within": 8, "modes": ["audio"]}
    got = acme.post("/v1/search", json=asked).json()
    with pixr.open(server.libraries.path(acme.organization), read_only=True) as library:
        first, second = (pixr.ask(words, modes=["audio"]) for words in ("solar panels", "cables"))
        expected = hits_to_dict(library.search(pixr.then(first, second, within=8)))
    assert [(one["videoId"], one["relevance"]) for one in got["results"]] == [
        (one["videoId"], one["relevance"]) for one in expected["results"]
    ]
    assert [one["videoId"] for one in got["results"]] == ["roof"]
    assert acme.post("/v1/search", json=asked | {"within": 0.001, "then": "harbour"}).json()["results"] == []


@pytest.mark.parametrize("name", ["image", "audio", "clip"])
def test_no_question_names_a_file_of_the_servers(acme: Partner, name: str) -> None:
    for body in ({"query": "a", "then": {name: "/etc/passwd"}}, {"query": "a", "not": {"then": {name: "x"}}}):
        refused = acme.post("/v1/search", json=body)
        assert (refused.status_code, code_of(refused)) == (422, "INVALID_QUERY")
        assert "/v1/search/file" in refused.json()["detail"]
    deep: Any = "a"
    for _ in range(50):
        deep = {"then": deep}
    assert code_of(acme.post("/v1/search", json={"query": "a", "then": deep})) == "INVALID_QUERY"


def test_pages_follow_one_another_and_a_cursor_is_of_its_question(acme: Partner) -> None:
    asked = {"query": "solar harbour", "minScore": 0.0, "pagination": {"limit": 1}}
    first = acme.post("/v1/search", json=asked).json()
    assert first["pagination"]["total"] == 2
    asked["pagination"] = {"limit": 1, "cursor": first["pagination"]["nextCursor"]}
    second = acme.post("/v1/search", json=asked).json()
    assert {page["results"][0]["videoId"] for page in (first, second)} == {"roof", "boat"}
    assert not second["pagination"]["hasMore"]
    forged = acme.post("/v1/search", json=asked | {"query": "something else"})
    assert (forged.status_code, code_of(forged)) == (400, "INVALID_CURSOR")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "application/x-ndjson"])
@pytest.mark.parametrize("by", ["owner", "privacy"])
def test_a_later_page_leaves_out_what_was_deleted_since(
    by: str, accept: str, acme: Partner, server: ServerState
) -> None:
    """Pages that follow show the library as it was, and so showed the title and words of a video that was deleted."""
    batch = pa.record_batch(
        {"video_id": ["a", "b", "c", "d"], "start": [0.0] * 4, "end": [1.0] * 4, "speech": ["umbrella"] * 4}
    )
    creators = {id: {"id": "usr_9" if id == "c" else "usr_1", "name": f"Maker of {id}"} for id in "abcd"}
    videos: list[dict[str, Any]] = [
        {"id": id, "title": f"Title of {id}", "duration": 1.0, "creator": creators[id]} for id in "abcd"
    ]
    with server.libraries.writing(acme.organization) as library:
        library.add_segments(batch, videos=videos)
    asked: dict[str, Any] = {"query": "umbrella", "minScore": 0.0, "pagination": {"limit": 1}}
    first = acme.post("/v1/search", json=asked).json()
    assert [one["videoId"] for one in first["results"]] == ["a"]
    asked["pagination"] = {"limit": 10, "cursor": first["pagination"]["nextCursor"]}
    if by == "owner":
        assert acme.call("DELETE", "/v1/videos/c").status_code == 204
    else:
        assert acme.post("/v1/privacy/deletions", json={"scope": "user", "userId": "usr_9"}).status_code == 200
    second = acme.post("/v1/search", json=asked, headers={"Accept": accept})
    assert "Title of b" in second.text
    assert second.text.index("Title of b") < second.text.index("Title of d")
    assert "Title of c" not in second.text
    assert "Maker of c" not in second.text
    if accept == "application/json":
        assert second.json()["pagination"]["total"] == 4
        assert second.json()["snapshot"] == first["snapshot"]
    server.search_log.flush()
    with server.database.read() as session:
        shown = {(one.video_id, one.position) for one in session.scalars(select(SearchAppearance))}
    assert shown == {("a", 1), ("b", 2), ("d", 4)}, "each at the place that it had when the search began"


@pytest.mark.parametrize(
    ("body", "status", "code", "where"),
    [
        ({}, 422, "INVALID_QUERY", None),
        ({"query": "a", "filters": {"nonsense": 1}}, 422, "INVALID_FILTER", None),
        ({"query": "a", "pagination": {"limit": 0}}, 422, "INVALID_REQUEST", "/pagination/limit"),
        ({"querry": "a"}, 422, "INVALID_REQUEST", "/querry"),
        ({"query": "a", "modes": ["smell"]}, 422, "INVALID_REQUEST", "/modes/0"),
        ({"vectors": {"frame": [0.0, 0.0]}}, 422, "INVALID_VECTOR", None),
    ],
)
def test_what_is_wrong_with_a_question_is_said(
    acme: Partner, body: dict[str, Any], status: int, code: str, where: str | None
) -> None:
    response = acme.post("/v1/search", json=body)
    assert (response.status_code, code_of(response)) == (status, code)
    if where is not None:
        assert [error["pointer"] for error in response.json()["errors"]] == [where]


def test_a_body_that_is_no_json_or_too_large_is_refused(acme: Partner) -> None:
    broken = acme.post("/v1/search", content=b"{", headers={"content-type": "application/json"})
    assert (broken.status_code, code_of(broken)) == (422, "INVALID_REQUEST")
    large = acme.post("/v1/search", content=b" " * (2 << 20), headers={"content-type": "application/json"})
    assert (large.status_code, code_of(large)) == (413, "PAYLOAD_TOO_LARGE")

    def pieces() -> Any:
        for _ in range(40):
            yield b" " * (64 << 10)

    chunked = acme.post("/v1/search", content=pieces(), headers={"content-type": "application/json"})
    assert (chunked.status_code, code_of(chunked)) == (413, "PAYLOAD_TOO_LARGE")


def test_searches_past_the_queue_are_refused_and_room_comes_back() -> None:
    async def scene() -> None:
        pool, gate = SearchPool(1, 1, spare=0), threading.Event()
        begun = [asyncio.create_task(pool.run("org", gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await pool.run("org", lambda: True)
        assert (refused.value.code, refused.value.headers) == ("OVERLOADED", {"Retry-After": "1"})
        gate.set()
        assert await asyncio.gather(*begun) == [True, True]
        assert await pool.run("org", lambda: 7) == 7
        pool.close()

    asyncio.run(scene())


def test_what_many_ask_for_takes_turns_and_who_has_most_waiting_makes_room() -> None:
    """Whoever asked for one thing behind a hundred of another's waited for all of these, or was refused."""

    async def scene() -> None:
        pool, gate, order = SearchPool(1, 4, spare=0), threading.Event(), list[str]()

        def work(name: str) -> None:
            gate.wait()
            order.append(name)

        busy = [asyncio.create_task(pool.run("busy", partial(work, "busy"))) for _ in range(5)]
        await asyncio.sleep(0)
        one = asyncio.create_task(pool.run("one", partial(work, "one")))
        refused = (await asyncio.gather(*busy[-1:], return_exceptions=True))[0]
        assert isinstance(refused, ApiError)
        assert refused.code == "OVERLOADED"
        gate.set()
        await asyncio.gather(*busy[:-1], one)
        assert order == ["busy", "busy", "one", "busy", "busy"]
        pool.close()

    asyncio.run(scene())


def test_a_place_in_the_queue_comes_back_when_nobody_waits_for_it_any_more() -> None:
    async def scene() -> None:
        pool, gate = SearchPool(1, 8, spare=1), threading.Event()
        begun = [asyncio.create_task(pool.run("org", gate.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert await pool.run("other", lambda: 7) == 7  # of one organization there is no more than one at work
        for task in begun[:2]:
            task.cancel()
        await asyncio.wait(begun[:2])
        gate.set()
        assert await begun[2]
        assert await pool.run("org", lambda: 7) == 7
        pool.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"query": "solar", "then": {"query": "cables", "mode": ["audio"]}}, "mode"),
        ({"query": "solar", "not": {"query": {"query": "harbour", "minScore": 0.5}, "then": "dawn"}}, "minScore"),
        ({"blend": [[{"query": "solar", "weight": 2}, 1.0], ["harbour", 0.5]]}, "weight"),
        ({"query": "solar", "while": {"like": {"videoId": "roof", "start": 0, "end": 5, "stop": 5}}}, "stop"),
    ],
)
def test_a_field_that_no_question_has_is_refused_within_another_too(
    acme: Partner, body: dict[str, Any], wrong: str
) -> None:
    """It was passed over, so a misspelt `modes` searched in all of them."""
    answer = acme.post("/v1/search", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_QUERY")
    assert answer.json()["detail"].startswith(f"{wrong}: no such field; ")


def test_a_question_within_another_may_say_null_for_what_it_has_not(acme: Partner) -> None:
    nothing = dict.fromkeys(("image", "audio", "clip", "like", "vectors", "modes", "channels", "weights", "not"))
    body = {"query": "solar", "then": {"query": "cables", **nothing}, "modes": ["audio"]}
    assert [found["videoId"] for found in acme.post("/v1/search", json=body).json()["results"]] == ["roof"]
