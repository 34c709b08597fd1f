"""Makes a Postman collection (format 2.1) from the specification: a folder a tag, a request an operation.

Base URL and credentials are variables of the collection, so that importing it and filling in two fields is all there
is to do.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["to_postman"]

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_NAMESPACE = uuid.UUID("6d1f0c6e-6c5a-5b0e-9a53-6f2f0d6f7c11")


def to_postman(document: Mapping[str, Any]) -> dict[str, Any]:
    """The collection of an OpenAPI document."""
    folders: dict[str, list[dict[str, Any]]] = {}
    for path, method, operation in _operations(document):
        folders.setdefault((operation.get("tags") or ["other"])[0], []).append(_item(path, method, operation))
    info = document["info"]
    return {
        "info": {
            "_postman_id": str(uuid.uuid5(_NAMESPACE, f"{info['title']} {info['version']}")),
            "name": f"{info['title']} {info['version']}",
            "description": info.get("description", ""),
            "schema": SCHEMA,
        },
        "variable": [
            {"key": "baseUrl", "value": document["servers"][0]["url"]},
            {"key": "apiKey", "value": ""},
            {"key": "apiSecret", "value": ""},
        ],
        "item": [{"name": tag, "item": items} for tag, items in folders.items()],
    }


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                yield path, method, operation


def _item(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    parameters = operation.get("parameters", [])
    url: dict[str, Any] = {
        "raw": "{{baseUrl}}" + re.sub(r"\{(\w+)\}", r":\1", path),
        "host": ["{{baseUrl}}"],
        "path": re.sub(r"\{(\w+)\}", r":\1", path).strip("/").split("/"),
        "variable": [{"key": one["name"], "value": _example(one)} for one in parameters if one.get("in") == "path"],
        "query": [
            {"key": one["name"], "value": _example(one), "disabled": not one.get("required", False)}
            for one in parameters
            if one.get("in") == "query"
        ],
    }
    headers = []
    if operation.get("security"):
        headers = [
            {"key": "X-API-Key", "value": "{{apiKey}}"},
            {"key": "X-API-Secret", "value": "{{apiSecret}}"},
        ]
    request: dict[str, Any] = {"method": method.upper(), "url": url, "description": operation.get("description", "")}
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        headers.append({"key": "Content-Type", "value": "application/json"})
        body = json.dumps(_content_example(content["application/json"]), indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    elif "application/x-www-form-urlencoded" in content:
        example = _content_example(content["application/x-www-form-urlencoded"])
        pairs = parse_qsl(example) if isinstance(example, str) else example.items()
        fields = [{"key": key, "value": str(value)} for key, value in pairs]
        request["body"] = {"mode": "urlencoded", "urlencoded": fields}
    request["header"] = headers
    return {"name": operation.get("summary") or operation["operationId"], "request": request, "response": []}


def _example(parameter: Mapping[str, Any]) -> str:
    schema = parameter.get("schema", {})
    given = parameter.get("example", next(iter(schema.get("examples", [])), schema.get("default", "")))
    return "" if given is None else str(given)


def _content_example(content: Mapping[str, Any]) -> Any:
    if "example" in content:
        return content["example"]
    return next((one["value"] for one in content.get("examples", {}).values()), {})
