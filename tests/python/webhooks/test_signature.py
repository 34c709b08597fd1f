"""Signatures of webhooks, against vectors that every language shares and against the reference library."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

import pixr
from pixr.errors import InvalidSignature
from pixr.webhooks import new_secret, sign, sign_body, unwrap, verify

CASES = json.loads((Path(__file__).parents[2] / "cases" / "webhooks.json").read_text(encoding="utf-8"))
NOW = 1_795_507_200


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in cases])


@named(CASES["sign"])
def test_a_signature_is_what_the_vector_says(case: dict[str, Any]) -> None:
    assert case["signature"] == sign(case["body"], id=case["id"], timestamp=case["timestamp"], secret=case["secret"])
    assert case["bodySignature"] == sign_body(case["body"].encode(), secret=case["secret"])


@named(CASES["verify"])
def test_only_what_is_genuine_and_fresh_is_accepted(case: dict[str, Any]) -> None:
    def check() -> None:
        verify(case["body"], case["headers"], case["secret"], now=case["now"])

    if case["valid"]:
        check()
    else:
        with pytest.raises(InvalidSignature) as refused:
            check()
        assert refused.value.code == "invalid_signature"


@named(CASES["invalidSecrets"])
def test_what_is_no_secret_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="secret"):
        sign("{}", id="evt_1", timestamp=NOW, secret=case["secret"])


def test_the_reference_library_accepts_what_is_signed_here_and_the_other_way_round() -> None:
    secret, body, instant = new_secret(), '{"type":"video.processed"}', datetime.now(timezone.utc)
    stamp = int(instant.timestamp())
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(stamp)}
    ours = sign(body, id="evt_1", timestamp=stamp, secret=secret)
    assert Webhook(secret).verify(body, headers | {"webhook-signature": ours}) == json.loads(body)
    theirs = Webhook(secret).sign("evt_1", instant, body)
    assert unwrap(body, headers | {"webhook-signature": theirs}, secret) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers | {"webhook-signature": ours})


@pytest.mark.parametrize("body", ["not json", "[1]", b"\xff\xfe"])
def test_a_genuine_body_that_is_no_object_is_refused(body: bytes | str) -> None:
    secret = new_secret()
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": sign(body, id="evt_1", timestamp=NOW, secret=secret),
    }
    with pytest.raises(InvalidSignature):
        unwrap(body, headers, secret, now=NOW)


def test_secrets_are_all_different_and_reachable_from_the_package() -> None:
    assert len({pixr.webhooks.new_secret() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-timestamp", "9" * 400),
        ("webhook-timestamp", "9" * 5000),
        ("webhook-id", "evt_\udcff"),
        ("webhook-signature", "v1,\udcff"),
    ],
)
def test_headers_that_no_sender_writes_are_no_genuine_ones(header: str, value: str) -> None:
    """Anybody could send a timestamp of 400 digits or bytes that are no text, and what was raised was another error."""
    secret = new_secret()
    genuine = sign("{}", id="evt_1", timestamp=NOW, secret=secret)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW), "webhook-signature": genuine}
    verify("{}", headers, secret, now=NOW)
    with pytest.raises(InvalidSignature):
        verify("{}", headers | {header: value}, secret, now=NOW)


def test_a_body_that_no_sender_writes_is_no_genuine_one() -> None:
    secret = new_secret()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW), "webhook-signature": "v1,xx"}
    with pytest.raises(InvalidSignature, match="half of a surrogate pair"):
        verify('{"a": "\udcff"}', headers, secret, now=NOW)
