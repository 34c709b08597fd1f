"""Good credentials are known for a second, and never longer than they are good."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from anyio import move_on_after
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from pixr.server.authentication import Credentials
from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.events import EVENT_TYPES, record
from pixr.server.following import follow
from pixr.server.keys import principal_of_key
from pixr.server.known_credentials import KNOWN_SECONDS, KnownCredentials
from pixr.server.models import ApiKey, OAuthClient, OAuthToken, Organization, UsageDay
from pixr.server.principal import Principal
from pixr.server.state import ServerState
from tests.python.server.partner import Partner, code_of


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def known(acme: Partner, server: ServerState, clock: list[float]) -> KnownCredentials:
    """Acme's key, looked up at 0."""
    made = KnownCredentials(server.database, lambda: clock[0])
    made.look_up(principal_of_key, acme.key, acme.secret)
    return made


def test_a_key_is_known_for_a_second_by_both_its_halves(
    acme: Partner, known: KnownCredentials, clock: list[float]
) -> None:
    who = known.find(acme.key, acme.secret)
    assert who is not None
    assert who.organization == acme.organization
    for stranger in ((acme.key, acme.secret + "x"), (acme.key, ""), ("", acme.secret), (acme.key,), (acme.secret,)):
        assert known.find(*stranger) is None
    clock[0] = KNOWN_SECONDS
    assert known.find(acme.key, acme.secret) is None


def test_no_secret_is_kept_in_what_is_known(acme: Partner, known: KnownCredentials) -> None:
    assert known.find(acme.key, acme.secret) is not None
    assert acme.secret not in repr(vars(known))
    assert acme.secret.encode() not in b"".join(vars(known)["_known"])


def test_a_change_of_the_organization_ends_what_is_known(
    acme: Partner, server: ServerState, known: KnownCredentials
) -> None:
    with server.database.write() as session:
        session.get_one(Organization, acme.organization).plan = "startup"
        assert known.find(acme.key, acme.secret) is not None  # nobody has been told yet that it is changed
    assert known.find(acme.key, acme.secret) is None
    assert known.look_up(principal_of_key, acme.key, acme.secret).plan == "startup"


@pytest.mark.parametrize("model", [Organization, ApiKey, OAuthClient, OAuthToken])
@pytest.mark.parametrize("how", [update, delete])
def test_a_statement_on_what_says_whose_they_are_ends_it(
    server: ServerState, acme: Partner, known: KnownCredentials, model: Any, how: Any
) -> None:
    changed = how(model).where(model.organization_id == "nobody" if model is not Organization else model.id == "nobody")
    if how is update:
        changed = changed.values(organization_id="nobody") if model is not Organization else changed.values(plan="free")
    with server.database.write() as session:
        session.execute(changed)
    assert known.find(acme.key, acme.secret) is None


def test_what_else_is_written_leaves_it(acme: Partner, server: ServerState, known: KnownCredentials) -> None:
    with server.database.write() as session:
        record(session, acme.organization, "usage.threshold", {"metric": "calls"})
        session.execute(insert(UsageDay).values(organization_id=acme.organization, day=now().date(), kind="x", count=1))
    assert known.find(acme.key, acme.secret) is not None


def test_what_is_read_while_it_is_changed_is_not_known_after(
    acme: Partner, server: ServerState, known: KnownCredentials
) -> None:
    def found_and_then_revoked(session: Session, id: str, secret: str) -> Principal:
        who = principal_of_key(session, id, secret)
        session.close()
        with server.database.write() as other:
            other.get_one(ApiKey, id).revoked = now()
        return who

    known.look_up(found_and_then_revoked, acme.key, acme.secret)
    assert known.find(acme.key, acme.secret) is None


@pytest.mark.parametrize("ending", ["expires", "previous_expires"])
def test_a_key_that_ends_within_the_second_is_known_until_then(
    acme: Partner, server: ServerState, known: KnownCredentials, ending: str
) -> None:
    with server.database.write() as session:
        key = session.get_one(ApiKey, acme.key)
        if ending == "previous_expires":
            key.previous_hash, key.secret_hash = key.secret_hash, b"another"
        setattr(key, ending, now() + timedelta(seconds=0.4))
    known.look_up(principal_of_key, acme.key, acme.secret)
    assert known.find(acme.key, acme.secret) is not None
    time.sleep(0.4)
    assert known.find(acme.key, acme.secret) is None
    with pytest.raises(ApiError, match="not valid"):
        known.look_up(principal_of_key, acme.key, acme.secret)


def test_what_another_process_revokes_counts_within_the_second(
    acme: Partner, start: Callable[..., TestClient], server: ServerState
) -> None:
    made: dict[str, Any] = acme.post("/v1/auth/keys", json={"name": "b", "scopes": ["videos.read"]}).json()
    elsewhere = start()  # on the same database, as another worker is
    backend = Partner(elsewhere, acme.organization, made["keyId"], made["secret"])
    assert backend.get("/v1/videos").status_code == 200
    begun = time.monotonic()
    assert acme.delete(f"/v1/auth/keys/{made['keyId']}").status_code == 200
    while backend.get("/v1/videos").status_code == 200:
        assert time.monotonic() - begun < KNOWN_SECONDS + 0.5
    assert code_of(backend.get("/v1/videos")) == "INVALID_API_KEY"


def test_many_who_follow_with_one_user_token_look_it_up_once_a_second(
    acme: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read the database twice a second by itself."""
    made = acme.post("/v1/auth/user-tokens", json={"subject": "usr_1", "scopes": ["webhooks"]}).json()
    checks, check = list[float](), server.user_tokens.principal

    def counted(*given: Any) -> Principal:
        checks.append(time.monotonic())
        time.sleep(0.05)
        return check(*given)

    monkeypatch.setattr(server.user_tokens, "principal", counted)

    async def follow_events() -> None:
        shown = Credentials(server, {"authorization": f"Bearer {made['token']}"})
        with move_on_after(2.6):
            async for _ in follow(server, shown, EVENT_TYPES, 0):
                pass

    async def many() -> None:
        await asyncio.gather(*(follow_events() for _ in range(20)))

    asyncio.run(many())
    assert 2 <= len(checks) <= 4, "once at the beginning, and then whenever a second is over"


@pytest.mark.parametrize("ending", ["token", "key"])
def test_a_user_token_that_ends_within_the_second_is_known_until_then(
    acme: Partner, server: ServerState, ending: str
) -> None:
    with server.database.write() as session:
        session.get_one(ApiKey, acme.key).expires = now() + timedelta(seconds=1.2 if ending == "key" else 60)
    seconds = -29 if ending == "token" else 60  # half a minute of leeway
    scopes = ["webhooks"]
    token = server.user_tokens.issue(acme.organization, "usr_1", scopes, seconds, None, maker=acme.key)
    who = server.known.look_up(server.user_tokens.principal, token)
    assert who.expires is not None
    assert server.known.find(token) == who
    time.sleep(max(0.0, (who.expires - now()).total_seconds()))
    assert server.known.find(token) is None


def test_who_asks_after_a_write_does_not_share_what_was_looked_up_before(acme: Partner, server: ServerState) -> None:
    """A key that is revoked here is revoked at once, also for those who come while it is still being looked up."""
    looking, go_on = threading.Event(), threading.Event()

    def slowly(session: Session, id: str, secret: str) -> Principal:
        who = principal_of_key(session, id, secret)
        looking.set()
        assert go_on.wait(10)
        return who

    async def both() -> None:
        before = asyncio.ensure_future(server.known.ask(slowly, acme.key, acme.secret))
        await asyncio.to_thread(looking.wait, 10)
        with server.database.write() as session:
            session.get_one(ApiKey, acme.key).revoked = now()
        with pytest.raises(ApiError, match="not valid"):
            await server.known.ask(principal_of_key, acme.key, acme.secret)
        go_on.set()
        await before

    asyncio.run(both())
    assert server.known.find(acme.key, acme.secret) is None
