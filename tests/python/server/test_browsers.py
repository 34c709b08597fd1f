"""Pages of other origins, and what asks by HEAD."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pixr.server.settings import InvalidSettings, load_settings
from tests.python.server.partner import Partner, code_of

PAGE = {"Origin": "https://editor.example.com"}
ASKS = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,tus-resumable"}
HERE = {"Host": "127.0.0.1:8080"}


def test_a_page_of_any_origin_calls_the_api_with_credentials_of_its_own(acme: Partner) -> None:
    """A user token is made for browsers, and no browser would have sent it: nothing answered their question before."""
    asked = acme.client.options("/v1/videos/upload/tus/upl_x", headers=PAGE | ASKS)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "authorization,tus-resumable"
    token = acme.post("/v1/auth/user-tokens", json={"subject": "usr_1", "scopes": ["search"]}).json()["token"]
    found = acme.client.post("/v1/search", json={"query": "solar"}, headers=PAGE | {"Authorization": f"Bearer {token}"})
    assert found.json()["results"]
    assert found.headers["access-control-allow-origin"] == found.headers["access-control-expose-headers"] == "*"
    refused = acme.client.get("/v1/videos", headers=PAGE)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert "access-control-allow-origin" not in acme.get("/v1/videos").headers, "who is no page is told nothing"


def test_tus_clients_still_ask_what_is_spoken(client: TestClient) -> None:
    told = client.options("/v1/videos/upload/tus", headers=PAGE)
    assert (told.status_code, told.headers["tus-version"]) == (204, "1.0.0")


@pytest.mark.parametrize("path", ["/metrics", "/health/ready", "/v1/auth/authorize"])
def test_what_is_for_operators_and_people_is_for_no_page(client: TestClient, path: str) -> None:
    assert "access-control-allow-origin" not in client.get(path, headers=PAGE).headers


def test_origins_can_be_named(start: Callable[..., TestClient]) -> None:
    client = start(allowed_origins=["https://editor.example.com"])
    known = client.get("/v1/videos", headers=PAGE)
    assert (known.headers["access-control-allow-origin"], known.headers["vary"]) == (PAGE["Origin"], "Origin")
    for headers in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}):
        other = client.get("/v1/videos", headers=headers)
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"
    with pytest.raises(InvalidSettings, match="allowed_origins"):
        load_settings(data="x", allowed_origins=["editor.example.com/path"])


def test_without_keys_a_strange_page_gets_nothing(start: Callable[..., TestClient]) -> None:
    """Any page open in a browser reaches 127.0.0.1, and by a name of its own that leads there (DNS rebinding)."""
    client = start(dev=True)
    assert client.get("/v1/videos", headers=HERE).status_code == 200
    local = client.get("/v1/videos", headers=HERE | {"Origin": "http://localhost:3000"})
    assert local.headers["access-control-allow-origin"] == "http://localhost:3000"
    for strange in (HERE | PAGE, HERE | {"Origin": "null"}, {"Host": "rebound.example.com:8080"}, {"Host": "[::"}):
        refused = client.post("/v1/search", json={"query": "x"}, headers=strange)
        assert (refused.status_code, code_of(refused)) == (403, "FORBIDDEN")
        assert "access-control-allow-origin" not in refused.headers
    for path in ("/v1/ws", "/graphql"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(path, headers=HERE | PAGE):
            pass


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/videos/roof", "/health/live", "/openapi.json", "/docs"])
def test_head_has_the_headers_of_get_and_no_body(acme: Partner, path: str) -> None:
    whole, head = acme.get(path), acme.call("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["content-type"] == whole.headers["content-type"]


def test_head_of_a_stream_ends(acme: Partner) -> None:
    head = acme.call("HEAD", "/v1/events", headers={"Accept": "text/event-stream"})
    assert head.headers["content-type"].startswith("text/event-stream")
