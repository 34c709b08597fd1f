"""Reads `--filter KEY=VALUE` into the filters of the search API.

    duration=60..300          from 60 to 300 seconds, both ends included; 60.. and ..300 leave one end open
    created=2023-01-01..      created on that day or after it; ..2024-01-01 before that day
    tags=diy,roof             has one of these tags
    quality=hd                is of this quality
    metadata.KEY=VALUE        a value of your own: a range, or one of several separated by commas
    creator='"Smith, John"'   a text with a comma, or two points, in it: in quotation marks, as JSON has it,
    tags='["a,b", "c"]'       or several of them as a list

A key given twice, and several keys, all have to hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["parse_filters", "parse_metadata"]

SET_KEYS = frozenset({"tags", "quality", "id", "creator"})


def parse_filters(items: Iterable[str]) -> dict[str, Any]:
    """Turn `KEY=VALUE` arguments into one filter object; several of one key become an `and`.

    Raises:
        ValueError: an argument has no `=`, an unknown key, or a range that can't be read.
    """
    clauses: list[tuple[str, Any]] = []
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key or not text:
            raise ValueError(f"{item!r} is not KEY=VALUE, such as duration=60..300 or tags=diy")
        clauses.append((key, _value(key, text)))
    keys = [key for key, _ in clauses]
    if len(keys) == len(set(keys)) and sum(key.startswith("metadata.") for key in keys) <= 1:
        return _merge(clauses)
    return {"and": [_merge([clause]) for clause in clauses]}


def parse_metadata(items: Iterable[str]) -> dict[str, Any]:
    """Turn `KEY=VALUE` arguments into metadata; a value that reads as JSON (12, true, ["a"]) is taken as such.

    Raises:
        ValueError: an argument has no `=`, or a key comes twice.
    """
    metadata: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ValueError(f"{item!r} is not KEY=VALUE")
        if key in metadata:
            raise ValueError(f"{key!r} is given twice")
        metadata[key] = _json_or_text(text)
    return metadata


def _merge(clauses: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    for key, value in clauses:
        if key.startswith("metadata."):
            filters.setdefault("metadata", {})[key.removeprefix("metadata.")] = value
        else:
            filters[key] = value
    return filters


def _value(key: str, text: str) -> Any:
    if key == "duration":
        return _range(key, text, "min", "max", _number)
    if key == "created":
        if ".." not in text:
            raise ValueError(f"created={text}: a range is expected, such as 2023-01-01..2024-01-01, without the latter")
        return _range(key, text, "after", "before", lambda _, end: end)
    quoted = _json_or_text(text) if text[0] in '"[' else text
    if key in SET_KEYS:
        if quoted == text:
            return [part for part in text.split(",") if part]
        return quoted if isinstance(quoted, list) else [quoted]
    if key.startswith("metadata.") and key != "metadata.":
        if quoted != text:
            return quoted
        if ".." in text:
            try:
                return _range(key, text, "min", "max", _number)
            except ValueError as error:
                raise ValueError(f'{error}; a text with two points in it is put in quotation marks: "a..b"') from None
        parts = [_json_or_text(part) for part in text.split(",") if part]
        return parts[0] if len(parts) == 1 else parts
    known = ", ".join(["duration", "created", *sorted(SET_KEYS), "metadata.KEY"])
    raise ValueError(f"{key!r} is not a filter; there are {known}")


def _range(key: str, text: str, low: str, high: str, read: Any) -> dict[str, Any]:
    first, dots, last = text.partition("..")
    if not dots:
        last = first
    ends = {low: first, high: last}
    bounds = {name: read(key, end) for name, end in ends.items() if end}
    if not bounds:
        raise ValueError(f"{key}={text}: the range has no end")
    return bounds


def _number(key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is not a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{key}: {text!r} is not a finite number")
    return number


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return value


def _refuse(name: str) -> Any:
    raise ValueError(name)
