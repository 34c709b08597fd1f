"""A video's file as a library remembers it: its absolute path, or a `file:` URL where that path is not UTF-8.

A library holds characters, and the name of a file is bytes. A URL has each byte of it.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pixr.surrogates import has_lone_surrogate

__all__ = ["file_state", "is_title_of", "path_to_source", "source_to_path", "title_of"]

_FILE = "file://"


def path_to_source(path: str | os.PathLike[str]) -> str:
    """What a library remembers of a file; it outlives the folder that one was in, so the path is absolute."""
    absolute = os.path.abspath(path)
    return Path(absolute).as_uri() if has_lone_surrogate(absolute) else absolute


def source_to_path(source: str) -> Path | None:
    """The file that a library remembers, whether it is there or not; None where that is something on the network."""
    if source.startswith(_FILE):
        return Path(os.fsdecode(unquote_to_bytes(source.removeprefix(_FILE))))
    return None if "://" in source else Path(source)


def file_state(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """What differs when a file is written to or replaced; empty where it can't be looked at."""
    try:
        told = os.stat(path)
    except OSError:
        return ()
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns


def title_of(path: str | os.PathLike[str]) -> str:
    """The file's name without its ending, with U+FFFD for what is not UTF-8.

    Composed (NFC), as people type: a Mac may write a letter of a file's name and what stands above it one by one.
    """
    name = Path(path).stem.encode(errors="surrogateescape").decode(errors="replace")
    return unicodedata.normalize("NFC", name)


def is_title_of(title: str, path: str | os.PathLike[str]) -> bool:
    """Whether a title is but the file's name, composed or not."""
    return unicodedata.normalize("NFC", title) == title_of(path)
