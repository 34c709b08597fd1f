"""What Schemathesis has to be told: how bytes of a file go out as a piece of an upload, and not to wait long."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece(context: Any, value: Any) -> bytes:
    """As they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A minute's wait for a change of a video is asked for as a twentieth of a second: a run has hundreds."""
    try:
        seconds = float((case.query or {}).get("wait", 0))
    except (TypeError, ValueError):
        return
    if 0.05 < seconds <= 60:
        case.query["wait"] = 0.05
