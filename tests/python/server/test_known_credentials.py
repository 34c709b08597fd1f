"""Good credentials are known for a second, and never longer than they are good."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.events import record
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
