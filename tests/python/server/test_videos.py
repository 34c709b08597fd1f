"""Videos over HTTP."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from pixr.server.models import Event, VideoRecord
from pixr.server.state import ServerState
from tests.python.server.partner import Partner, code_of


def test_a_video_of_the_library_is_shown_with_its_segments(acme: Partner) -> None:
    video = acme.get("/v1/videos/roof").json()
    assert video["status"] == "completed"
    assert video["title"] == "Solar install"
    assert video["segments"] == {"count": 2, "analyzed": 2}
    assert "source" not in video, "a path of the server's is nobody's business"


def test_a_list_is_walked_by_cursor_and_forged_cursors_are_refused(acme: Partner) -> None:
    first = acme.get("/v1/videos", params={"limit": 1}).json()
    assert [video["videoId"] for video in first["videos"]] == ["boat"]
    cursor = first["pagination"]["nextCursor"]
    second = acme.get("/v1/videos", params={"limit": 1, "cursor": cursor}).json()
    assert [video["videoId"] for video in second["videos"]] == ["roof"]
    assert second["pagination"] == {"nextCursor": None, "hasMore": False}
    last_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".replace(cursor[-1], "")
    for forged in (*(cursor[:-1] + letter for letter in last_letters), "e30", "x" * 900):
        assert code_of(acme.get("/v1/videos", params={"cursor": forged})) == "INVALID_CURSOR"
    other = acme.get("/v1/videos", params={"cursor": cursor, "status": "completed"})
    assert code_of(other) == "INVALID_CURSOR", "a cursor is of one list"
    assert acme.get("/v1/videos", params={"status": "failed"}).json()["videos"] == []


def test_a_list_goes_on_past_what_was_deleted_beside_the_server(acme: Partner, server: ServerState) -> None:
    """A page of videos that `pixr delete` had removed was empty and said to be the last, and those after it missed."""
    with server.database.write() as session:
        for id in ("a", "b", "carpet"):
            session.add(VideoRecord(id=id, organization_id=acme.organization, status="completed"))
    seen, cursor = [], None
    for _ in range(2):
        page = acme.get("/v1/videos", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        seen += [video["videoId"] for video in page["videos"]]
        cursor = page["pagination"]["nextCursor"]
    assert (seen, cursor) == (["boat", "roof"], None)


def test_a_change_is_read_and_found_at_once(acme: Partner) -> None:
    changed = acme.patch("/v1/videos/roof", json={"title": "Thatching", "metadata": {"k": [1, None]}})
    assert changed.status_code == 200, changed.text
    assert acme.get("/v1/videos/roof").json() == changed.json()
    assert changed.json()["metadata"] == {"k": [1, None]}
    found = acme.post("/v1/search", json={"query": "thatching", "modes": ["text"]}).json()
    assert [result["videoId"] for result in found["results"]] == ["roof"]


def test_a_batch_gives_each_update_its_own_outcome(acme: Partner) -> None:
    updates = [
        {"videoId": "roof", "title": "One"},
        {"videoId": "nowhere", "title": "Two"},
        {"videoId": "boat", "created": "not a date"},
    ]
    outcomes = acme.post("/v1/videos/batch", json={"updates": updates}).json()["outcomes"]
    assert [one["status"] for one in outcomes] == ["updated", "failed", "failed"]
    assert [one["error"] and one["error"]["code"] for one in outcomes] == [None, "VIDEO_NOT_FOUND", "INVALID_VIDEO"]
    assert acme.get("/v1/videos/roof").json()["title"] == "One"


def test_a_deleted_video_is_gone_at_once_and_its_event_is_kept_with_it(acme: Partner, server: ServerState) -> None:
    assert acme.delete("/v1/videos/roof").status_code == 204
    assert code_of(acme.get("/v1/videos/roof")) == "VIDEO_NOT_FOUND"
    assert code_of(acme.delete("/v1/videos/roof")) == "VIDEO_NOT_FOUND"
    assert acme.post("/v1/search", json={"query": "solar panels"}).json()["results"] == []
    with server.database.read() as session:
        events = session.scalars(select(Event)).all()
    assert [(event.type, event.subject, event.data) for event in events] == [
        ("video.deleted", "roof", {"videoId": "roof"})
    ]


def test_a_record_goes_after_the_file_that_it_names(acme: Partner, server: ServerState) -> None:
    """A process that was killed in between left a file that nothing knew of any more."""
    begun = acme.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": 10}).json()
    file = server.libraries.home(acme.organization) / "uploads" / begun["uploadId"]
    there: list[bool] = []

    def look(session: Session, _: Any) -> None:
        if any(isinstance(one, VideoRecord) for one in session.deleted):
            there.append(file.exists())

    assert file.is_file()
    event.listen(Session, "after_flush", look)
    try:
        assert acme.delete(f"/v1/videos/{begun['videoId']}").status_code == 204
    finally:
        event.remove(Session, "after_flush", look)
    assert there == [False]


def test_what_only_a_record_keeps_is_refused_where_there_is_none(acme: Partner) -> None:
    """A video that was indexed beside the server was answered 200, and what was invested in it was nowhere."""
    refused = acme.patch("/v1/videos/roof", json={"title": "New", "pixInvestment": 5})
    assert (refused.status_code, code_of(refused)) == (409, "CONFLICT")
    assert acme.get("/v1/videos/roof").json()["title"] == "Solar install"
    (outcome,) = acme.post("/v1/videos/batch", json={"updates": [{"videoId": "roof", "pixInvestment": 5}]}).json()[
        "outcomes"
    ]
    assert (outcome["status"], outcome["error"]["code"]) == ("failed", "CONFLICT")


def test_chapters_are_those_of_the_library(acme: Partner, server: ServerState) -> None:
    asked = {"autoDetect": True, "minChapterLength": 4}
    found = acme.post("/v1/videos/roof/chapters", json=asked).json()["chapters"]
    with server.libraries.reading(acme.organization) as library:
        expected = library.chapters("roof", least_seconds=4.0)
    assert [(one["start"], one["end"], one["title"]) for one in found] == [
        (one.start, one.end, one.title) for one in expected
    ]
    assert found[0]["start"] == 0.0
    assert found[-1]["end"] == 10.0
    assert code_of(acme.post("/v1/videos/nowhere/chapters", json={})) == "VIDEO_NOT_FOUND"


def test_an_id_that_no_video_can_have_is_not_found(acme: Partner) -> None:
    for id in ("..%2F..%2Fetc%2Fpasswd", "%00", "a" * 200, "%E2%80%AE"):
        assert acme.get(f"/v1/videos/{id}").status_code == 404
