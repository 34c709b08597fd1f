"""Keys: shown once, checked, rotated, revoked, and never of use to another organization."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from starlette.testclient import TestClient

from pixr.server.database import now
from pixr.server.models import ApiKey
from pixr.server.openapi import api_routes, scope_of
from pixr.server.principal import SCOPES
from pixr.server.state import ServerState
from tests.python.server.conftest import fill
from tests.python.server.partner import Partner, code_of

# Asks for a scope field by field; see `test_graphql.py`.
BY_FIELD = {"graphql"}
OPEN = {"health", "isLive", "isReady", "metrics", "describeUploads"}
OPEN |= {"getPlayer", "getMedia"}  # what opens these is the token in their path
OPEN |= {"getToken", "revokeToken", "introspectToken", "authorize", "consent", "oauthMetadata", "jwks"}
OPEN |= {"receiveWebhook", "showInspector"}


def test_no_credentials_wrong_ones_and_half_of_them_have_different_codes(client: TestClient, acme: Partner) -> None:
    none = client.get("/v1/videos")
    assert (none.status_code, code_of(none)) == (401, "AUTHENTICATION_REQUIRED")
    assert none.headers["www-authenticate"].startswith("Bearer")
    for headers in (
        {"X-API-Key": acme.key, "X-API-Secret": acme.secret + "x"},
        {"X-API-Key": acme.key},
        {"X-API-Key": "pk_live_none", "X-API-Secret": acme.secret},
        {"X-API-Key": acme.key, "X-API-Secret": "é\x7f"},
    ):
        wrong = client.get("/v1/videos", headers={name.encode(): value.encode() for name, value in headers.items()})
        assert (wrong.status_code, code_of(wrong)) == (401, "INVALID_API_KEY")


def test_a_made_key_works_until_it_is_revoked_and_only_its_hash_is_kept(acme: Partner, server: ServerState) -> None:
    made = acme.post("/v1/auth/keys", json={"name": "backend", "scopes": ["videos.read"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert key["keyId"].startswith("pk_live_")
    backend = Partner(acme.client, acme.organization, key["keyId"], key["secret"])
    assert backend.get("/v1/videos").status_code == 200
    narrow = backend.post("/v1/search", json={"query": "x"})
    assert (narrow.status_code, code_of(narrow)) == (403, "INSUFFICIENT_SCOPE")
    assert 'scope="search"' in narrow.headers["www-authenticate"]
    with server.database.read() as session:
        kept = session.scalars(select(ApiKey).where(ApiKey.id == key["keyId"])).one()
        assert key["secret"].encode() not in repr(vars(kept)).encode()
    assert key["secret"] not in acme.get("/v1/auth/keys").text
    assert acme.delete(f"/v1/auth/keys/{key['keyId']}").json()["revoked"] is not None
    assert code_of(backend.get("/v1/videos")) == "INVALID_API_KEY"


def test_a_key_expires_in_a_future_that_can_be_written_down(acme: Partner) -> None:
    for wrong in ("2020-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        answer = acme.post("/v1/auth/keys", json={"name": "late", "scopes": ["search"], "expires": wrong})
        assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")
        assert answer.json()["errors"][0]["pointer"] == "/expires"
    soon = {"name": "soon", "scopes": ["search"], "expires": "9000-01-01T00:00:00Z"}
    assert acme.post("/v1/auth/keys", json=soon).status_code == 201


def test_nobody_gives_away_a_scope_that_he_lacks(join: Callable[..., Partner]) -> None:
    admin = join(scopes=["admin"])
    refused = admin.post("/v1/auth/keys", json={"name": "more", "scopes": ["admin", "search"]})
    assert (refused.status_code, code_of(refused)) == (403, "INSUFFICIENT_SCOPE")


def test_nobody_rotates_a_key_that_has_a_scope_which_he_lacks(acme: Partner) -> None:
    """The new secret of a key with all scopes was told to whoever had `admin` alone."""
    made = acme.post("/v1/auth/keys", json={"name": "narrow", "scopes": ["admin"]}).json()
    narrow = Partner(acme.client, acme.organization, made["keyId"], made["secret"])
    refused = narrow.post(f"/v1/auth/keys/{acme.key}/rotate", json={"overlapSeconds": 0})
    assert (refused.status_code, code_of(refused)) == (403, "INSUFFICIENT_SCOPE")
    assert acme.get("/v1/videos").status_code == 200, "the refused rotation changed nothing"
    assert narrow.post(f"/v1/auth/keys/{narrow.key}/rotate", json={"overlapSeconds": 0}).status_code == 200


def test_of_rotations_at_a_time_one_is_carried_out(acme: Partner) -> None:
    """On PostgreSQL several were, and all but one of the secrets that were told opened nothing."""
    made = acme.post("/v1/webhooks/endpoints", json={"url": "https://example.com/h"}).json()["endpointId"]
    for path in (f"/v1/webhooks/endpoints/{made}/rotate", f"/v1/auth/keys/{acme.key}/rotate"):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, path=path: acme.post(path, json={"overlapSeconds": 60}), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    told = next(answer.json()["secret"] for answer in answers if answer.status_code == 200)
    assert Partner(acme.client, acme.organization, acme.key, told).get("/v1/videos").status_code == 200


def test_after_a_rotation_both_secrets_work_until_the_overlap_ends(acme: Partner, server: ServerState) -> None:
    rotated = acme.post(f"/v1/auth/keys/{acme.key}/rotate", json={"overlapSeconds": 60}).json()
    renewed = Partner(acme.client, acme.organization, acme.key, rotated["secret"])
    assert acme.get("/v1/videos").status_code == renewed.get("/v1/videos").status_code == 200
    with server.database.write() as session:
        session.get_one(ApiKey, acme.key).previous_expires = now() - timedelta(seconds=1)
    assert code_of(acme.get("/v1/videos")) == "INVALID_API_KEY"
    assert renewed.get("/v1/videos").status_code == 200


def test_a_second_rotation_ends_no_secret_that_was_promised_to_stay(acme: Partner) -> None:
    """There is room for one secret before the present one; the first one of three was forgotten."""
    path = f"/v1/auth/keys/{acme.key}/rotate"
    second = acme.post(path, json={"overlapSeconds": 600}).json()["secret"]
    refused = acme.post(path, json={"overlapSeconds": 600})
    assert (refused.status_code, code_of(refused)) == (409, "CONFLICT")
    renewed = Partner(acme.client, acme.organization, acme.key, second)
    assert acme.get("/v1/videos").status_code == renewed.get("/v1/videos").status_code == 200
    third = acme.post(path, json={"overlapSeconds": 0}).json()["secret"]
    assert code_of(acme.get("/v1/videos")) == code_of(renewed.get("/v1/videos")) == "INVALID_API_KEY"
    last = Partner(acme.client, acme.organization, acme.key, third)
    assert last.post(path, json={"overlapSeconds": 600}).status_code == 200


def test_an_expired_key_and_a_suspended_organization_are_refused(acme: Partner, server: ServerState) -> None:
    with server.database.write() as session:
        session.get_one(ApiKey, acme.key).expires = now() - timedelta(seconds=1)
    assert code_of(acme.get("/v1/videos")) == "INVALID_API_KEY"
    with server.database.write() as session:
        key = session.get_one(ApiKey, acme.key)
        key.expires, key.organization.suspended = None, now()
    suspended = acme.get("/v1/videos")
    assert (suspended.status_code, code_of(suspended)) == (403, "FORBIDDEN")


def test_every_route_has_a_scope_or_is_meant_to_be_open(client: TestClient) -> None:
    for route in api_routes(client.app):  # type: ignore[arg-type]
        assert (scope_of(route) in SCOPES) != (route.operation_id in OPEN | BY_FIELD), route.path


def test_on_every_route_a_stranger_finds_nothing_of_another_organization(
    client: TestClient, acme: Partner, join: Callable[..., Partner], server: ServerState
) -> None:
    """Walks every route with ids of Acme and the key of another: never a success that tells or changes anything."""
    stranger = join("Stranger")
    secrets = {"roof", "boat", "Solar", "Harbour", acme.organization, acme.key}
    upload = acme.post("/v1/videos/upload/init", json={"filename": "roof.mp4", "size": 3}).json()
    endpoint = acme.post("/v1/webhooks/endpoints", json={"url": "https://hooks.invalid/acme"}).json()
    delivery = acme.post(f"/v1/webhooks/endpoints/{endpoint['endpointId']}/test", json={}).json()
    inspector = acme.post("/v1/webhooks/inspector", json={}).json()
    acme.client.post(inspector["url"].removeprefix(server.settings.base_url), content="planted")
    received = acme.get(f"/v1/webhooks/inspector/{inspector['inspectorId']}").json()["requests"][0]
    secrets |= {"hooks.invalid", "planted", endpoint["secret"]}
    ids = {
        "videoId": "roof",
        "keyId": acme.key,
        "uploadId": upload["uploadId"],
        "endpointId": endpoint["endpointId"],
        "deliveryId": delivery["deliveryId"],
        "inspectorId": inspector["inspectorId"],
        "requestId": received["requestId"],
    }
    client_body = {"name": "Acme's", "scopes": ["search"]}
    ids["clientId"] = acme.post("/v1/auth/clients", json=client_body).json()["clientId"]
    bodies: dict[str, Any] = {
        "search": {"query": "solar panels", "minScore": 0.0},
        "beginUpload": {"filename": "a.mp4", "size": 1},
        "createVideo": {"url": "http://127.0.0.1/"},
        "updateVideo": {"title": "taken over"},
        "updateVideos": {"updates": [{"videoId": "roof", "title": "taken over"}]},
        "createKey": {"name": "mine"},
        "createClient": {"name": "mine", "scopes": ["search"]},
        "clickResult": {"videoId": "roof"},
        "createChapters": {},
        "createUserToken": {"subject": "me", "scopes": ["search"]},
        "rotateKey": {},
        "createWebhookEndpoint": {"url": "https://example.com/mine"},
        "updateWebhookEndpoint": {"enabled": False},
        "rotateWebhookSecret": {},
        "sendTestWebhook": {},
        "createInspector": {},
        "graphql": {
            "query": '{ search(input: {query: "solar panels", minScore: 0}) { results { title } }'
            " videos { videos { title } }"
            ' webhookEndpoints { url secret } video(videoId: "roof") { title } }'
        },
        "replayInspectedEvent": {"endpointId": endpoint["endpointId"]},
    }
    seen = ("/v1/videos", "/v1/videos/roof", "/v1/auth/keys", "/v1/webhooks/endpoints")
    ids["searchId"] = acme.post("/v1/search", json={"query": "solar panels"}).json()["searchId"]
    ids["token"] = "forged"
    before = [acme.get(path).json() for path in seen]
    for route in api_routes(client.app):  # type: ignore[arg-type]
        if scope_of(route) is None and route.operation_id not in BY_FIELD:
            continue
        for method in route.methods or ():
            path = route.path.format(**ids)
            response = stranger.call(method, path, json=bodies.get(str(route.operation_id)))
            told = response.text.replace(path, "").replace("No video 'roof'", "").replace('"videoId":"roof"', "")
            told = told.replace(f"No key '{acme.key}'", "")
            assert not [secret for secret in secrets if secret in told], (method, path, response.text)
            if "{" in route.path:
                assert response.status_code in (404, 415), (method, path, response.text)
    assert [acme.get(path).json() for path in seen] == before
    fill(server, stranger.organization)
    assert len(acme.get("/v1/videos").json()["videos"]) == 3
