"""OAuth 2.0 with a client that others wrote (Authlib), and user tokens checked by PyJWT."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.jwk import ECKey, RSAKey
from starlette.testclient import TestClient

from pixr.server.database import now
from pixr.server.ids import new_id
from pixr.server.models import ApiKey
from pixr.server.state import ServerState
from tests.python.server.conftest import state_of
from tests.python.server.dripping import dripping
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of
from tests.python.server.receiver import wait_until

CALLBACK = "https://editor.example.com/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def register(headers: dict[str, str], post: Callable[..., Any], **changes: Any) -> Any:
    body = {"name": "editor", "redirectUris": [CALLBACK], "scopes": ["videos.read", "search"]} | changes
    answer = post("/v1/auth/clients", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_authlib_gets_tokens_by_both_grants_and_gives_them_back(listen: Callable[..., Live]) -> None:
    live = listen()
    with httpx.Client(base_url=live.url) as browser:
        metadata = browser.get("/.well-known/oauth-authorization-server").json()
        registered = register(live.headers, browser.post)
        client = OAuth2Client(
            registered["clientId"],
            registered["secret"],
            scope="search",
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
        )
        machine = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
        assert (machine["token_type"], machine["expires_in"], machine["scope"]) == ("Bearer", 3600, "search")
        assert client.post(f"{live.url}/v1/search", json={"query": "roof"}).status_code == 200
        refused = client.get(f"{live.url}/v1/videos")
        assert (refused.status_code, code_of(refused)) == (403, "INSUFFICIENT_SCOPE")

        url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=VERIFIER)
        page = browser.get(url)
        assert "Allow editor?" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        sealed = re.findall(r'name="sealed" value="([^"]+)"', page.text)[0]
        key = {"key": live.headers["X-API-Key"], "secret": live.headers["X-API-Secret"]}
        form = {"sealed": sealed, "decision": "allow"}
        wrong = browser.post("/v1/auth/authorize", data=form | key | {"secret": "no"})
        assert (wrong.status_code, "not valid" in wrong.text) == (401, True)
        back = browser.post("/v1/auth/authorize", data=form | key)
        assert back.status_code == 302
        location = back.headers["location"]
        assert location.startswith(CALLBACK)
        assert parse_qs(urlsplit(location).query)["state"] == [state]
        token = client.fetch_token(
            metadata["token_endpoint"], authorization_response=location, code_verifier=VERIFIER, state=state
        )
        assert client.post(f"{live.url}/v1/search", json={"query": "roof"}).status_code == 200

        shown = client.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
        assert (shown["active"], shown["scope"], shown["org"]) == (True, "search", live.organization)
        renewed = client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["access_token"] != token["access_token"]
        used = browser.post(
            "/v1/search", json={"query": "x"}, headers={"Authorization": f"Bearer {token['access_token']}"}
        )
        assert code_of(used) == "INVALID_TOKEN", "a refresh ends the token before"
        assert 'error="invalid_token"' in used.headers["www-authenticate"]
        assert client.revoke_token(metadata["revocation_endpoint"], token=renewed["access_token"]).status_code == 200
        again = client.introspect_token(metadata["introspection_endpoint"], token=renewed["access_token"])
        assert again.json() == {"active": False}


def ask(client: TestClient, registered: Any, **changes: str | None) -> Any:
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    values: dict[str, str | None] = {
        "response_type": "code",
        "client_id": registered["clientId"],
        "redirect_uri": CALLBACK,
        "scope": "search",
        "state": "s",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    query = {name: value for name, value in (values | changes).items() if value is not None}
    return client.get("/v1/auth/authorize", params=query, follow_redirects=False)


def allow(partner: Partner, page: Any, decision: str = "allow") -> Any:
    sealed = re.findall(r'name="sealed" value="([^"]+)"', page.text)[0]
    form = {"sealed": sealed, "decision": decision, "key": partner.key, "secret": partner.secret}
    return partner.client.post("/v1/auth/authorize", data=form, follow_redirects=False)


def exchange(partner: Partner, registered: Any, code: str, **changes: str) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    form |= {"code_verifier": "x" * 43} | changes
    basic = base64.b64encode(f"{registered['clientId']}:{registered['secret']}".encode()).decode()
    return partner.client.post("/v1/auth/token", data=form, headers={"Authorization": f"Basic {basic}"})


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://evil.example.com/callback"},
        {"redirect_uri": CALLBACK + "/more"},
        {"redirect_uri": None},
        {"client_id": "ocl_unknown"},
    ],
)
def test_a_redirect_goes_to_registered_places_alone(acme: Partner, changes: dict[str, str | None]) -> None:
    registered = register(acme.headers, acme.client.post)
    refused = ask(acme.client, registered, **changes)
    assert refused.status_code in (400, 401)
    assert "location" not in refused.headers


def test_a_challenge_is_required_and_is_s256(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post)
    for changes in ({"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": None}):
        refused = ask(acme.client, registered, **changes)
        assert refused.status_code == 302
        assert "error=invalid_request" in refused.headers["location"]


def test_scopes_of_which_the_client_has_none_give_no_token(acme: Partner) -> None:
    """It was a token without a scope, which could do nothing and did not say so."""
    registered = register(acme.headers, acme.client.post)
    asked = {"grant_type": "client_credentials", "client_id": registered["clientId"]}
    asked["client_secret"] = registered["secret"]
    for scope in ("admin", "nonsense"):
        refused = acme.client.post("/v1/auth/token", data=asked | {"scope": scope})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert acme.client.post("/v1/auth/token", data=asked | {"scope": "search admin"}).json()["scope"] == "search"
    assert acme.client.post("/v1/auth/token", data=asked).json()["scope"] == "videos.read search"
    sent_back = ask(acme.client, registered, scope="admin").headers["location"]
    assert sent_back.startswith(CALLBACK)
    assert parse_qs(urlsplit(sent_back).query)["error"] == ["invalid_scope"]


def test_a_code_is_good_once_with_its_verifier_for_its_client(acme: Partner) -> None:
    registered, other = (register(acme.headers, acme.client.post) for _ in range(2))

    def code() -> str:
        location = allow(acme, ask(acme.client, registered)).headers["location"]
        return str(parse_qs(urlsplit(location).query)["code"][0])

    right = {"code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}
    assert exchange(acme, registered, code()).json()["error"] == "invalid_grant"
    assert exchange(acme, other, code(), **right).json()["error"] == "invalid_grant"
    assert exchange(acme, registered, code(), redirect_uri="https://x.example", **right).status_code == 400
    once = code()
    assert exchange(acme, registered, once, **right).status_code == 200
    assert exchange(acme, registered, once, **right).json()["error"] == "invalid_grant"


def test_a_refresh_token_is_good_once_also_for_those_who_come_together(acme: Partner) -> None:
    """On PostgreSQL each of them found it good, and had a chain of tokens of its own."""
    registered = register(acme.headers, acme.client.post)
    basic = (registered["clientId"], registered["secret"])
    for _ in range(3):
        location = allow(acme, ask(acme.client, registered)).headers["location"]
        code = parse_qs(urlsplit(location).query)["code"][0]
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        token = exchange(acme, registered, code, code_verifier=verifier).json()["refresh_token"]
        asked = {"grant_type": "refresh_token", "refresh_token": token}
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda _, asked=asked: acme.client.post("/v1/auth/token", data=asked, auth=basic), range(8))
            )
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


def test_a_refresh_token_that_is_used_again_ends_all_that_came_of_it(acme: Partner) -> None:
    """Whoever stole one and was first went on for ever, while its owner was told that it is not good any more."""
    registered = register(acme.headers, acme.client.post)
    basic = (registered["clientId"], registered["secret"])
    other = register(acme.headers, acme.client.post)

    def granted() -> Any:
        location = allow(acme, ask(acme.client, registered)).headers["location"]
        code = parse_qs(urlsplit(location).query)["code"][0]
        return exchange(acme, registered, code, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").json()

    def refresh(token: Any, auth: tuple[str, str] = basic) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
        return acme.client.post("/v1/auth/token", data=form, auth=auth)

    def searches(token: Any) -> int:
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        return int(acme.client.post("/v1/search", json={"query": "roof"}, headers=headers).status_code)

    first, beside = granted(), granted()
    second = refresh(first).json()
    third = refresh(second).json()
    assert refresh(first, (other["clientId"], other["secret"])).json()["error"] == "invalid_grant"
    assert searches(third) == 200, "another client ends nothing"
    assert refresh(first).json()["error"] == "invalid_grant"
    assert refresh(third).json()["error"] == "invalid_grant"
    assert searches(third) == 401
    assert (searches(beside), refresh(beside).status_code) == (200, 200), "what was granted another time goes on"


def test_a_nul_in_a_form_is_no_client_and_no_key(acme: Partner) -> None:
    """PostgreSQL can't be asked for one: the answer was a 422 of another kind than OAuth's, or no page."""
    form = {"grant_type": "client_credentials", "client_id": "ocl_\0", "client_secret": "x"}
    assert acme.client.post("/v1/auth/token", data=form).json()["error"] == "invalid_client"
    answer = acme.client.post("/v1/auth/token", data={"grant_type": "client_credentials"}, auth=("ocl_\0", "x"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    registered = register(acme.headers, acme.client.post)
    assert ask(acme.client, registered, client_id="ocl_\0").json()["error"] == "invalid_client"
    sealed = re.findall(r'name="sealed" value="([^"]+)"', ask(acme.client, registered).text)[0]
    form = {"sealed": sealed, "decision": "allow", "key": "pk_live_\0", "secret": "x"}
    answer = acme.client.post("/v1/auth/authorize", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")


def test_a_refusal_and_a_forged_answer_give_no_code(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post)
    page = ask(acme.client, registered)
    assert "error=access_denied" in allow(acme, page, "deny").headers["location"]
    forged = acme.client.post("/v1/auth/authorize", data={"sealed": "x.y.z", "decision": "allow"})
    assert (forged.status_code, code_of(forged)) == (401, "INVALID_TOKEN")


def test_a_token_can_do_no_more_than_owner_and_client_both(acme: Partner, join: Callable[..., Partner]) -> None:
    registered = register(acme.headers, acme.client.post)
    reader = join("Reader", scopes=["videos.read"])
    page = ask(acme.client, registered, scope="videos.read search admin")
    location = allow(reader, page).headers["location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    made = exchange(acme, registered, code, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").json()
    bearer = {"Authorization": f"Bearer {made['access_token']}"}
    assert acme.client.get("/v1/videos", headers=bearer).json()["videos"] == [], "the videos of whoever agreed"
    assert acme.client.post("/v1/search", json={"query": "x"}, headers=bearer).status_code == 403


def test_a_wrong_secret_is_refused_as_the_rfc_says(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post)
    refused = exchange(acme, registered | {"secret": "wrong"}, "code")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert "basic" in refused.headers["www-authenticate"].lower()
    assert acme.client.post("/v1/auth/token", json={"grant_type": "x"}).status_code == 415


@pytest.mark.parametrize("encoded", [b"/////w==", b"\xff\xff", b"a"])
@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
def test_basic_credentials_that_are_no_text_are_those_of_no_client(acme: Partner, path: str, encoded: bytes) -> None:
    """They were an internal error, for everybody."""
    form = {"grant_type": "client_credentials", "token": "x"}
    shown: Any = {"Authorization": b"Basic " + encoded}
    refused = acme.client.post(f"/v1/auth/{path}", data=form, headers=shown)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_a_deleted_client_takes_its_tokens_with_it(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post)
    basic = (registered["clientId"], registered["secret"])
    made = acme.client.post("/v1/auth/token", data={"grant_type": "client_credentials"}, auth=basic).json()
    bearer = {"Authorization": f"Bearer {made['access_token']}"}
    assert acme.client.get("/v1/videos", headers=bearer).status_code == 200
    assert acme.delete(f"/v1/auth/clients/{registered['clientId']}").status_code == 204
    assert code_of(acme.client.get("/v1/videos", headers=bearer)) == "INVALID_TOKEN"


def user_token(partner: Partner, **changes: Any) -> str:
    body = {"subject": "usr_1", "scopes": ["search"]} | changes
    return str(partner.post("/v1/auth/user-tokens", json=body).json()["token"])


def use(partner: Partner, token: str) -> Any:
    return partner.client.post("/v1/search", json={"query": "solar"}, headers={"Authorization": f"Bearer {token}"})


def test_pyjwt_checks_a_user_token_with_the_published_keys(listen: Callable[..., Live]) -> None:
    live = listen()
    asked = {"subject": "usr_1", "scopes": ["search"], "rateLimit": 5}
    token = httpx.post(f"{live.url}/v1/auth/user-tokens", json=asked, headers=live.headers).json()["token"]
    key = jwt.PyJWKClient(f"{live.url}/v1/auth/jwks.json").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key.key, algorithms=["ES256"], audience="pixr", issuer=live.url)
    assert (claims["sub"], claims["org"], claims["scopes"]) == ("usr_1", live.organization, ["search"])
    found = httpx.post(f"{live.url}/v1/search", json={"query": "x"}, headers={"Authorization": f"Bearer {token}"})
    assert found.status_code == 200
    assert '"burst";q=10;w=1' in found.headers["ratelimit-policy"], "the token's own rate"


def test_a_user_token_never_has_the_scope_of_an_owner(acme: Partner) -> None:
    refused = acme.post("/v1/auth/user-tokens", json={"subject": "usr_1", "scopes": ["search", "admin"]})
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
    assert refused.json()["errors"][0]["pointer"] == "/scopes/1"


def test_a_user_token_ends_with_the_key_that_it_was_made_with(acme: Partner, server: ServerState) -> None:
    for end in ({"revoked": now()}, {"expires": now()}):
        made = acme.post("/v1/auth/keys", json={"name": "backend"}).json()
        backend = Partner(acme.client, acme.organization, made["keyId"], made["secret"])
        token = user_token(backend)
        assert use(acme, token).status_code == 200
        with server.database.write() as session:
            for name, instant in end.items():
                setattr(session.get_one(ApiKey, made["keyId"]), name, instant)
        refused = use(acme, token)
        assert (refused.status_code, code_of(refused)) == (401, "INVALID_TOKEN")
    assert use(acme, user_token(acme)).status_code == 200


def test_a_user_token_ends_with_the_client_that_made_it(acme: Partner) -> None:
    registered = register(acme.headers, acme.client.post, scopes=["admin", "search"])
    basic = (registered["clientId"], registered["secret"])
    made = acme.client.post("/v1/auth/token", data={"grant_type": "client_credentials"}, auth=basic).json()
    asked = {"subject": "usr_1", "scopes": ["search"]}
    bearer = {"Authorization": f"Bearer {made['access_token']}"}
    token = acme.client.post("/v1/auth/user-tokens", json=asked, headers=bearer).json()["token"]
    assert use(acme, token).status_code == 200
    acme.delete(f"/v1/auth/clients/{registered['clientId']}")
    refused = use(acme, token)
    assert (refused.status_code, code_of(refused)) == (401, "INVALID_TOKEN")


@pytest.mark.parametrize("end", ["revoked", "expires"])
def test_what_a_client_was_allowed_ends_with_the_key_that_allowed_it(
    acme: Partner, server: ServerState, end: str
) -> None:
    """A client of anybody's went on for ever, by refreshing, and no owner had a way to end that."""
    made = acme.post("/v1/auth/keys", json={"name": "consenting"}).json()
    consenting = Partner(acme.client, acme.organization, made["keyId"], made["secret"])
    registered = register(acme.headers, acme.client.post)
    page = ask(acme.client, registered, code_challenge=CHALLENGE)
    unused, code = (parse_qs(urlsplit(allow(consenting, page).headers["location"]).query)["code"][0] for _ in range(2))
    token = exchange(acme, registered, code, code_verifier=VERIFIER).json()
    assert use(acme, token["access_token"]).status_code == 200
    with server.database.write() as session:
        setattr(session.get_one(ApiKey, made["keyId"]), end, now())
    assert code_of(use(acme, token["access_token"])) == "INVALID_TOKEN"
    basic = (registered["clientId"], registered["secret"])
    form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    refreshed = acme.client.post("/v1/auth/token", data=form, auth=basic)
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")
    late = exchange(acme, registered, unused, code_verifier=VERIFIER)
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
    told = acme.client.post("/v1/auth/introspect", data={"token": token["access_token"]}, auth=basic)
    assert told.json() == {"active": False}


def test_forged_tokens_are_refused(acme: Partner, server: ServerState, join: Callable[..., Partner]) -> None:
    token = user_token(acme)
    assert use(acme, token).json()["pagination"]["total"] == 1
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    public = server.user_tokens.public_keys()["keys"][0]
    other = ECKey.generate_key("P-256")
    stranger = join("Stranger").organization

    def none(body: dict[str, Any]) -> str:
        parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, body)]
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."

    def signed(body: dict[str, Any]) -> str:
        return jwt.encode(body, server.user_tokens._key.private_key, algorithm="ES256", headers={"kid": kid})

    def tampered() -> str:
        head, _, signature = token.split(".")
        body = base64.urlsafe_b64encode(json.dumps(claims | {"org": stranger}).encode()).decode().rstrip("=")
        return f"{head}.{body}.{signature}"

    assert use(acme, signed(claims)).status_code == 200, "the forgeries below differ from this in one thing each"
    forgeries = {
        "none": none(claims),
        "another key": jwt.encode(claims, other.private_key, algorithm="ES256", headers={"kid": kid}),
        "what is public as a secret": jwt.encode(claims, public["x"].encode(), algorithm="HS256", headers={"kid": kid}),
        "audience": signed(claims | {"aud": "another"}),
        "issuer": signed(claims | {"iss": "https://evil.example.com"}),
        "expired": signed(claims | {"exp": int(time.time()) - 60}),
        "not yet": signed(claims | {"nbf": int(time.time()) + 600}),
        "for ever": signed({name: value for name, value in claims.items() if name != "exp"}),
        "tampered": tampered(),
        "no organization": signed(claims | {"org": "org_none"}),
        "scopes of a wrong type": signed(claims | {"scopes": "search admin"}),
        "nonsense": "a.b.c",
    }
    for name, forgery in forgeries.items():
        refused = use(acme, forgery)
        assert (refused.status_code, code_of(refused)) == (401, "INVALID_TOKEN"), name


@pytest.mark.parametrize("place", [0, 1])
def test_tokens_nested_thousands_deep_are_refused(acme: Partner, place: int) -> None:
    """They were an internal error, for everybody without any credentials."""
    parts = user_token(acme).split(".")
    parts[place] = base64.urlsafe_b64encode(b"[" * 30_000).decode()
    refused = use(acme, ".".join(parts))
    assert (refused.status_code, code_of(refused)) == (401, "INVALID_TOKEN")


def test_an_issuer_of_a_partners_own_speaks_for_that_partner_alone(
    acme: Partner, start: Callable[..., TestClient], tmp_path: Path, join: Callable[..., Partner]
) -> None:
    key = RSAKey.generate_key(2048, auto_kid=True)
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    issuer = {"issuer": "https://login.acme.example", "organization": acme.organization, "jwks_file": str(file)}
    client = start(trusted_issuers=[issuer])
    assert state_of(client).settings.trusted_issuers[0].algorithm == "RS256"
    claims = {"iss": issuer["issuer"], "aud": "pixr", "sub": "u", "org": acme.organization, "scopes": ["search"]}

    def token(**changes: Any) -> str:
        body = claims | {"exp": int(time.time()) + 60} | changes
        return jwt.encode(body, key.private_key, algorithm="RS256", headers={"kid": key.kid})

    partner = Partner(client, acme.organization, acme.key, acme.secret)
    assert use(partner, token()).status_code == 200
    assert code_of(use(partner, token(org=join("Stranger").organization))) == "INVALID_TOKEN"


def test_redirects_to_plain_http_are_not_registered(acme: Partner) -> None:
    for uri in ("http://editor.example.com/", "javascript:alert(1)", "https://a.example/#x", "custom:/x"):
        refused = acme.post("/v1/auth/clients", json={"name": "x", "scopes": ["search"], "redirectUris": [uri]})
        assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
    local = acme.post(
        "/v1/auth/clients", json={"name": "x", "scopes": ["search"], "redirectUris": ["http://127.0.0.1:5000/"]}
    )
    assert local.status_code == 201


def test_an_issuer_that_does_not_answer_holds_up_nobody_else(acme: Partner, start: Callable[..., TestClient]) -> None:
    """Whoever named it in a token waited for its keys, one after the other, until no thread was left for others."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/jwks.json"
        named = {"issuer": "https://id.acme.example", "organization": acme.organization, "jwks_url": url}
        client = start(trusted_issuers=[named])
        forged = jwt.encode({"iss": "https://id.acme.example"}, "k" * 32, algorithm="HS256")
        headers = {"Authorization": f"Bearer {forged}"}
        begun = time.monotonic()
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: client.get("/v1/videos", headers=headers), range(50)))
            assert {code_of(answer) for answer in answers} == {"INVALID_TOKEN"}
        assert time.monotonic() - begun < 15.0


@pytest.mark.parametrize("way", ["headers", "body"])
def test_an_issuer_that_answers_without_end_holds_up_nobody(
    acme: Partner, start: Callable[..., TestClient], way: str
) -> None:
    """A byte now and then was waited for without end, and no thread was left for others: anybody may name an issuer."""
    with dripping() as url:
        named = {"issuer": "https://id.acme.example", "organization": acme.organization, "jwks_url": f"{url}/{way}"}
        client = start(trusted_issuers=[named])
        forged = jwt.encode({"iss": "https://id.acme.example"}, "k" * 32, algorithm="HS256")
        begun = time.monotonic()
        answer = client.get("/v1/videos", headers={"Authorization": f"Bearer {forged}"})
        assert code_of(answer) == "INVALID_TOKEN"
        assert time.monotonic() - begun < 12.0


def bearer(claims: dict[str, Any], key: Any) -> dict[str, str]:
    """A new token each time: one that is known is not looked up."""
    new = claims | {"jti": new_id("jwt")}
    return {"Authorization": f"Bearer {jwt.encode(new, key.private_key, algorithm='RS256', headers={'kid': key.kid})}"}


def test_tokens_are_good_while_new_keys_of_their_issuer_are_being_fetched(
    acme: Partner, start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tokens of all issuers waited while one issuer was slow to answer."""
    key, asked, go_on = RSAKey.generate_key(2048, auto_kid=True), list[str](), threading.Event()

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) > 1:
                go_on.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [key.as_dict(private=False)]}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as issuer, ThreadPoolExecutor(1) as pool:
        pool.submit(issuer.serve_forever, 0.05)
        url = f"http://127.0.0.1:{issuer.server_port}/jwks"
        named = {"issuer": "https://id.acme.example", "organization": acme.organization, "jwks_url": url}
        client = start(trusted_issuers=[named])
        claims: dict[str, Any] = {"iss": "https://id.acme.example", "aud": "pixr", "sub": "u", "org": acme.organization}
        claims |= {"scopes": ["videos.read"], "exp": int(time.time()) + 600}

        def ask() -> Any:
            return client.get("/v1/videos", headers=bearer(claims, key))

        assert ask().status_code == 200
        monkeypatch.setattr(state_of(client).user_tokens, "_clock", lambda: time.monotonic() + 3600)
        with ThreadPoolExecutor(1) as other:
            first = other.submit(ask)
            wait_until(lambda: len(asked) == 2)
            begun = time.monotonic()
            assert ask().status_code == 200
            assert time.monotonic() - begun < 2.0
            go_on.set()
            assert first.result().status_code == 200
        issuer.shutdown()


def test_the_keys_of_an_issuer_stay_good_while_new_ones_cannot_be_fetched(
    acme: Partner, start: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = RSAKey.generate_key(2048, auto_kid=True)
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    named = {"issuer": "https://id.acme.example", "organization": acme.organization, "jwks_file": str(file)}
    client = start(trusted_issuers=[named])
    claims: dict[str, Any] = {"iss": "https://id.acme.example", "aud": "pixr", "sub": "u", "org": acme.organization}
    claims |= {"scopes": ["videos.read"], "exp": int(time.time()) + 600}
    file.rename(tmp_path / "moved")
    assert client.get("/v1/videos", headers=bearer(claims, key)).status_code == 401, "there are none as yet"
    (tmp_path / "moved").rename(file)
    later = state_of(client).user_tokens
    monkeypatch.setattr(later, "_clock", lambda: time.monotonic() + 60)
    assert client.get("/v1/videos", headers=bearer(claims, key)).status_code == 200
    file.unlink()
    monkeypatch.setattr(later, "_clock", lambda: time.monotonic() + 3600)
    assert client.get("/v1/videos", headers=bearer(claims, key)).status_code == 200


def test_a_key_that_an_issuer_has_since_is_asked_for_when_a_token_names_it(
    acme: Partner, start: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens signed with a new key were refused for up to ten minutes, until the keys were fetched anyway."""
    old, new = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [old.as_dict(private=False)]}))
    named = {"issuer": "https://id.acme.example", "organization": acme.organization, "jwks_file": str(file)}
    client = start(trusted_issuers=[named])
    claims: dict[str, Any] = {"iss": "https://id.acme.example", "aud": "pixr", "sub": "u", "org": acme.organization}
    claims |= {"scopes": ["videos.read"], "exp": int(time.time()) + 600}

    def status(key: Any) -> int:
        return client.get("/v1/videos", headers=bearer(claims, key)).status_code

    instant = time.monotonic()
    monkeypatch.setattr(state_of(client).user_tokens, "_clock", lambda: instant)
    assert (status(old), status(new)) == (200, 401)
    file.write_text(json.dumps({"keys": [new.as_dict(private=False)]}))
    instant += 29
    assert (status(old), status(new)) == (200, 401), "whoever makes names up has no issuer asked more often than this"
    instant += 2
    assert (status(new), status(old)) == (200, 401)
