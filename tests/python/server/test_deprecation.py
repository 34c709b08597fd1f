"""What will go is said on every answer, in the specification, and to every organization."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from pixr.server.maintenance import Maintenance
from pixr.server.settings import InvalidSettings, load_settings
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner

VERSION: dict[str, Any] = {
    "path": "/v1",
    "deprecated": "2026-12-01T00:00:00Z",
    "sunset": "2027-12-01T00:00:00+01:00",
    "documentation": "https://example.com/moving",
    "successor": "https://api.example.com/v2",
}
CHAPTERS: dict[str, Any] = {
    "path": "/v1/videos/{videoId}/chapters",
    "method": "POST",
    "deprecated": "2026-01-01T00:00:00Z",
}


def test_headers_say_what_goes_when_and_where_to(start: Callable[..., TestClient]) -> None:
    client = start(deprecations=[VERSION | {"sunset": "2027-12-01T00:00:00Z"}, CHAPTERS])
    answer = client.get("/v1/videos")
    assert answer.headers["deprecation"] == "@1796083200"
    assert answer.headers["sunset"] == "Wed, 01 Dec 2027 00:00:00 GMT"
    assert parsedate_to_datetime(answer.headers["sunset"]).year == 2027
    assert answer.headers.get_list("link") == [
        '<https://example.com/moving>; rel="deprecation"; type="text/html"',
        '<https://example.com/moving>; rel="sunset"; type="text/html"',
        '<https://api.example.com/v2>; rel="successor-version"',
    ]
    chapters = client.post("/v1/videos/vid_x/chapters", json={})
    assert (chapters.headers["deprecation"], "sunset" in chapters.headers) == ("@1767225600", False)
    assert "deprecation" not in client.get("/health/live").headers
    assert "deprecation" not in client.get("/v10/videos").headers
    paths = client.get("/openapi.json").json()["paths"]
    assert paths["/v1/videos"]["get"]["deprecated"] is True
    assert "deprecated" not in paths["/health"]["get"]


def test_each_organization_gets_the_event_of_a_versions_end_once(
    start: Callable[..., TestClient], join: Callable[..., Partner]
) -> None:
    first = join("First")
    server = state_of(start(deprecations=[VERSION | {"sunset": "2027-12-01T00:00:00Z"}, CHAPTERS]))
    client = start(deprecations=[VERSION | {"sunset": "2027-12-01T00:00:00Z"}])
    partner = Partner(client, first.organization, first.key, first.secret)
    hook = {"url": "https://hooks.invalid/", "eventTypes": ["version.sunset"]}
    assert partner.post("/v1/webhooks/endpoints", json=hook).status_code == 201
    for one in (server, state_of(client), server):
        Maintenance(one).sweep()
    told = partner.get("/v1/webhooks/deliveries").json()["deliveries"]
    assert [one["eventType"] for one in told] == ["version.sunset"]
    detail = partner.get(f"/v1/webhooks/deliveries/{told[0]['deliveryId']}").json()["event"]["data"]
    assert detail == {
        "version": "v1",
        "sunset": "2027-12-01T00:00:00.000Z",
        "successor": "https://api.example.com/v2",
    }


def test_notice_is_of_twelve_months(tmp_path: Any) -> None:
    with pytest.raises(InvalidSettings, match="less than twelve months"):
        load_settings(data=tmp_path, deprecations=[VERSION])
