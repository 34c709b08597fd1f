"""A parameter that a call does not know is refused, so that a misspelt one is not passed over."""

from __future__ import annotations

import pytest

from tests.python.server.partner import Partner, code_of


def test_a_misspelt_parameter_does_not_export_more_than_was_asked_for(acme: Partner) -> None:
    answer = acme.get("/v1/export?userid=usr_1")
    assert (answer.status_code, code_of(answer)) == (422, "INVALID_REQUEST")
    assert answer.json()["errors"] == [
        {"parameter": "userid", "code": "extra_forbidden", "detail": "There is no such parameter here, but userId."}
    ]


@pytest.mark.parametrize(
    ("path", "wrong", "known"),
    [
        ("/v1/videos?state=failed&page=2&limit=1", ["state", "page"], "cursor, limit, status"),
        ("/v1/videos/roof?include=segments", ["include"], "wait"),
        ("/v1/webhooks/deliveries?type=video.failed", ["type"], "cursor, endpointId, eventType, limit, status"),
        ("/v1/videos/roof/thumbnail?time=3", ["time"], "t, token, width"),
    ],
)
def test_unknown_parameters_are_named_with_those_that_there_are(
    acme: Partner, path: str, wrong: list[str], known: str
) -> None:
    answer = acme.get(path)
    assert code_of(answer) == "INVALID_REQUEST"
    assert [error["parameter"] for error in answer.json()["errors"]] == wrong
    assert all(error["detail"].endswith(f"but {known}.") for error in answer.json()["errors"])


def test_a_call_that_takes_no_parameters_says_so_of_each(acme: Partner) -> None:
    answer = acme.post("/v1/search?limit=1", json={"query": "solar"})
    assert answer.json()["detail"] == "No parameter 'limit'."
    assert answer.json()["errors"][0]["detail"] == "There are no parameters here."


def test_what_others_add_to_the_addresses_of_pages_and_of_oauth_is_passed_over(acme: Partner) -> None:
    assert acme.client.get("/docs/errors?utm_source=mail").status_code == 200
    assert (
        acme.client.get("/v1/auth/jwks.json?_=1").status_code == 200
    )  # RFC 6749 has servers ignore what they don't know
    assert acme.get("/v1/nowhere?a=1").status_code == 404
    assert acme.client.get("/v1/videos?state=failed").status_code == 401
