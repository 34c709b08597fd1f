"""Receive what Pixr sends: check that an event is genuine, and read it.

    event = pixr.webhooks.unwrap(body, headers, secret)

Signatures are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com), so any of its libraries serves too.
"""

from pixr.errors import InvalidSignature
from pixr.webhooks.signature import (
    TOLERANCE_SECONDS,
    new_secret,
    sign,
    sign_body,
    unwrap,
    verify,
)

__all__ = ["TOLERANCE_SECONDS", "InvalidSignature", "new_secret", "sign", "sign_body", "unwrap", "verify"]
