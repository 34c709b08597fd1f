"""However many follow events and videos, a process looks for what has changed once for all of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from pixr.server.database import Database
from pixr.server.events import record
from pixr.server.models import VideoRecord
from pixr.server.state import ServerState
from tests.python.server.partner import Partner

_SUBSCRIPTIONS = 16
_SECONDS = 2.0
# Four looks a second; sixteen who each look once a second would be 32.
_MOST_LOOKS = 10


def asked(database: Database, seconds: float) -> Counter[str]:
    """How many statements read from each of two tables within some seconds."""
    found: Counter[str] = Counter()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        found.update(table for table in ("events", "videos") if f"FROM {table}" in statement)

    event.listen(database.engine, "before_cursor_execute", note)
    time.sleep(seconds)
    event.remove(database.engine, "before_cursor_execute", note)
    return found


def test_sixteen_who_follow_events_ask_the_database_as_one_does(
    acme: Partner, join: Callable[..., Partner], server: ServerState
) -> None:
    """Each asked twice a second, whether anything had happened or not."""
    stranger = join("Stranger")
    follows = acme.client.websocket_connect("/v1/ws", headers=acme.headers)
    follows_too = acme.client.websocket_connect("/v1/ws", headers=stranger.headers)
    with follows as follows, follows_too as follows_too:
        for socket in (follows, follows_too):
            assert socket.receive_json()["type"] == "ready"
        for id in range(_SUBSCRIPTIONS):
            follows.send_json({"type": "subscribe", "id": id})
        follows_too.send_json({"type": "subscribe", "id": 0, "events": ["video.failed"]})
        assert {follows.receive_json()["id"] for _ in range(_SUBSCRIPTIONS)} == set(range(_SUBSCRIPTIONS))
        assert follows_too.receive_json()["type"] == "subscribed"
        time.sleep(1)
        assert asked(server.database, _SECONDS)["events"] <= _MOST_LOOKS
        with server.database.write() as session:
            for number in range(120):  # more than are read at once
                record(session, acme.organization, "video.deleted", {"videoId": f"v{number}"})
        told = Counter(follows.receive_json()["event"]["data"]["videoId"] for _ in range(120 * _SUBSCRIPTIONS))
        assert told == {f"v{number}": _SUBSCRIPTIONS for number in range(120)}
        with server.database.write() as session:
            record(session, stranger.organization, "video.failed", {"videoId": "its own"})
        assert follows_too.receive_json()["event"]["data"] == {"videoId": "its own"}


def test_sixteen_who_follow_a_video_ask_the_database_as_one_does(acme: Partner, server: ServerState) -> None:
    """Each asked four times a second."""
    pytest.importorskip("strawberry", reason="GraphQL needs strawberry-graphql (Python 3.11)")
    with server.database.write() as session:
        session.add(VideoRecord(id="vid_new", organization_id=acme.organization, status="queued"))
    query = {"query": 'subscription { video(videoId: "vid_new") { status progress } }'}
    protocols = ["graphql-transport-ws"]
    with acme.client.websocket_connect("/graphql", subprotocols=protocols, headers=acme.headers) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        for id in range(_SUBSCRIPTIONS):
            socket.send_json({"type": "subscribe", "id": str(id), "payload": query})
        for _ in range(_SUBSCRIPTIONS):
            assert socket.receive_json()["payload"]["data"]["video"] == {"status": "queued", "progress": 0}
        time.sleep(1)
        assert asked(server.database, _SECONDS)["videos"] <= _MOST_LOOKS
        with server.database.write() as session:
            session.get_one(VideoRecord, "vid_new").status = "failed"
        told = [socket.receive_json() for _ in range(2 * _SUBSCRIPTIONS)]
        states = [one["payload"]["data"]["video"]["status"] for one in told if one["type"] == "next"]
        assert states == ["failed"] * _SUBSCRIPTIONS
        assert [one["type"] for one in told].count("complete") == _SUBSCRIPTIONS
