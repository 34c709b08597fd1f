"""Health, metrics, logs and the specification."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from pixr.server.logs import JsonLines
from pixr.server.state import ServerState
from tests.python.server.partner import Partner


def test_a_server_is_ready_while_its_parts_are(client: TestClient, server: ServerState) -> None:
    assert client.get("/health/ready").json() == {
        "status": "ok",
        "checks": {"database": "ok", "library": "ok", "queue": "ok", "stopping": "ok"},
    }
    server.stopping = True
    stopping = client.get("/health/ready")
    assert (stopping.status_code, stopping.json()["checks"]["stopping"]) == (503, "ApiError")
    assert client.get("/health/live").status_code == 200


def test_metrics_are_read_by_prometheus_and_name_nobody(acme: Partner) -> None:
    acme.post("/v1/search", json={"query": "panels"})
    acme.get("/v1/videos/roof")
    families = {family.name: family for family in text_string_to_metric_families(acme.client.get("/metrics").text)}
    requests = families["pixr_http_request_duration_seconds"].samples
    assert {"method": "GET", "route": "/v1/videos/{videoId}", "status": "200"} in [
        sample.labels for sample in requests if sample.name.endswith("_count")
    ]
    assert [sample.value for sample in families["pixr_index_segments"].samples] == [3.0]
    assert [sample.value for sample in families["pixr_ingest_videos_waiting"].samples] == [0.0]
    stages = {sample.labels.get("stage") for sample in families["pixr_search_duration_seconds"].samples}
    assert stages == {"wait", "encode", "search"}
    labels = {value for family in families.values() for sample in family.samples for value in sample.labels.values()}
    assert not labels & {acme.organization, acme.key, "roof"}


def test_a_request_leaves_one_line_without_what_it_carried(acme: Partner, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pixr.server"):
        acme.post("/v1/search", json={"query": "a planted question"})
        acme.post("/v1/search?token=planted", json={"query": "a planted question"})
    records = [record for record in caplog.records if record.name == "pixr.server"]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    told = [(line["method"], line["route"], line["status"]) for line in lines]
    assert told == [("POST", "/v1/search", 200), ("POST", "/v1/search", 422)]
    for secret in (acme.secret, acme.key, "planted"):
        assert secret not in json.dumps(lines)


def test_a_secret_in_a_message_is_removed() -> None:
    record = logging.makeLogRecord({"msg": "got sk_live_abcdefghijklmnop and eyJh.eyJz.c2ln", "levelname": "INFO"})
    assert "abcdefgh" not in JsonLines().format(record)
    assert "eyJh" not in JsonLines().format(record)


def test_the_specification_is_valid_and_every_operation_has_a_name_and_an_example(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in holder.get("content", {}).values():
                    assert "example" in content or "examples" in content, (path, method)
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


def test_what_is_served_has_the_shape_that_the_specification_says(acme: Partner) -> None:
    """The responses of a walk through the API are validated against the schemas of their operations."""
    from jsonschema import Draft202012Validator

    document = acme.client.get("/openapi.json").json()
    for method, path, template, body in (
        ("get", "/v1/videos", "/v1/videos", None),
        ("get", "/v1/videos/roof", "/v1/videos/{videoId}", None),
        ("patch", "/v1/videos/roof", "/v1/videos/{videoId}", {"title": "x"}),
        ("post", "/v1/search", "/v1/search", {"query": "solar panels", "explain": True}),
        ("get", "/v1/auth/keys", "/v1/auth/keys", None),
    ):
        answer = acme.call(method.upper(), path, json=body)
        schema = document["paths"][template][method]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


def test_development_needs_no_keys(start: Callable[..., TestClient]) -> None:
    client, here = start(dev=True), {"Host": "localhost"}
    assert client.get("/v1/videos", headers=here).status_code == 200
    assert client.get("/v1/videos", headers=here | {"X-API-Key": "a", "X-API-Secret": "b"}).status_code == 401
