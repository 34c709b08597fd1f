"""What was searched is written down, and one search that can't be never holds up the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.testclient import TestClient

from pixr.server.database import Database, now
from pixr.server.models import Organization, SearchAppearance, SearchRecord
from pixr.server.principal import Principal
from pixr.server.search_log import SearchLog
from pixr.server.state import ServerState
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner, code_of

SECRET = "what nobody else is to read"


@pytest.fixture
def searched(acme: Partner, server: ServerState) -> Callable[..., str]:
    """Remembers a search of Acme's, as if it had been answered; its id."""
    with server.libraries.reading(acme.organization) as library:
        hits = library.search("solar panels", modes=["text"])
    who = Principal.of(owner(server, acme), subject="usr_1", scopes=["search"])

    def remembered(query: str, *, of: SearchLog | None = None, **changes: Any) -> str:
        return (of or server.search_log).add(replace(who, **changes), query, hits, range(1, 1 + len(hits)))

    return remembered


def owner(server: ServerState, partner: Partner) -> Organization:
    with server.database.read() as session:
        return session.get_one(Organization, partner.organization)


def queries(database: Database) -> set[str | None]:
    with database.read() as session:
        return set(session.scalars(select(SearchRecord.query)))


@contextmanager
def away(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database whose every transaction fails."""

    def lost() -> Any:
        raise OperationalError("INSERT", {}, Exception("the connection is lost"))

    with patch.context() as patched:
        patched.setattr(Database, "write", lambda _: lost())
        yield


def test_a_search_with_a_nul_is_recorded_and_holds_up_nobody(acme: Partner, server: ServerState) -> None:
    """PostgreSQL's text has no NUL. One such search once kept those of all organizations from being written."""
    for query in ("before", "a\0b", "after"):
        assert acme.post("/v1/search", json={"query": query, "modes": ["text"]}).status_code == 200
    server.search_log.flush()
    assert queries(server.database) == {"before", "a\ufffdb", "after"}
    deletion = {"scope": "user", "userId": "usr_1"}
    assert acme.post("/v1/privacy/deletions", json=deletion).status_code == 200


def test_what_can_not_be_stored_is_dropped_alone_and_not_logged(
    searched: Callable[..., str], server: ServerState, caplog: pytest.LogCaptureFixture
) -> None:
    searched("one")
    searched(SECRET, organization="an organization that is gone")
    searched("two")
    with caplog.at_level(logging.WARNING):
        server.search_log.flush()
    assert queries(server.database) == {"one", "two"}
    assert "1 of 3 searches" in caplog.text
    assert SECRET not in caplog.text
    searched("three")
    server.search_log.flush()
    assert queries(server.database) == {"one", "two", "three"}


def test_searches_wait_while_the_database_is_away_and_nothing_fails_by_it(
    searched: Callable[..., str], server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SearchLog(server.database)
    with away(monkeypatch):
        searched("kept", of=log)
        log.flush()
    log.flush()
    assert queries(server.database) == {"kept"}
    with away(monkeypatch):
        searched("lost", of=log)
        log.close()


def test_what_waits_of_a_user_is_not_written_after_its_deletion(
    searched: Callable[..., str], acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with away(monkeypatch):
        searched("of the user")
        searched("of another", subject="usr_2")
        server.search_log.flush()
        server.search_log.forget(acme.organization, "usr_1")
    server.search_log.flush()
    assert queries(server.database) == {"of another"}


@pytest.mark.parametrize("scope", ["user", "organization"])
def test_what_waits_in_another_process_is_deleted_too(
    scope: str, acme: Partner, server: ServerState, start: Callable[..., TestClient]
) -> None:
    """It was written half a second after the deletion, and stayed as long as any search."""
    elsewhere = start()
    server.search_log.flush()
    token = server.user_tokens.issue(acme.organization, "usr_1", ["search"], 60, None)
    bearer = {"Authorization": f"Bearer {token}"}
    assert elsewhere.post("/v1/search", json={"query": "solar panels"}, headers=bearer).status_code == 200
    asked = {"scope": scope, "userId": "usr_1"} if scope == "user" else {"scope": scope, "confirm": acme.organization}
    deleted = acme.post("/v1/privacy/deletions", json=asked)
    assert deleted.status_code == 200, deleted.text
    assert deleted.json()["rows"]["searches"] == 1
    state_of(elsewhere).search_log.flush()
    assert queries(server.database) == set()


def test_an_exception_of_the_database_says_nothing_of_what_was_stored(server: ServerState) -> None:
    row = SearchRecord(
        id="x", organization_id="none", subject="s", query=SECRET, total=0, milliseconds=0, created=now()
    )
    with pytest.raises(IntegrityError) as refused, server.database.write() as session:
        session.add(row)
    assert SECRET not in str(refused.value)


def test_a_token_of_a_user_has_no_nul(acme: Partner) -> None:
    answer = acme.post("/v1/auth/user-tokens", json={"subject": "a\0b", "scopes": ["search"]})
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")
    assert answer.json()["errors"][0]["pointer"] == "/subject"


def test_a_click_that_another_process_gets_is_counted(acme: Partner, start: Callable[..., TestClient]) -> None:
    """The one that answered the search writes it half a second later, and until then the click was refused with 404."""
    elsewhere = Partner(start(), acme.organization, acme.key, acme.secret)
    for partner in (acme, elsewhere):  # once, so that what comes next takes no longer than it has to
        partner.post("/v1/search", json={"query": "solar panels"})
    found = acme.post("/v1/search", json={"query": "solar panels"}).json()
    clicked = elsewhere.post(f"/v1/search/{found['searchId']}/clicks", json={"videoId": "roof"})
    assert clicked.status_code == 204, clicked.text
    assert elsewhere.get("/v1/analytics/searches").json()["searchesWithClicks"] == 1


def test_much_that_is_too_old_is_deleted_in_pieces_that_hold_nobody_up(acme: Partner, server: ServerState) -> None:
    """It was one transaction of up to ten thousand searches for each organization: all who write waited for its end."""
    old, fresh = now() - timedelta(days=91), now()
    owned = {"organization_id": acme.organization, "subject": "u", "query": "q", "total": 0, "milliseconds": 1.0}
    shown = {"organization_id": acme.organization, "video_id": "roof", "position": 1, "score": 1.0, "created": old}
    late = [f"srch_{number}" for number in range(2_500)]
    with server.database.write() as session:
        session.execute(insert(SearchRecord), [{"id": id, "created": old, **owned} for id in late])
        session.execute(insert(SearchAppearance), [{"search_id": id, "clicks": 0, **shown} for id in late])
        session.execute(insert(SearchRecord), [{"id": "srch_fresh", "created": fresh, **owned}])
    deleted: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("DELETE FROM searches"):
            deleted.append(cursor.rowcount)

    transactions = server.database.written("searches")
    event.listen(server.database.engine, "after_cursor_execute", note)
    assert server.search_log.sweep() == 2_500
    event.remove(server.database.engine, "after_cursor_execute", note)
    assert (max(deleted), sum(deleted)) == (1_000, 2_500)
    assert server.database.written("searches") - transactions == len(deleted) == 3
    with server.database.read() as session:
        assert session.scalars(select(SearchRecord.id)).all() == ["srch_fresh"]
        assert session.scalars(select(SearchAppearance)).all() == []
    assert server.search_log.sweep() == 0
