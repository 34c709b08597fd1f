"""Who follows events is told each of them, in whichever order the transactions that recorded them end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from pixr.server.database import Database, now
from pixr.server.events import EVENT_TYPES, record, take_turn
from pixr.server.following import events_after
from pixr.server.models import Event, SearchAppearance, SearchRecord, VideoRecord, WebhookEndpoint
from pixr.server.organizations import create_organization
from pixr.server.webhooks.appearances import record_appearances
from pixr.server.webhooks.endpoints import send_test

_WAITS_SECONDS = 0.5


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The tables."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def organization(database: Database) -> str:
    """With a video, an endpoint, and a search that showed the video."""
    past = now() - timedelta(minutes=1)
    with database.write() as session:
        id = create_organization(session, "a", "developer").id
        session.flush()
        session.add(VideoRecord(id="v", organization_id=id, status="processing", worker="w", filename="v.mp4"))
        session.add(
            WebhookEndpoint(
                id="whe", organization_id=id, url="https://example.com/h", secret="s", event_types=[], created=past
            )
        )
        session.add(
            SearchRecord(id="srch", organization_id=id, subject="u", query="q", total=1, milliseconds=1.0, created=past)
        )
        session.flush()
        session.add(
            SearchAppearance(
                search_id="srch", video_id="v", organization_id=id, position=1, score=1.0, clicks=0, created=now()
            )
        )
    return id


def beside(database: Database, work: Callable[[Session], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Does `work` in a transaction of another thread, which has begun, and ended if it has not to wait."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with database.write() as session:
                work(session)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(_WAITS_SECONDS)
    return thread, failures


@pytest.mark.parametrize("second", ["recorded", "tested"])
def test_an_event_that_is_committed_late_is_not_missed(second: str, database: Database, organization: str) -> None:
    """PostgreSQL numbers events before they are committed: who had seen the second was never told the first."""
    seen: list[str] = []

    def follow(after: int) -> int:
        for event in events_after(database, organization, EVENT_TYPES, after):
            seen.append(event.id)
            after = event.sequence
        return after

    def tell(session: Session) -> None:
        if second == "recorded":
            told.append(record(session, organization, "video.deleted", {"videoId": "b"}).id)
        else:
            delivery = send_test(session, organization, "whe", "video.deleted")
            session.flush()
            told.append(delivery.event.id)

    told: list[str] = []
    with database.write() as session:
        told.append(record(session, organization, "video.deleted", {"videoId": "a"}).id)
        session.flush()
        other, failures = beside(database, tell)
        last = follow(0)
    other.join()
    follow(last)
    assert (failures, seen) == ([], told)


def test_organizations_do_not_wait_for_each_other(database: Database, organization: str) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")
    with database.write() as session:
        stranger = create_organization(session, "b", "developer").id
    with database.write() as session:
        record(session, organization, "video.deleted", {"videoId": "a"})
        session.flush()
        other, failures = beside(database, lambda one: record(one, stranger, "video.deleted", {"videoId": "b"}))
        assert not other.is_alive()
    assert failures == []


def test_who_deletes_a_video_waits_for_its_worker_and_not_the_worker_for_it(
    database: Database, organization: str
) -> None:
    """Both record an event: had the first its turn before it has the row, each would wait for the other."""

    def delete(session: Session) -> None:
        session.delete(session.get_one(VideoRecord, "v"))
        record(session, organization, "video.deleted", {"videoId": "v"})

    with database.write() as session:
        session.get_one(VideoRecord, "v", with_for_update=True).progress = 0.5
        session.flush()
        other, failures = beside(database, delete)
        record(session, organization, "video.processed", {"videoId": "v"})
    other.join()
    assert failures == []
    assert [event.type for event in events_after(database, organization, EVENT_TYPES, 0)] == [
        "video.processed",
        "video.deleted",
    ]


def test_recording_appearances_and_other_events_does_not_deadlock(database: Database, organization: str) -> None:
    """The first holds the organization's row, which every event refers to, while it waits for its turn."""
    with database.write() as session:
        take_turn(session, organization)
        other, failures = beside(database, lambda one: record_appearances(one, now()))
        record(session, organization, "video.deleted", {"videoId": "v"})
    other.join()
    assert failures == []
    told = {event.type for event in events_after(database, organization, EVENT_TYPES, 0)}
    assert told == {"video.deleted", "video.search_appearance"}


def test_a_number_of_an_event_is_never_given_again(database: Database, organization: str) -> None:
    """On SQLite the next event took the number of the last one that was deleted, and who had seen that was not told it.

    So who followed events while a user was deleted never heard of it: what the user's videos had been told went first.
    """
    with database.write() as session:
        last = record(session, organization, "video.deleted", {"videoId": "v"}).sequence
    with database.write() as session:
        session.execute(delete(Event).where(Event.organization_id == organization))
    with database.write() as session:
        record(session, organization, "privacy.deleted", {"receiptId": "r", "videos": 1})
    assert [event.type for event in events_after(database, organization, EVENT_TYPES, last)] == ["privacy.deleted"]


def test_an_endpoint_that_is_deleted_meanwhile_keeps_nothing_from_being_recorded(
    database: Database, organization: str
) -> None:
    """On PostgreSQL it was still seen, and then gone: the delivery to it failed, with all that the transaction did."""
    with database.write() as session:
        session.delete(session.get_one(WebhookEndpoint, "whe"))
        session.flush()
        thread, failures = beside(
            database, lambda other: record(other, organization, "video.deleted", {"videoId": "v"})
        )
    thread.join()
    assert failures == []
    assert [event.type for event in events_after(database, organization, EVENT_TYPES, 0)] == ["video.deleted"]


@pytest.mark.parametrize("before", ["told and tested", "told long ago"])
def test_appearances_that_were_reported_are_not_reported_again(
    before: str, database: Database, organization: str
) -> None:
    """They were after a test event of their type, and when what told them had been deleted after its thirty days."""
    with database.write() as session:
        assert record_appearances(session, now()) == 1
        if before == "told and tested":
            send_test(session, organization, "whe", "video.search_appearance")
        else:
            session.execute(delete(Event))
            past = now() - timedelta(days=31)
            session.get_one(WebhookEndpoint, "whe").created = past - timedelta(days=1)
            session.get_one(SearchAppearance, ("srch", "v")).created = past
    with database.write() as session:
        assert record_appearances(session, now()) == 0


@pytest.mark.parametrize("again", ["not shown again", "shown again"])
def test_a_click_that_comes_after_its_appearance_was_reported_is_reported(
    again: str, database: Database, organization: str
) -> None:
    """It was in analytics alone, and the sum of all events was less than what had been clicked."""

    def told() -> list[dict[str, Any]]:
        with database.write() as session:
            if not record_appearances(session, now()):
                return []
        found: list[dict[str, Any]] = events_after(database, organization, EVENT_TYPES, 0)[-1].data["videos"]
        return found

    def click(times: int) -> None:
        with database.write() as session:
            session.get_one(SearchAppearance, ("srch", "v")).clicks += times

    click(1)
    assert told() == [{"videoId": "v", "appearances": 1, "bestRank": 1, "clicks": 1}]
    assert told() == []
    click(2)
    if again == "shown again":
        show(database, organization, "later", position=3)
    shown = {"appearances": 1, "bestRank": 3} if again == "shown again" else {"appearances": 0, "bestRank": 1}
    assert told() == [{"videoId": "v", **shown, "clicks": 2}]
    assert told() == []


def test_clicks_on_what_was_shown_before_there_was_an_endpoint_are_not_reported(
    database: Database, organization: str
) -> None:
    """Neither was the appearance."""
    with database.write() as session:
        session.get_one(WebhookEndpoint, "whe").created = now() + timedelta(milliseconds=1)
        session.get_one(SearchAppearance, ("srch", "v")).clicks = 5
    with database.write() as session:
        assert record_appearances(session, now() + timedelta(seconds=1)) == 0


def show(database: Database, organization: str, search: str, *, position: int) -> None:
    """Records a search that showed the video."""
    owned: dict[str, Any] = {"organization_id": organization, "created": now()}
    with database.write() as session:
        session.add(SearchRecord(id=search, subject="u", query="q", total=1, milliseconds=1.0, **owned))
        session.flush()
        session.add(SearchAppearance(search_id=search, video_id="v", position=position, score=1.0, **owned))
