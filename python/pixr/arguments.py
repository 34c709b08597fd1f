"""Refuses what is no argument of its kind, by its name: the engine reads JSON, and would tell a column of that.

What comes from a file of questions or a request has any type, so each check takes anything.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from typing import Any, get_args

from pixr.errors import InvalidName, InvalidQuery, VideoNotFound
from pixr.surrogates import has_lone_surrogate

__all__ = [
    "MOST_SECONDS",
    "check_choice",
    "check_id",
    "check_name",
    "check_names",
    "check_number",
    "check_span",
    "check_text",
    "check_whole_number",
]

# Some thirty years.
MOST_SECONDS = 1_000_000_000


def check_choice(name: str, given: Any, known: Any) -> None:
    """Refuse what is not among the values of a `Literal`.

    Raises:
        InvalidQuery: says which there are.
    """
    if given not in get_args(known):
        raise InvalidQuery(f"{name} is {given!r}, expected {' or '.join(get_args(known))}")


def check_id(given: Any) -> None:
    """Refuse the id of a video that no video can have, since the engine takes characters alone.

    Raises:
        VideoNotFound: it holds half of a surrogate pair.
    """
    if isinstance(given, str) and has_lone_surrogate(given):
        raise VideoNotFound(f"no video {given!a}: half of a surrogate pair is no character")


def check_name(given: Any) -> None:
    """Refuse the name of a snapshot that the engine could not be told.

    Raises:
        InvalidName: it is no text, or holds half of a surrogate pair.
    """
    if given is not None and not isinstance(given, str):
        raise InvalidName(f"{given!r} is no name for a snapshot: a text is expected")
    if isinstance(given, str) and has_lone_surrogate(given):
        raise InvalidName(f"{given!a} is no name for a snapshot: half of a surrogate pair is no character")


def check_number(name: str, given: Any, least: float = -math.inf, most: float = math.inf) -> None:
    """Refuse what is no finite number from `least` to `most`.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not _is_within(given, least, most):
        raise InvalidQuery(f"{name} is {given!r}, expected a number{_range(least, most)}")


def check_whole_number(name: str, given: Any, least: int, most: int) -> None:
    """Refuse what is no whole number from `least` to `most`.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidQuery(f"{name} is {given!r}, expected a whole number{_range(least, most)}")


def check_span(name: str, given: Any) -> None:
    """Refuse what is not two finite numbers; whether they are a span is the engine's to say.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        raise InvalidQuery(f"{name} is {given!r}, two numbers of seconds are expected")
    for one in given:
        check_number(name, one)


def check_text(name: str, given: Any) -> None:
    """Refuse what is no text.

    Raises:
        InvalidQuery: names the type that it has.
    """
    if not isinstance(given, str):
        raise InvalidQuery(f"{name} is {type(given).__name__}, a text is expected")


def check_names(name: str, given: Any) -> None:
    """Refuse what is no list of names; a name by itself is none.

    Raises:
        InvalidQuery: names the type that it has.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        raise InvalidQuery(f"{name} is {type(given).__name__}, a list of names is expected")
    for one in given:
        if not isinstance(one, str):
            raise InvalidQuery(f"{name} has {type(one).__name__}, names are expected")


def _is_within(given: float, least: float, most: float) -> bool:
    # A whole number may be larger than any float.
    return abs(given) <= sys.float_info.max and least <= given <= most


def _range(least: float, most: float) -> str:
    return f" from {least:,} to {most:,}" if math.isfinite(least) and math.isfinite(most) else ""
