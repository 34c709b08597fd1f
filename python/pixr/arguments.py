"""Checks arguments, so that an error names the argument: the engine reads JSON, and would name a column of that.

What comes from a file of questions or from a request may have any type, so each check accepts anything.
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
    "check_names",
    "check_number",
    "check_snapshot_name",
    "check_span",
    "check_text",
    "check_whole_number",
]

# Some thirty years: longer than anything here takes or lasts.
MOST_SECONDS = 1_000_000_000


def check_choice(name: str, given: Any, known: Any) -> None:
    """Refuse anything but the values of the `Literal` type `known`.

    Raises:
        InvalidQuery: lists the values.
    """
    if given not in get_args(known):
        raise InvalidQuery(f"{name} is {given!r}, expected {' or '.join(get_args(known))}")


def check_id(given: Any) -> None:
    """Refuse an id that no video can have, because it can't be passed to the engine.

    Raises:
        VideoNotFound: it holds half of a surrogate pair, which is no character.
    """
    if isinstance(given, str) and has_lone_surrogate(given):
        raise VideoNotFound(f"no video {given!a}: half of a surrogate pair is no character")


def check_snapshot_name(given: Any) -> None:
    """Refuse a name of a snapshot that can't be passed to the engine; None is no name, and allowed.

    Raises:
        InvalidName: it is not a text, or holds half of a surrogate pair.
    """
    if given is not None and not isinstance(given, str):
        raise InvalidName(f"{given!r} is no name for a snapshot: a text is expected")
    if isinstance(given, str) and has_lone_surrogate(given):
        raise InvalidName(f"{given!a} is no name for a snapshot: half of a surrogate pair is no character")


def check_number(name: str, given: Any, least: float = -math.inf, most: float = math.inf) -> None:
    """Refuse anything but a finite number from `least` to `most`.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not _is_within(given, least, most):
        raise InvalidQuery(f"{name} is {given!r}, expected a number{_range(least, most)}")


def check_whole_number(name: str, given: Any, least: int, most: int) -> None:
    """Refuse anything but a whole number from `least` to `most`.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidQuery(f"{name} is {given!r}, expected a whole number{_range(least, most)}")


def check_span(name: str, given: Any) -> None:
    """Refuse anything but two finite numbers; the engine checks whether they are a span.

    Raises:
        InvalidQuery: says what is expected.
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
        raise InvalidQuery(f"{name} is {given!r}, two numbers of seconds are expected")
    for one in given:
        check_number(name, one)


def check_text(name: str, given: Any) -> None:
    """Refuse anything but a text.

    Raises:
        InvalidQuery: names the type that was given.
    """
    if not isinstance(given, str):
        raise InvalidQuery(f"{name} is {type(given).__name__}, a text is expected")


def check_names(name: str, given: Any) -> None:
    """Refuse anything but a list of names; a single name is not one.

    Raises:
        InvalidQuery: names the type that was given.
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
