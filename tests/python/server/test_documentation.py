"""The API described: for tools, for Postman, and for people."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

import pytest
from fastapi.openapi.utils import get_openapi
from openapi_spec_validator import OpenAPIV30SpecValidator
from starlette.testclient import TestClient

from pixr.server.documentation.openapi30 import to_openapi30
from pixr.server.errors import CODES
from tests.python.server.partner import Partner


def test_the_older_specification_is_valid_and_names_the_same_operations(client: TestClient) -> None:
    newer, older = client.get("/openapi.json").json(), client.get("/openapi-3.0.json").json()
    OpenAPIV30SpecValidator(older).validate()
    assert older["openapi"] == "3.0.3"
    assert operations(older) == operations(newer) != []
    assert set(older["x-webhooks"]) == set(newer["webhooks"])
    assert '"type": "null"' not in json.dumps(older)


def test_who_asks_for_the_specification_at_once_gets_one_that_was_made_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each made its own. Pydantic derives schemas on one thread at a time, and warned of aliases that had no effect."""
    made = []

    def make(**options: Any) -> dict[str, Any]:
        made.append(options)
        time.sleep(0.05)
        return get_openapi(**options)

    monkeypatch.setattr("pixr.server.openapi.get_openapi", make)
    with ThreadPoolExecutor(4) as many:
        asked = [many.submit(client.get, "/openapi.json") for _ in range(4)]
        documents = [one.result().content for one in asked]
    assert len(made) == len(set(documents)) == 1


def operations(document: dict[str, Any]) -> list[str]:
    return [one["operationId"] for path in document["paths"].values() for one in path.values()]


def test_no_two_schemas_have_the_same_title(client: TestClient) -> None:
    """Generators name classes by titles: a webhook's body was left out, since it was there under two names."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values()]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
        (
            {"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]},
            {"allOf": [{"$ref": "#/components/schemas/A"}], "nullable": True},
        ),
        ({"const": "v1"}, {"enum": ["v1"]}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        (
            {"$ref": "#/components/schemas/A", "description": "x"},
            {"allOf": [{"$ref": "#/components/schemas/A"}], "description": "x"},
        ),
    ],
)
def test_each_novelty_of_the_newer_version_is_said_in_the_older_one(
    newer: dict[str, Any], older: dict[str, Any]
) -> None:
    document = {"openapi": "3.1.0", "info": {}, "paths": {}, "components": {"schemas": {"B": newer}}}
    assert to_openapi30(document)["components"]["schemas"]["B"] == older


def test_no_pattern_has_quotes_which_generated_clients_trip_over(client: TestClient) -> None:
    """Generators quote them badly for Python: with one, no module of the client of openapi-generator was loaded."""
    patterns = re.findall(r'"pattern":"((?:[^"\\\\]|\\\\.)*)"', client.get("/openapi.json").text)
    assert patterns
    assert not [one for one in patterns if "'" in one or '\\\\"' in one]


def test_the_postman_collection_carries_every_operation_and_its_requests_work(acme: Partner) -> None:
    """Each GET without path variables is sent as Postman would send it, but for the one that a browser is sent to."""
    collection = acme.client.get("/postman.json").json()
    requests = [item["request"] for folder in collection["item"] for item in folder["item"]]
    assert len(requests) == len(operations(acme.client.get("/openapi.json").json()))
    values = {"baseUrl": "", "apiKey": acme.key, "apiSecret": acme.secret}
    sent = 0
    for request in requests:
        raw = fill(request["url"]["raw"], values)
        if request["method"] == "GET" and ":" not in raw and raw != "/v1/auth/authorize":
            headers = {one["key"]: fill(one["value"], values) for one in request["header"]}
            query = {one["key"]: one["value"] for one in request["url"]["query"] if not one["disabled"]}
            if not query or all(query.values()):
                assert acme.client.get(raw, headers=headers, params=query).status_code < 400, raw
                sent += 1
    assert sent > 3


def test_a_blend_may_have_as_many_parts_and_such_weights_as_the_specification_says(acme: Partner) -> None:
    """It said sixteen parts, of which the engine takes eight, and weights up to 1, which has no bound above."""
    schema = acme.client.get("/openapi.json").json()["components"]["schemas"]["SearchRequest"]["properties"]["blend"]
    (most,) = [one["maxItems"] for one in schema["anyOf"] if "maxItems" in one]
    assert "-1 or more" in schema["description"]
    parts = [["solar", 5.0], *[["harbour", -1.0]] * (most - 1)]
    assert acme.post("/v1/search", json={"blend": parts, "modes": ["audio"]}).status_code == 200
    refused = acme.post("/v1/search", json={"blend": [*parts, ["dawn", 1.0]], "modes": ["audio"]})
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/blend"]


def test_the_specification_names_the_headers_that_no_operation_has(client: TestClient) -> None:
    """`Idempotency-Key` was in the guides alone."""
    assert "`Idempotency-Key`" in client.get("/openapi.json").json()["info"]["description"]


def fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def test_the_reference_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert "//" not in link
        assert client.get(urljoin("/docs", link)).status_code == 200, link
    assert client.get("/docs/assets/..%2F__init__.py").status_code == 404


def test_the_address_that_is_printed_leads_to_the_reference(client: TestClient) -> None:
    """It was a problem in JSON: nothing is found there."""
    told = client.get("/", follow_redirects=False)
    assert (told.status_code, told.headers["location"]) == (307, "docs")
    assert "<title>Pixr API</title>" in client.get("/").text


def test_every_error_code_has_a_page_and_every_error_names_its_page(client: TestClient) -> None:
    listed = client.get("/docs/errors").text
    for code in CODES:
        assert f'href="errors/{code}"' in listed
        assert CODES[code].title.split("'")[0] in client.get(f"/docs/errors/{code}").text
    refused = client.get("/v1/videos").json()
    assert client.get(refused["type"]).status_code == 200
    assert client.get("/docs/errors/NO_SUCH_CODE").status_code == 404
