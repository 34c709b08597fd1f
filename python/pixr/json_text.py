"""Values as JSON that the engine reads.

Python also writes whole numbers of any length and halves of surrogate pairs. It would tell of a line and column.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from pixr.surrogates import has_lone_surrogate

__all__ = ["as_json"]

_LONG = re.compile(r"\d{309}")


def as_json(value: Any, check_whole: Callable[[str], object] | None = None) -> str:
    """The value as JSON; `check_whole` is called with the digits of every whole number in it, to refuse some.

    Raises:
        TypeError, ValueError, RecursionError: it can't be written, or holds what can't be read.
    """
    text = json.dumps(value, allow_nan=False)
    if check_whole is not None or _LONG.search(text):
        json.loads(text, parse_int=check_whole or _check)
    if "\\ud" in text and has_lone_surrogate(written := json.dumps(value, ensure_ascii=False)):
        raise ValueError(f"{written!a} holds half of a surrogate pair, which is no character")
    return text


def _check(digits: str) -> None:
    if math.isinf(float(digits)):
        raise ValueError(f"a number of {len(digits.lstrip('-'))} digits is larger than any that can be compared")
