"""Checks whether a video's metadata can be stored, before its file is transferred.

The bounds are those of the engine (`rust/engine/catalog/validate.rs`), which checks them again. Text is checked more
strictly here: neither JSON in UTF-8 nor PostgreSQL can hold half of a surrogate pair, nor can PostgreSQL hold a NUL.
"""

from __future__ import annotations

import json
import math
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["flaws"]

Flaw = tuple[tuple[str | int, ...], str]

_MOST_NAME_BYTES = 1024
_MOST_METADATA_BYTES = 1 << 20
_MOST_DEPTH = 16
_LEAST_WHOLE, _MOST_WHOLE = -(1 << 63), (1 << 64) - 1
_WRITTEN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))?"
)


def flaws(video: Mapping[str, Any]) -> Iterator[Flaw]:
    """The fields of a video that can't be stored: where each is, and why."""
    for field in ("title", "description"):
        if video.get(field) is not None:
            yield from _of_text((field,), video[field])
    if video.get("created") is not None and not _is_instant(video["created"]):
        yield ("created",), "not an RFC 3339 date (2023-01-31) or date and time with offset (2023-01-31T12:00:00Z)"
    if video.get("quality") is not None:
        yield from _of_name(("quality",), video["quality"])
    for place, tag in enumerate(video.get("tags") or ()):
        yield from _of_name(("tags", place), tag)
    if (creator := video.get("creator")) is not None:
        yield from _of_name(("creator", "id"), creator["id"])
        yield from _of_text(("creator", "name"), creator.get("name", ""), _MOST_NAME_BYTES)
    yield from _of_metadata(video.get("metadata") or {})


def _of_metadata(metadata: Mapping[str, Any]) -> Iterator[Flaw]:
    found: list[Flaw] = []
    for key, value in metadata.items():
        path = ("metadata", _spelled(key))
        found += [*_of_name(path, key), *_of_value(path, value, _MOST_DEPTH)]
    yield from found
    if not found and _json_bytes(metadata) > _MOST_METADATA_BYTES:
        yield ("metadata",), f"at most {_MOST_METADATA_BYTES} bytes of JSON are stored"


def _of_value(path: tuple[str | int, ...], value: Any, depth: int) -> Iterator[Flaw]:
    if depth == 0:
        yield path, f"nested deeper than {_MOST_DEPTH}"
    elif isinstance(value, str):
        yield from _of_text(path, value)
    elif isinstance(value, int):
        if not _LEAST_WHOLE <= value <= _MOST_WHOLE:
            yield path, "a whole number of more than 64 bits; send it as text"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, "not a finite number"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            where = (*path, _spelled(key))
            yield from _of_text(where, key)
            yield from _of_value(where, inner, depth - 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _of_value((*path, place), inner, depth - 1)


def _of_name(path: tuple[str | int, ...], name: str) -> Iterator[Flaw]:
    if not name:
        yield path, "a name is empty"
    yield from _of_text(path, name, _MOST_NAME_BYTES)


def _of_text(path: tuple[str | int, ...], text: str, most_bytes: int | None = None) -> Iterator[Flaw]:
    try:
        byte_len = len(text.encode())
    except UnicodeEncodeError:
        yield path, "half of a surrogate pair is no text"
        return
    if "\0" in text:
        yield path, "text with a NUL can't be stored"
    if most_bytes is not None and byte_len > most_bytes:
        yield path, f"{byte_len} bytes, at most {most_bytes} are stored"


def _spelled(key: str) -> str:
    """A key in a form that an answer, which is JSON, can hold."""
    return key.encode(errors="backslashreplace").decode()


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _is_instant(text: str) -> bool:
    """Whether the engine reads it as an instant (`rust/engine/catalog/timestamp.rs`)."""
    if not (written := _WRITTEN.fullmatch(text)):
        return False
    year, month, day = map(int, written.groups())
    return 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
