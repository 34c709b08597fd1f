"""The form of instants in answers, events and URLs."""

from __future__ import annotations

from datetime import datetime

__all__ = ["instant_in_url", "rfc3339"]


def rfc3339(instant: datetime | None) -> str | None:
    """An instant in UTC as JSON has it: to the millisecond, with a Z."""
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_in_url(seconds: float) -> str:
    """An instant of a video as the parameter of a URL: to the microsecond, however long the video is.

    Example:
        >>> instant_in_url(5025.48), instant_in_url(0.0), instant_in_url(1e6)
        ('5025.48', '0', '1000000')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
