"""What Schemathesis has to be told: how a piece of an upload is sent, and what is not worth asking."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece(context: Any, value: Any) -> bytes:
    """As they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A minute's wait for a change of a video is asked for as a twentieth of a second: a run has hundreds.

    And no made-up keys beside the token: they are refused before anything else is looked at, two requests in three.
    """
    try:
        seconds = float((case.query or {}).get("wait", 0))
    except (TypeError, ValueError):
        seconds = 0.0
    if 0.05 < seconds <= 60:
        case.query["wait"] = 0.05
    for name in ("X-API-Key", "X-API-Secret"):
        (case.headers or {}).pop(name, None)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Headers that nobody knows are nothing that a server may refuse (RFC 9110 §5.1)."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})
