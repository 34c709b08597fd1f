"""Reads numbers from headers, which may hold anything.

`int` would accept signs, spaces and digits of other scripts, and raises if there are several thousand digits.
"""

from __future__ import annotations

import re

__all__ = ["whole_number"]

_DIGITS = re.compile(r"[0-9]{1,18}")


def whole_number(text: str) -> int | None:
    """The number that `text` spells in at most 18 decimal digits; None if it is anything else."""
    return int(text) if _DIGITS.fullmatch(text) else None
