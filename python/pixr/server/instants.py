"""The form of instants in answers and events."""

from __future__ import annotations

from datetime import datetime

__all__ = ["rfc3339"]


def rfc3339(instant: datetime | None) -> str | None:
    """An instant in UTC as JSON has it: to the millisecond, with a Z."""
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
