"""Records which encoders a library was indexed with, so that it is searched with the same ones by default.

`encoders.json` in the library's folder has the names and folders that were given, and the precision of their files. The
record is a convenience: which vectors may be compared is checked by the engine, from the space of each channel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from pixr.errors import ModelError, StorageError
from pixr.whole_file import whole_file

FILE_NAME: Final = "encoders.json"

Given: TypeAlias = "str | PathLike[str] | Sequence[str | PathLike[str]]"


@dataclass(frozen=True)
class Choice:
    """Names or absolute paths of models, and the precision asked for."""

    names: tuple[str, ...]
    precision: str

    def encode(self) -> str:
        """The choice as JSON."""
        return json.dumps({"encoders": list(self.names), "precision": self.precision}, indent=1)

    @classmethod
    def decode(cls, text: str | bytes) -> Choice:
        """Read what `encode` wrote.

        Raises:
            ValueError: it is damaged.
        """
        values: Any = json.loads(text)
        try:
            return cls(tuple(str(name) for name in values["encoders"]), str(values["precision"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no choice of encoders: {error!r}") from error


def chosen(given: Given, precision: str) -> Choice:
    """What was asked for, with folders as absolute paths, which stay right in processes started elsewhere."""
    names = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    said = [os.fspath(name) for name in names]
    return Choice(tuple(os.path.abspath(name) if Path(name).is_dir() else name for name in said), precision)


def recall(library: Path) -> Choice | None:
    """What the library was indexed with; None if nothing was recorded.

    Raises:
        ModelError: the file is damaged.
    """
    path = library / FILE_NAME
    try:
        return Choice.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error!r}; open the library with encoder=…") from error


def remember(library: Path, choice: Choice) -> None:
    """Record the choice, in one step that survives a power cut. Does nothing if it is the one on record.

    Raises:
        StorageError: the record can't be written.
    """
    try:
        if recall(library) == choice:
            return
    except ModelError:
        pass  # a damaged record is written anew
    path = library / FILE_NAME
    try:
        with whole_file(path) as partial:
            partial.write_text(choice.encode() + "\n", encoding="utf8")
    except OSError as error:
        raise StorageError(f"write {path}: {error}") from error


def remember_first(library: Path, choice: Choice) -> None:
    """Record the choice if the library has no record yet. An existing one stays, even if it is damaged.

    Raises:
        StorageError: the record can't be written.
    """
    if not (library / FILE_NAME).exists():
        remember(library, choice)
