"""What a video can't be stored with is refused before its file is transferred, and where it is wrong is said."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pixr
from pixr.errors import InvalidVideo
from pixr.server.storable import flaws
from tests.python.server.partner import Partner, code_of

JSON = {"Content-Type": "application/json"}


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels > 1 else 1


NO_TEXT = [
    ('{"title": "\\ud800"}', "/title"),
    ('{"description": "a\\u0000b"}', "/description"),
    ('{"tags": ["a", "\\u0000"]}', "/tags/1"),
    ('{"creator": {"id": "a\\u0000b"}}', "/creator/id"),
    ('{"creator": {"id": "a", "name": "a\\u0000b"}}', "/creator/name"),
    ('{"metadata": {"a": "\\ud800"}}', "/metadata/a"),
    ('{"metadata": {"a": {"b": [1, "\\udc00x"]}}}', "/metadata/a/b/1"),
    ('{"metadata": {"\\ud800": 1}}', "/metadata/\\ud800"),
    ('{"metadata": {"a": {"\\ud800": 1}}}', "/metadata/a/\\ud800"),
    ('{"metadata": {"a": "\\u0000"}}', "/metadata/a"),
]
NOT_STORED = [
    ('{"metadata": {"a": NaN}}', "/metadata/a"),
    ('{"metadata": {"a": [-Infinity]}}', "/metadata/a/0"),
    ('{"metadata": {"a": 1' + "0" * 400 + "}}", "/metadata/a"),
    ('{"metadata": {"a": {"b": 18446744073709551616}}}', "/metadata/a/b"),
    ('{"metadata": {"": 1}}', "/metadata/"),
    ('{"metadata": {"' + "k" * 1025 + '": 1}}', "/metadata/" + "k" * 1025),
    (json.dumps({"metadata": {"a": deep(17)}}), "/metadata/a" + "/0" * 16),
    ('{"created": "banana"}', "/created"),
    ('{"created": "2023-02-29"}', "/created"),
    ('{"tags": [""]}', "/tags/0"),
    (json.dumps({"tags": ["ü" * 513]}), "/tags/0"),
    ('{"quality": ""}', "/quality"),
    ('{"creator": {"id": ""}}', "/creator/id"),
    (json.dumps({"creator": {"id": "a", "name": "視" * 342}}), "/creator/name"),
]


@pytest.mark.parametrize("refused", [NO_TEXT, NOT_STORED])
def test_what_can_not_be_stored_is_refused_at_once(acme: Partner, refused: list[tuple[str, str]]) -> None:
    """An upload once was taken whole before its video failed; half a surrogate pair broke the list of all videos."""
    for fields, where in refused:
        for method, path, body, before in (
            ("POST", "/v1/videos/upload/init", '{"filename": "a.mp4", "size": 5, "metadata": %s}', "/metadata"),
            ("POST", "/v1/videos", '{"url": "https://192.0.2.1/a.mp4", "metadata": %s}', "/metadata"),
            ("PATCH", "/v1/videos/roof", "%s", ""),
        ):
            answer = acme.call(method, path, content=body % fields, headers=JSON)
            assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST"), fields
            assert [error["pointer"] for error in answer.json()["errors"]] == [before + where]
    assert [one["videoId"] for one in acme.get("/v1/videos").json()["videos"]] == ["boat", "roof"]


def test_in_a_batch_it_fails_by_itself(acme: Partner) -> None:
    updates = '{"videoId": "boat", "title": "New"}, {"videoId": "roof", "metadata": {"\\ud800": "a"}}'
    answer = acme.post("/v1/videos/batch", content=f'{{"updates": [{updates}]}}', headers=JSON).json()
    assert [one["error"] for one in answer["outcomes"]] == [
        None,
        {"code": "INVALID_VIDEO", "detail": "metadata.\\ud800: half of a surrogate pair is no text"},
    ]


def test_tus_metadata_is_checked_alike(acme: Partner) -> None:
    told = base64.b64encode(b"a\0b").decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": f"title {told}"}
    answer = acme.post("/v1/videos/upload/tus", headers=headers)
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")


WRITTEN = [
    "",
    "2023",
    "2023-01-31",
    "0000-02-29",
    "1900-02-29",
    "2000-02-29",
    "2023-1-1",
    "2023-13-01",
    "2023-04-31",
    "2023-01-31T12:00:00Z",
    "2023-01-31 12:00:00.123456789z",
    "2016-12-31t23:59:60+01:00",
    "2023-01-31T12:00:00",
    "2023-01-31T24:00:00Z",
    "2023-01-31T12:60:00Z",
    "2023-01-31T12:00:61Z",
    "2023-01-31T12:00:00.Z",
    "2023-01-31T12:00:00+24:00",
    "2023-01-31T12:00Z",
    "2023-01-31\n",
    "２０２３-01-01",
]
VIDEOS: list[dict[str, Any]] = [
    *({"created": written} for written in WRITTEN),
    *({"tags": [tag]} for tag in ("", "a", "ü" * 512, "ü" * 512 + "a")),
    *({"quality": quality} for quality in ("", "hd")),
    *(
        {"creator": {"id": id, "name": name}}
        for id, name in (("", "a"), ("a", ""), ("a", "a" * 1024), ("a", "a" * 1025))
    ),
    *({"metadata": {key: 1}} for key in ("", "k" * 1024, "k" * 1025)),
    *({"metadata": {"a": value}} for value in ({"": 1}, deep(16), deep(17), None, 10**30, 10**400, 5e-324)),
    *({"metadata": {"a": "x" * length}} for length in ((1 << 20) - 8, (1 << 20) - 7)),
]


@pytest.mark.parametrize("video", VIDEOS, ids=lambda video: repr(video)[:40])
def test_the_rules_are_those_of_the_engine(tmp_path: Path, video: dict[str, Any]) -> None:
    batch = pa.record_batch({"video_id": ["a"], "start": [0.0], "end": [1.0]})
    with pixr.open(tmp_path / "l.pixr") as library:
        try:
            library.add_segments(batch, videos=[{"id": "a", "duration": 1.0} | video])
            stored = True
        except InvalidVideo:
            stored = False
    assert stored == (not list(flaws(video)))


NUL_IN_BODIES = [
    ("/v1/auth/keys", {"name": "a\0b"}, "/name"),
    ("/v1/auth/clients", {"name": "a\0b", "scopes": ["search"]}, "/name"),
    ("/v1/webhooks/endpoints", {"url": "https://example.com/h", "description": "a\0b"}, "/description"),
    ("/v1/webhooks/inspector/whi_x/requests/whr_x/replay", {"endpointId": "a\0b"}, "/endpointId"),
    ("/v1/videos", {"url": "https://example.com/\0"}, "/url"),
    ("/v1/videos/upload/init", {"filename": "a.mp4", "size": 1, "contentType": "video/mp4;\0"}, "/contentType"),
    ("/v1/search/srch_x/clicks", {"videoId": "a\0b"}, "/videoId"),
    ("/v1/privacy/deletions", {"scope": "user", "userId": "a\0b"}, "/userId"),
]


@pytest.mark.parametrize(("path", "body", "pointer"), NUL_IN_BODIES)
def test_text_with_a_nul_is_refused_where_it_is(acme: Partner, path: str, body: dict[str, Any], pointer: str) -> None:
    """SQLite kept it, and PostgreSQL refused it without a word of where it was."""
    refused = acme.post(path, json=body)
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
    assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]


NUL_IN_URLS = [
    ("DELETE", "/v1/auth/keys/%00", "keyId"),
    ("DELETE", "/v1/auth/clients/%00", "clientId"),
    ("GET", "/v1/webhooks/endpoints/%00", "endpointId"),
    ("GET", "/v1/webhooks/deliveries/%00", "deliveryId"),
    ("GET", "/v1/webhooks/deliveries?endpointId=%00", "endpointId"),
    ("GET", "/v1/webhooks/inspector/%00", "inspectorId"),
    ("DELETE", "/v1/videos/upload/tus/%00", "uploadId"),
    ("GET", "/v1/export?userId=%00", "userId"),
]


@pytest.mark.parametrize(("method", "url", "parameter"), NUL_IN_URLS)
def test_ids_with_a_nul_are_refused_by_both_databases(acme: Partner, method: str, url: str, parameter: str) -> None:
    refused = acme.call(method, url)
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
    assert {one["parameter"] for one in refused.json()["errors"]} == {parameter}
