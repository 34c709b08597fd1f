"""What Schemathesis has to be told: how bytes of a file go out as a piece of an upload."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece(context: Any, value: Any) -> bytes:
    """As they are."""
    return value if isinstance(value, bytes) else str(value).encode()
