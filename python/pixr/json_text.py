"""Values as JSON that the engine reads, whose numbers are those of 64-bit floats or whole ones.

Python writes a whole number of any length. The engine would tell of a line and a column where one is too large.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["as_json"]

_LONG = re.compile(r"\d{309}")


def as_json(value: Any) -> str:
    """The value as JSON.

    Raises:
        TypeError, ValueError, RecursionError: it can't be written, or holds a number that can't be read.
    """
    text = json.dumps(value, allow_nan=False)
    if _LONG.search(text):
        json.loads(text, parse_int=_check)
    return text


def _check(digits: str) -> None:
    if math.isinf(float(digits)):
        raise ValueError(f"a number of {len(digits.lstrip('-'))} digits is larger than any that can be compared")
