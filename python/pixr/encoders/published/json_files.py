"""Reads the small JSON files that lie beside a model. What is in them is never trusted to have the right type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pixr.errors import ModelError


def read_json(path: Path) -> dict[str, Any]:
    """An object from a file.

    Raises:
        ModelError: it can't be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds {type(value).__name__}, expected an object")
    return value


def read_if_there(path: Path) -> dict[str, Any]:
    """An object from a file, an empty one if there is no such file. Raises as `read_json`."""
    return read_json(path) if path.is_file() else {}


def integer(path: Path, values: dict[str, Any], key: str) -> int:
    """A whole number above zero.

    Raises:
        ModelError: it is missing or something else.
    """
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value < 1:
        raise ModelError(f"{path}: {key} is {value!r}, expected a whole number above zero")
    return int(value)


def three(path: Path, values: dict[str, Any], key: str, default: tuple[float, float, float]) -> tuple[float, ...]:
    """Three numbers, one a colour; one number stands for three.

    Raises:
        ModelError: it is something else.
    """
    value = values.get(key, default)
    if isinstance(value, (int, float)):
        value = (value,) * 3
    if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(isinstance(x, (int, float)) for x in value):
        raise ModelError(f"{path}: {key} is {value!r}, expected three numbers")
    return tuple(float(component) for component in value)
