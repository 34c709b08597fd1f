"""Tables and transactions, on whichever database the tests run."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from pixr.server.database import Base, Database, now
from pixr.server.events import record
from pixr.server.ids import new_id, repeatable
from pixr.server.models import Delivery, DeliveryAttempt, Event, Organization, WebhookEndpoint
from pixr.server.oauth.jwt import UserTokens
from pixr.server.organizations import create_organization
from pixr.server.settings import Settings
from pixr.server.signing import Signer
from tests.python.server.old_database import old_database


def test_migrations_make_the_tables_that_the_models_say(database_url: str) -> None:
    database = Database(database_url)
    database.migrate()
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_webhooks_on_their_way_outlive_the_making_anew_of_their_events(tmp_path: Path) -> None:
    """A table is made anew by dropping the old one, and what refers to its rows goes with them."""
    database = old_database(tmp_path, "0008")
    with database.write() as session:
        owner = create_organization(session, "a", "developer").id
        session.add(WebhookEndpoint(id="whe", organization_id=owner, url="https://example.com/h", secret="s"))
        record(session, owner, "video.deleted", {"videoId": "v"})
        session.flush()
        delivery = session.scalars(select(Delivery)).one()
        session.add(DeliveryAttempt(delivery_id=delivery.id, at=now(), milliseconds=1.0, request_headers={}))
    database.migrate()
    with database.write() as session:
        assert [one.event.type for one in session.scalars(select(Delivery))] == ["video.deleted"]
        assert session.query(DeliveryAttempt).count() == 1
        assert record(session, owner, "video.deleted", {"videoId": "w"}).sequence == 2
        assert session.query(Delivery).count() == 2
        session.delete(session.get_one(WebhookEndpoint, "whe"))
        session.flush()
        assert session.query(DeliveryAttempt).count() == 0, "keys are looked after again"
    database.close()


def test_an_event_is_there_with_its_cause_or_not_at_all(database_url: str) -> None:
    database = Database(database_url)
    with suppress(ZeroDivisionError), database.write() as session:
        organization = create_organization(session, "a", "developer")
        record(session, organization.id, "video.deleted", {"videoId": "v"})
        session.flush()
        assert session.query(Organization).count() == session.query(Event).count() == 1
        1 / 0  # noqa: B018 - a crash
    with database.read() as session:
        assert session.query(Organization).count() == session.query(Event).count() == 0
    database.close()


def test_writers_wait_for_each_other_and_lose_nothing(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        id = create_organization(session, "a", "developer").id
        session.get_one(Organization, id).retention_days = 0

    def count() -> None:
        for _ in range(10):
            with database.write() as session:
                session.get_one(Organization, id, with_for_update=True).retention_days += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.get_one(Organization, id).retention_days == 40
    database.close()


def test_no_writer_is_overtaken_by_all_others(database_url: str) -> None:
    """At SQLite some waited for a quarter of a minute, and failed then, while others wrote a thousand times."""
    database, together = Database(database_url), threading.Barrier(30)

    def write() -> int:
        count, ends = 0, time.monotonic() + 3
        together.wait()
        while time.monotonic() < ends:
            with database.write() as session:
                session.add(Organization(id=new_id("org"), name="a", plan="developer"))
            count += 1
        return count

    with ThreadPoolExecutor(30) as threads:
        counts = [one.result() for one in [threads.submit(write) for _ in range(30)]]
    database.close()
    assert min(counts) > 0
    if database.is_sqlite:
        assert max(counts) - min(counts) <= 3, counts


def test_ids_are_repeatable_under_a_seed_alone() -> None:
    with repeatable(b"seed"):
        first = [new_id("vid"), new_id("vid"), new_id("upl")]
    with repeatable(b"seed"):
        assert [new_id("vid"), new_id("vid"), new_id("upl")] == first
    assert len({*first, new_id("vid"), new_id("vid")}) == 5


def test_the_file_of_a_database_is_made_with_its_directory(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a/b/server.db")
    database.migrate()
    database.ping()
    database.close()


def test_processes_that_start_together_make_one_secret_of_each_kind(database_url: str, settings: Settings) -> None:
    """On PostgreSQL all but the first ended with an error, at the first start of a server with several `workers`."""

    def start(_: int) -> tuple[str, Any]:
        database = Database(database_url)
        try:
            token = Signer(database).lasting_token("x", purpose="test")
            return token, UserTokens(settings, database).public_keys()["keys"][0]["x"]
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
