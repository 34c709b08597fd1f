"""Reads numbers out of headers, which may hold anything.

`int` takes signs, spaces and digits of other scripts, and raises for what is longer than some thousand digits.
"""

from __future__ import annotations

import re

__all__ = ["whole_number"]

_DIGITS = re.compile(r"[0-9]{1,18}")


def whole_number(text: str) -> int | None:
    """The number that `text` is in decimal digits, up to 18 of them; None where it is anything else."""
    return int(text) if _DIGITS.fullmatch(text) else None
