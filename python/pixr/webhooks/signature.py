"""Signs and verifies webhooks after Standard Webhooks 1.0, with nothing but the standard library.

`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; several, separated by spaces, while
a secret is rotated. `X-Pixr-Signature` is the hex HMAC-SHA256 of the body alone, for the simplest of verifiers; it does
not protect against replay. A secret is `whsec_` and the base64 of 24 to 64 random bytes. `tests/cases/webhooks.json`
has vectors that every language can read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from pixr.errors import InvalidSignature

__all__ = ["TOLERANCE_SECONDS", "new_secret", "sign", "sign_body", "unwrap", "verify"]

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
_LEAST_BYTES, _MOST_BYTES = 24, 64


def new_secret() -> str:
    """A secret of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(payload: bytes | str, *, id: str, timestamp: int, secret: str) -> str:
    """The value of `webhook-signature` for one secret.

    Raises:
        ValueError: the secret is not one.
    """
    signed = f"{id}.{timestamp}.".encode() + _bytes(payload)
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def sign_body(payload: bytes | str, *, secret: str) -> str:
    """The value of `X-Pixr-Signature`: hex HMAC-SHA256 of the body."""
    return hmac.digest(_key(secret), _bytes(payload), hashlib.sha256).hex()


def verify(
    payload: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> None:
    """Check that a webhook was signed with `secret`, not longer ago than `tolerance_seconds`.

    Args:
        payload: the body as it came; parsed and written again it may differ.
        headers: of the request; case does not matter.
        secret: the endpoint's, `whsec_…`.
        tolerance_seconds: how old it may be, or from how far in the future.
        now: seconds since 1970, by default the present.

    Raises:
        InvalidSignature: says what is wrong.
        ValueError: the secret is not one.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise InvalidSignature(f"no header {', '.join(missing)}")
    try:
        timestamp = int(given["webhook-timestamp"])
        age = float((time.time() if now is None else now) - timestamp)
    except ValueError:
        raise InvalidSignature("webhook-timestamp is not a whole number") from None
    except OverflowError:
        raise InvalidSignature("webhook-timestamp is no time") from None
    if abs(age) > tolerance_seconds:
        raise InvalidSignature(f"webhook-timestamp is {abs(age):.0f} s {'old' if age > 0 else 'in the future'}")
    try:
        expected = sign(payload, id=given["webhook-id"], timestamp=timestamp, secret=secret).encode()
    except UnicodeEncodeError:
        raise InvalidSignature("webhook-id or the body holds half of a surrogate pair, which nobody signs") from None
    offered = given["webhook-signature"].split()
    # No early end: how long it takes says nothing of which signature was nearly right.
    if not sum(hmac.compare_digest(expected, one.encode(errors="replace")) for one in offered):
        raise InvalidSignature("no signature of webhook-signature matches")


def unwrap(
    payload: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """Verify a webhook and read it: `{"id", "type", "created", "timestamp", "apiVersion", "data"}`.

    Raises:
        InvalidSignature: it is not genuine, or its body is no JSON object.
        ValueError: the secret is not one.
    """
    verify(payload, headers, secret, tolerance_seconds=tolerance_seconds, now=now)
    try:
        event = json.loads(payload)
    except ValueError:
        raise InvalidSignature("the body is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidSignature("the body is not a JSON object")
    return event


def _bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a webhook secret is {PREFIX} and base64") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"a webhook secret has {_LEAST_BYTES} to {_MOST_BYTES} bytes, got {len(key)}")
    return key
