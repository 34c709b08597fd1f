"""Reads TOML with the standard library, or before Python 3.11 with tomli."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from pixr.errors import MissingExtra, ModelError


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        FileNotFoundError: there is no such file.
        ModelError: it is not TOML.
        MissingExtra: tomli is not installed and Python is 3.10.
    """
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        toml: Any = importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(name, "encoders", error) from error
    text = path.read_text(encoding="utf8")
    try:
        values: dict[str, Any] = toml.loads(text)
    except ValueError as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    return values
