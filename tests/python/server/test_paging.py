"""Lists page by cursor, all of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.server.partner import Partner, code_of

SECOND = {"name": "b", "scopes": ["search"]}


@pytest.mark.parametrize(
    ("path", "made_at", "name", "id", "body"),
    [
        ("/v1/auth/keys", "/v1/auth/keys", "keys", "keyId", SECOND),
        ("/v1/auth/clients", "/v1/auth/clients", "clients", "clientId", SECOND),
        ("/v1/webhooks/endpoints", None, "endpoints", "endpointId", {"url": "https://example.com/hooks"}),
        (
            "/v1/privacy/receipts",
            "/v1/privacy/deletions",
            "receipts",
            "receiptId",
            {"scope": "user", "userId": "usr_none"},
        ),
    ],
)
def test_pages_together_are_the_list(
    acme: Partner, path: str, made_at: str | None, name: str, id: str, body: dict[str, Any]
) -> None:
    for _ in range(3):
        assert acme.post(made_at or path, json=body).is_success
    whole = acme.get(path).json()
    assert whole["pagination"] == {"nextCursor": None, "hasMore": False}
    found: list[Any] = []
    cursor = None
    while True:
        page = acme.get(path, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += page[name]
        cursor = page["pagination"]["nextCursor"]
        assert page["pagination"]["hasMore"] is (cursor is not None)
        if cursor is None:
            break
        last = cursor
    assert found == whole[name]
    assert len({one[id] for one in found}) == len(found) >= 3
    assert code_of(acme.get(path, params={"cursor": last[:-1]})) == "INVALID_CURSOR"
    assert code_of(acme.get("/v1/videos", params={"cursor": last})) == "INVALID_CURSOR"
