"""Test keys act on a sandbox, which is as new every morning; and data lies where its region says."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from starlette.testclient import TestClient
from typer.testing import CliRunner

import pixr
from pixr.cli.app import app
from pixr.library import Library
from pixr.server.database import now
from pixr.server.keys import create_key
from pixr.server.models import Organization, UsageDay, VideoRecord
from pixr.server.organizations import create_organization, find_sandbox, sandbox_of
from pixr.server.sandbox.sandboxes import Sandboxes, next_morning
from pixr.server.state import ServerState
from tests.python.server.conftest import fill, state_of
from tests.python.server.old_database import old_database
from tests.python.server.partner import Partner, code_of


def sandbox(server: ServerState, organization: str) -> Organization:
    with server.database.read() as session:
        found = find_sandbox(session, organization)
    assert found is not None
    return found


@pytest.fixture
def tester(acme: Partner, server: ServerState) -> Partner:
    """A test key of Acme's."""
    with server.database.write() as session:
        key, secret = create_key(session, acme.organization, name="test", environment="test")
    return Partner(acme.client, acme.organization, key.id, secret)


def test_a_test_key_sees_nothing_of_what_is_live_nor_a_live_key_of_the_sandbox(
    acme: Partner, tester: Partner, server: ServerState
) -> None:
    assert tester.key.startswith("pk_test_")
    assert tester.get("/v1/videos").json()["videos"] == []
    assert tester.get("/v1/videos/roof").status_code == 404
    made = tester.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": 3}).json()
    assert acme.get(f"/v1/videos/{made['videoId']}").status_code == 404
    assert tester.get(f"/v1/videos/{made['videoId']}").json()["status"] == "uploading"
    token = tester.post("/v1/auth/user-tokens", json={"subject": "usr_1", "scopes": ["search"]}).json()["token"]
    asked = {"query": "solar panels", "minScore": 0.0}
    as_user = acme.client.post("/v1/search", json=asked, headers={"Authorization": f"Bearer {token}"})
    assert (as_user.status_code, as_user.json()["results"]) == (200, [])
    assert code_of(tester.post("/v1/auth/keys", json={"name": "x", "environment": "live"})) == "FORBIDDEN"
    assert tester.post("/v1/auth/keys", json={"name": "x"}).json()["keyId"].startswith("pk_test_")
    assert acme.post("/v1/auth/keys", json={"name": "x"}).json()["keyId"].startswith("pk_live_")
    about = acme.get("/v1/sandbox").json()
    assert about == tester.get("/v1/sandbox").json()
    assert (about["organization"], about["ready"]) == (sandbox(server, acme.organization).id, False)


def test_whoever_asks_while_a_sandbox_is_made_waits_for_it(acme: Partner, server: ServerState) -> None:
    """On PostgreSQL they tried to make another, and were told of an internal error."""
    with ThreadPoolExecutor(1) as pool:
        with server.database.write() as session:
            made = sandbox_of(session, session.get_one(Organization, acme.organization)).id
            asked = pool.submit(acme.get, "/v1/sandbox")
            time.sleep(0.5)
        answer = asked.result()
    assert (answer.status_code, answer.json()["organization"]) == (200, made)


def test_a_reset_brings_the_test_clips_and_takes_everything_else(
    acme: Partner, tester: Partner, server: ServerState, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("av")
    settings = server.settings.model_copy(update={"screen": False})
    sandboxes = Sandboxes(settings, server.database, server.libraries)
    assert sandboxes.reset_next()
    assert not Sandboxes(settings, server.database, server.libraries).reset_next(), "the next is due tomorrow"
    about = tester.get("/v1/sandbox").json()
    assert about["ready"]
    assert about["nextReset"] == next_morning(now()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found = tester.post("/v1/search", json={"query": "harness on the roof", "modes": ["audio"]}).json()
    assert [one["videoId"] for one in found["results"]] == ["vid_test_solar"]
    thumbnail = acme.client.get(found["results"][0]["thumbnailUrl"])
    assert thumbnail.headers["content-type"] == "image/webp"

    hook = tester.post("/v1/webhooks/endpoints", json={"url": "https://example.com/h"}).json()["endpointId"]
    upload = tester.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": 3}).json()["videoId"]
    tester.delete("/v1/videos/vid_test_bread")
    tester.patch("/v1/videos/vid_test_solar", json={"title": "Changed"})
    assert tester.post("/v1/sandbox/reset").status_code == 202
    assert not tester.get("/v1/sandbox").json()["ready"]
    assert Sandboxes(settings, server.database, server.libraries).reset_next()
    listed = tester.get("/v1/videos").json()["videos"]
    assert [one["title"] for one in listed] == [
        "Sourdough bread for beginners",
        "A morning at the harbour",
        "Installing solar panels",
    ]
    assert tester.get(f"/v1/videos/{upload}").status_code == 404
    with server.database.read() as session:
        assert session.get(VideoRecord, upload) is None
    assert not list((server.libraries.home(sandbox(server, acme.organization).id) / "uploads").glob("*"))
    assert tester.get("/v1/analytics/searches").json()["searches"] == 0
    assert [one["endpointId"] for one in tester.get("/v1/webhooks/endpoints").json()["endpoints"]] == [hook]
    assert acme.get("/v1/videos").json()["videos"][1]["videoId"] == "roof", "what is live is untouched"


def test_an_upload_that_begins_while_a_sandbox_is_reset_keeps_its_file(
    acme: Partner, tester: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was there, and its file went with those from before: what had begun well could not be continued."""
    pytest.importorskip("av")
    load, begun = Library.load, []

    def begins(size: int) -> Any:
        return tester.post("/v1/videos/upload/init", json={"filename": "a.mp4", "size": size}).json()

    def loading(library: Library, path: Path) -> int:
        begun.append(begins(3))
        return load(library, path)

    before = begins(5)
    monkeypatch.setattr(Library, "load", loading)
    settings = server.settings.model_copy(update={"screen": False})
    assert Sandboxes(settings, server.database, server.libraries).reset_next()
    piece = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert acme.client.patch(begun[0]["uploadUrl"], content=b"abc", headers=piece).status_code == 204
    assert tester.get(f"/v1/videos/{begun[0]['videoId']}").json()["status"] == "queued"
    assert code_of(acme.client.patch(before["uploadUrl"], content=b"abc", headers=piece)) == "UPLOAD_NOT_FOUND"


def test_a_reset_that_was_cut_short_is_due_again(
    acme: Partner, tester: Partner, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandboxes = Sandboxes(server.settings, server.database, server.libraries)

    def killed(organization: str) -> int:
        raise RuntimeError(organization)

    monkeypatch.setattr(sandboxes, "reset", killed)
    assert sandboxes.reset_next()
    due = sandbox(server, acme.organization).sandbox_due
    assert due is not None
    assert now() < due <= now() + timedelta(minutes=10)


def test_mornings_are_those_of_utc() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert next_morning(late) == datetime(2026, 11, 26, tzinfo=timezone.utc)


def test_where_one_library_is_served_its_sandbox_is_another(start: Callable[..., TestClient], tmp_path: Path) -> None:
    with pixr.open(tmp_path / "films.pixr"):
        pass
    client = start(library=tmp_path / "films.pixr")
    state = state_of(client)
    with state.database.write() as session:
        owner = create_organization(session, "films", "enterprise").id
        live, live_secret = create_key(session, owner, name="live")
        test, test_secret = create_key(session, owner, name="test", environment="test")
    fill(state, owner)
    assert len(Partner(client, owner, live.id, live_secret).get("/v1/videos").json()["videos"]) == 2
    assert Partner(client, owner, test.id, test_secret).get("/v1/videos").json()["videos"] == []
    assert state.libraries.path(owner) == tmp_path / "films.pixr"


def test_an_organizations_deletion_takes_its_sandbox_along(acme: Partner, tester: Partner, server: ServerState) -> None:
    fill(server, sandbox(server, acme.organization).id)
    assert len(tester.get("/v1/videos").json()["videos"]) == 2
    home = server.libraries.home(sandbox(server, acme.organization).id)
    assert home.exists()
    for who, of in ((tester, sandbox(server, acme.organization).id), (acme, acme.organization)):
        asked = {"scope": "organization", "confirm": of}
        assert who.post("/v1/privacy/deletions", json=asked).status_code == 200
        assert not home.exists()
        if who is tester:
            assert tester.get("/v1/videos").json()["videos"] == [], "a sandbox goes on, empty until its reset"
    assert code_of(tester.get("/v1/videos")) == "INVALID_API_KEY"
    assert sandbox(server, acme.organization).suspended is not None


def test_a_sandbox_that_is_deleted_has_used_what_it_had_used(
    acme: Partner, tester: Partner, server: ServerState
) -> None:
    """Its month began anew: whoever deleted it now and then had no quota."""
    organization = sandbox(server, acme.organization).id
    for _ in range(3):
        tester.get("/v1/videos")
    server.usage.flush()
    asked = {"scope": "organization", "confirm": organization}
    assert tester.post("/v1/privacy/deletions", json=asked).status_code == 200
    server.usage.flush()
    assert tester.get("/v1/usage").json()["calls"] == 4
    server.usage.flush()
    assert acme.post("/v1/privacy/deletions", json=asked | {"confirm": acme.organization}).status_code == 200
    with server.database.read() as session:
        left = select(func.count()).select_from(UsageDay).where(UsageDay.organization_id == organization)
        assert session.scalar(left) == 0


def test_test_keys_from_before_there_were_sandboxes_get_one(tmp_path: Path) -> None:
    database = old_database(tmp_path, "0006")
    with database.engine.connect() as connection:
        columns = "(id, name, plan, sandbox, retention_days, branding, created)"
        for name in ("a", "b"):
            values = f"('{name}', '{name}', 'startup', false, 7, '{{}}', '2026-01-01')"
            connection.execute(text(f"INSERT INTO organizations {columns} VALUES {values}"))
        connection.execute(
            text(
                "INSERT INTO api_keys (id, organization_id, name, environment, secret_hash, scopes, created)"
                " VALUES ('pk', 'a', 'k', 'test', 'x', '[]', '2026-01-01')"
            )
        )
        connection.commit()
    database.migrate()
    with database.read() as session:
        made = find_sandbox(session, "a")
        assert made is not None
        assert (made.sandbox, made.plan, made.retention_days) == (True, "startup", 7)
        assert find_sandbox(session, "b") is None
    database.close()


def test_data_lies_where_the_region_says(start: Callable[..., TestClient], tmp_path: Path) -> None:
    client = start(regions={"eu": tmp_path / "eu"})
    state = state_of(client)
    partners: dict[str | None, Partner] = {}
    with state.database.write() as session:
        for region in (None, "eu", "mars"):
            made = create_organization(session, "R", "enterprise", region=region)
            key, secret = create_key(session, made.id, name="live")
            partners[region] = Partner(client, made.id, key.id, secret)
    for region in (None, "eu"):
        upload = {"filename": "a.mp4", "size": 3}
        partner = partners[region]
        url = partner.post("/v1/videos/upload/init", json=upload).json()["uploadUrl"]
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Tus-Resumable": "1.0.0"}
        assert (
            client.patch(url.removeprefix(state.settings.base_url), content=b"abc", headers=headers).status_code == 204
        )
        assert partner.get("/v1/videos").status_code == 200
    eu, usual = (tmp_path / name / "organizations" for name in ("eu", "data"))
    assert [one.name for one in eu.iterdir()] == [partners["eu"].organization]
    assert [one.name for one in usual.iterdir()] == [partners[None].organization]
    assert list(eu.rglob("library.pixr"))
    elsewhere = partners["mars"].get("/v1/videos")
    assert (elsewhere.status_code, code_of(elsewhere)) == (503, "UNAVAILABLE")


def admin(data: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["admin", "--data", str(data), *arguments])


def test_the_operator_names_regions_that_there_are(tmp_path: Path) -> None:
    refused = admin(tmp_path, "create-organization", "Acme", "--region", "mars")
    assert refused.exit_code == 1
    assert "no region 'mars'" in refused.stderr
    config = tmp_path / "pixr.toml"
    config.write_text(f'data = "{tmp_path}"\n[regions]\neu = "{tmp_path / "eu"}"\n')
    made = CliRunner().invoke(app, ["admin", "--config", str(config), "create-organization", "A", "--region", "eu"])
    assert made.exit_code == 0, made.output
