"""Answers in pieces, over events, lines and WebSocket, are those of the whole answer."""

from __future__ import annotations

import io
import itertools
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pixr.server.events import record
from pixr.server.organizations import create_organization
from pixr.server.state import ServerState
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.test_oauth import user_token

ASKED = {"query": "solar harbour", "minScore": 0.0}


def events_of(text: str) -> list[dict[str, str]]:
    """Server-sent events, read as the standard says."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n")]
        found.append({name: value for name, _, value in lines if name})
    return found


def without_timing(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("timing", "searchId")}


def test_events_and_lines_carry_the_whole_answer(acme: Partner) -> None:
    whole = acme.post("/v1/search", json=ASKED).json()
    stream = acme.post("/v1/search", json=ASKED, headers={"Accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = events_of(stream.text)
    assert [event["event"] for event in events] == ["result", "result", "facets", "done"]
    parts = [json.loads(event["data"]) for event in events]
    joined = parts[3] | {"results": parts[:2], "facets": parts[2]}
    assert without_timing(joined) == without_timing(whole)

    lines = acme.post("/v1/search", json=ASKED, headers={"Accept": "application/x-ndjson"})
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert [line.pop("type") for line in told] == ["result", "result", "facets", "done"]
    assert told[3].pop("status") == 200
    assert without_timing(told[3] | {"results": told[:2], "facets": told[2]["facets"]}) == without_timing(whole)


def test_who_comes_back_gets_what_follows_or_an_error_if_the_library_has_changed(acme: Partner) -> None:
    accept = {"Accept": "text/event-stream"}
    first = events_of(acme.post("/v1/search", json=ASKED, headers=accept).text)
    rest = acme.post("/v1/search", json=ASKED, headers=accept | {"Last-Event-ID": first[0]["id"]})
    assert [event["event"] for event in events_of(rest.text)] == ["result", "facets", "done"]
    assert acme.post("/v1/search", json=ASKED, headers=accept | {"Last-Event-ID": first[-1]["id"]}).status_code == 204
    acme.patch("/v1/videos/roof", json={"title": "Changed"})
    late = acme.post("/v1/search", json=ASKED, headers=accept | {"Last-Event-ID": first[0]["id"]})
    assert (late.status_code, code_of(late)) == (410, "CURSOR_EXPIRED"), "an event would make browsers try for ever"


def test_who_comes_back_to_a_page_that_lost_a_result_misses_none(acme: Partner) -> None:
    """What was seen is counted: where a result before it is gone, the count would skip one that nobody saw."""
    first = acme.post("/v1/search", json=ASKED | {"pagination": {"limit": 1}}).json()
    rest = ASKED | {"pagination": {"limit": 5, "cursor": first["pagination"]["nextCursor"]}}
    accept = {"Accept": "text/event-stream"}
    seen = events_of(acme.post("/v1/search", json=rest, headers=accept).text)
    assert acme.call("DELETE", f"/v1/videos/{json.loads(seen[0]['data'])['videoId']}").status_code == 204
    late = acme.post("/v1/search", json=rest, headers=accept | {"Last-Event-ID": seen[0]["id"]})
    assert (late.status_code, code_of(late)) == (410, "CURSOR_EXPIRED")


def test_an_error_in_a_stream_is_its_last_piece(acme: Partner) -> None:
    wrong = {"query": "a", "filters": {"nonsense": 1}}
    events = events_of(acme.post("/v1/search", json=wrong, headers={"Accept": "text/event-stream"}).text)
    assert [(event["event"], json.loads(event["data"])["code"]) for event in events] == [("error", "INVALID_FILTER")]
    lines = acme.post("/v1/search", json=wrong, headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(line)["status"] for line in lines] == [422]


def test_a_socket_searches_and_sends_events(acme: Partner, server: ServerState) -> None:
    whole = acme.post("/v1/search", json=ASKED).json()
    with acme.client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
        assert socket.receive_json() == {"type": "ready", "organization": acme.organization}
        socket.send_json({"type": "search", "id": 7, "request": ASKED})
        answers = [socket.receive_json() for _ in range(4)]
        assert [(answer["type"], answer["id"]) for answer in answers] == [
            ("result", 7),
            ("result", 7),
            ("facets", 7),
            ("done", 7),
        ]
        assert [answer["body"] for answer in answers[:2]] == whole["results"]
        socket.send_json({"type": "subscribe", "id": 8, "events": ["video.deleted"]})
        assert socket.receive_json()["type"] == "subscribed"
        with server.database.write() as session:
            record(session, acme.organization, "video.failed", {"videoId": "x"})
            record(session, acme.organization, "video.deleted", {"videoId": "y"})
        told = socket.receive_json()
        assert (told["event"]["type"], told["event"]["data"]) == ("video.deleted", {"videoId": "y"})
        listed = acme.get("/v1/events", params={"types": "video.deleted"}).json()["events"]
        assert {key: told[key] for key in ("sequence", "event")} == listed[-1], "as everywhere: it had no timestamp"
        socket.send_text("nonsense")
        assert socket.receive_json()["error"]["code"] == "INVALID_REQUEST"


def test_the_messages_of_the_guide_are_answered_as_it_says(acme: Partner, server: ServerState) -> None:
    """No document said what the socket takes, nor what it answers."""
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "searching.md").read_text(encoding="utf-8")
    (messages,) = re.findall(r"```json\n(.*?)```", guide, flags=re.DOTALL)
    search, subscribe, ping = messages.splitlines()
    with acme.client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_text(search)
        answers = [socket.receive_json() for _ in range(3)]
        told = [(one["type"], "facets" if "facets" in one else "body") for one in answers]
        assert told == [("result", "body"), ("facets", "facets"), ("done", "body")]
        assert {one["id"] for one in answers} == {json.loads(search)["id"]}
        socket.send_text(subscribe)
        assert socket.receive_json()["type"] == "subscribed"
        with server.database.write() as session:
            record(session, acme.organization, "video.processed", {"videoId": "x"})
        assert {"type", "sequence", "event"} == set(socket.receive_json())
        socket.send_text(ping)
        assert socket.receive_json() == {"type": "pong"}


def test_a_binary_frame_is_read_as_text_is(acme: Partner) -> None:
    """It once ended the connection, without a word."""
    with acme.client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(b'{"type": "ping"}')
        assert socket.receive_json() == {"type": "pong"}
        socket.send_bytes(b"\xff\x00")
        assert socket.receive_json()["error"]["code"] == "INVALID_REQUEST"
    with acme.client.websocket_connect("/v1/ws") as socket:
        socket.send_bytes(b"\xff\x00")
        with pytest.raises(WebSocketDisconnect) as refused:
            socket.receive_json()
        assert refused.value.code == 4401


@pytest.mark.parametrize("after", [1 << 63, 10**23, -1, True, 1.5, "1"])
def test_a_subscription_begins_after_the_number_of_an_event(acme: Partner, after: object) -> None:
    with acme.client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
        assert socket.receive_json()["type"] == "ready"
        socket.send_json({"type": "subscribe", "id": 1, "after": after})
        assert socket.receive_json()["error"]["code"] == "INVALID_REQUEST"
        socket.send_json({"type": "subscribe", "id": 2, "after": (1 << 63) - 1})
        assert socket.receive_json() == {"type": "subscribed", "id": 2, "after": (1 << 63) - 1}


def test_a_browser_sends_its_token_first_and_others_are_refused(acme: Partner, client: TestClient) -> None:
    with client.websocket_connect("/v1/ws") as socket:
        socket.send_json({"type": "authenticate", "token": user_token(acme)})
        assert socket.receive_json()["type"] == "ready"
        socket.send_json({"type": "subscribe"})
        assert socket.receive_json()["error"]["code"] == "INSUFFICIENT_SCOPE"
    with client.websocket_connect("/v1/ws") as socket:
        socket.send_json({"type": "authenticate", "token": "a.b.c"})
        with pytest.raises(WebSocketDisconnect) as refused:
            socket.receive_json()
        assert refused.value.code == 4401


def test_connections_end_with_their_credentials(acme: Partner) -> None:
    made = acme.post("/v1/auth/keys", json={"name": "short", "scopes": ["search", "webhooks"]}).json()
    shown = {"X-API-Key": made["keyId"], "X-API-Secret": made["secret"]}
    asking = acme.client.websocket_connect("/v1/ws", headers=shown)
    following = acme.client.websocket_connect("/v1/ws", headers=shown)
    graphql = acme.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"], headers=shown)
    with asking as asking, following as following, graphql as graphql:
        assert asking.receive_json()["type"] == following.receive_json()["type"] == "ready"
        following.send_json({"type": "subscribe", "id": 1})
        assert following.receive_json()["type"] == "subscribed"
        graphql.send_json({"type": "connection_init"})
        assert graphql.receive_json()["type"] == "connection_ack"
        graphql.send_json({"type": "subscribe", "id": "1", "payload": {"query": "subscription { events { id } }"}})
        with ThreadPoolExecutor() as threads:
            events = threads.submit(acme.client.get, "/v1/events", headers=shown | {"Accept": "text/event-stream"})
            time.sleep(0.5)
            acme.delete(f"/v1/auth/keys/{made['keyId']}")
            assert events.result(timeout=30).text.startswith(": following"), "the stream ends"
        asking.send_json({"type": "search", "id": 2, "request": ASKED})
        with pytest.raises(WebSocketDisconnect) as refused:
            asking.receive_json()
        assert (refused.value.code, refused.value.reason) == (4401, "INVALID_API_KEY")
        assert following.receive_json()["error"]["code"] == "INVALID_API_KEY"
        with pytest.raises(WebSocketDisconnect) as refused:
            following.receive_json()
        assert refused.value.code == 4401
        told = graphql.receive_json()
        error = told["payload"][0] if told["type"] == "error" else told["payload"]["errors"][0]
        assert error["extensions"]["code"] == "INVALID_API_KEY"
        query = {"query": 'subscription { video(videoId: "x") { status } }'}
        graphql.send_json({"type": "subscribe", "id": "2", "payload": query})
        while (told := graphql.receive_json())["type"] == "complete":
            pass
        error = told["payload"][0] if told["type"] == "error" else told["payload"]["errors"][0]
        assert error["extensions"]["code"] == "INVALID_API_KEY"


def test_a_picture_is_a_question(acme: Partner, server: ServerState) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(buffer, "PNG")
    request = json.dumps({"modes": ["visual"], "pagination": {"limit": 5}})
    answer = acme.post("/v1/search/file", files={"image": buffer.getvalue()}, data={"request": request})
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_QUERY"), "a library without pictures says so"
    import numpy as np
    import pyarrow as pa

    encoders = server.libraries.shared_encoders.load()
    vector = encoders.visual.encode_images([np.asarray(Image.open(buffer).convert("RGB"))])[0]
    spans = {"video_id": ["red"], "start": [0.0], "end": [1.0]}
    column = pa.FixedSizeListArray.from_arrays(pa.array(vector), len(vector))
    with server.libraries.writing(acme.organization) as library:
        library.add_segments(
            pa.record_batch({**spans, "frame": column}),
            videos=[{"id": "red", "duration": 1.0}],
            spaces={"frame": encoders.visual.space},
        )
    found = acme.post("/v1/search/file", files={"image": buffer.getvalue()}, data={"request": request}).json()
    assert [result["videoId"] for result in found["results"]] == ["red"]
    broken = acme.post("/v1/search/file", files={"image": b"no picture"}, data={"request": request})
    assert broken.status_code == 422
    wrong = acme.post("/v1/search/file", files={"image": b"x"}, data={"request": '{"quer": 1}'})
    assert wrong.json()["errors"][0]["pointer"] == "/quer"
    assert acme.post("/v1/search/file", json={}).status_code == 415


def test_searches_at_the_same_time_each_get_their_own(acme: Partner) -> None:
    answers: dict[str, Any] = {}

    def ask(word: str) -> None:
        answers[word] = acme.post("/v1/search", json={"query": word}).json()

    threads = [threading.Thread(target=ask, args=(word,)) for word in ("solar", "harbour")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {word: answer["results"][0]["videoId"] for word, answer in answers.items()} == {
        "solar": "roof",
        "harbour": "boat",
    }


def test_events_are_followed_and_taken_up_again(listen: Callable[..., Live]) -> None:
    live = listen()
    with live.state.database.write() as session:
        for number in range(3):
            record(session, live.organization, "video.deleted", {"videoId": f"v{number}"})
        record(session, live.organization, "video.failed", {"videoId": "other"})
        other = create_organization(session, "Other", "enterprise").id
        record(session, other, "video.deleted", {"videoId": "another's"})
    listed = f"{live.url}/v1/events?types=video.deleted"
    first = httpx.get(listed, headers=live.headers).json()["events"][0]["sequence"]  # databases count on
    page = httpx.get(f"{listed}&after={first}", headers=live.headers).json()
    assert [(one["sequence"] - first, one["event"]["data"]["videoId"]) for one in page["events"]] == [
        (1, "v1"),
        (2, "v2"),
    ]
    assert page["after"] == first + 2
    headers = live.headers | {"Last-Event-ID": str(first), "Accept": "text/event-stream"}
    with httpx.Client(timeout=20) as client, client.stream("GET", listed, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        told = [line for line in itertools.islice(lines, 10) if line and not line.startswith(":")]
        assert told[:2] == ["event: video.deleted", f"id: {first + 1}"]
        assert [json.loads(line[6:])["data"] for line in told if line.startswith("data: ")] == [
            {"videoId": "v1"},
            {"videoId": "v2"},
        ]
        with live.state.database.write() as session:
            record(session, live.organization, "video.deleted", {"videoId": "now"})
        coming = next(line for line in lines if line.startswith("data: "))
        assert json.loads(coming[6:])["data"] == {"videoId": "now"}
    for wrong in ({"params": {"types": "x"}}, {"headers": {"Last-Event-ID": "-1"}}):
        options: dict[str, Any] = {"headers": live.headers | wrong.get("headers", {}), "params": wrong.get("params")}
        assert httpx.get(f"{live.url}/v1/events", **options).json()["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("way", ["text/event-stream", "application/x-ndjson", "socket"])
def test_what_goes_wrong_in_an_answer_that_has_begun_is_in_the_log(
    acme: Partner, server: ServerState, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """Whoever asked was told to tell the operator, whose log had not a word of it."""
    library = server.libraries.path(acme.organization)
    server.libraries.forget(acme.organization)
    (library / "MANIFEST").write_bytes(b"no manifest")
    with caplog.at_level(logging.ERROR, logger="pixr.server"):
        if way == "socket":
            with acme.client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
                assert socket.receive_json()["type"] == "ready"
                socket.send_json({"type": "search", "id": "1", "request": ASKED})
                told = json.dumps(socket.receive_json())
        else:
            told = acme.post("/v1/search", json=ASKED, headers={"Accept": way}).text
    assert '"NOT_A_LIBRARY"' in told
    assert str(library) not in told
    assert [str(library) in str(one.exc_info) for one in caplog.records] == [True]
