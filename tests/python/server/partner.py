"""Someone who holds a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient


@dataclass(frozen=True)
class Partner:
    """An organization's key, and requests made with it."""

    client: TestClient
    organization: str
    key: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key, "X-API-Secret": self.secret}

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = self.headers | options.pop("headers", {})
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.call("POST", path, **options)

    def patch(self, path: str, **options: Any) -> Any:
        return self.call("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.call("DELETE", path, **options)


def code_of(response: Any) -> str:
    """The code of an error, whose shape is checked on the way."""
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["requestId"] == response.headers["x-request-id"]
    assert {"type", "title", "detail", "instance", "code"} <= set(body)
    code: str = body["code"]
    return code
