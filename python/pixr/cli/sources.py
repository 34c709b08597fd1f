"""Turns the FILE, DIR and URL arguments of `pixr index` into a list of what to index."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["VIDEO_SUFFIXES", "expand", "is_url"]

VIDEO_SUFFIXES = frozenset(
    "." + name
    for name in """
        3g2 3gp asf avi divx dv dvr-ms f4v flv insv m2p m2ts m2v m4v mkv mod mov mp4 mpe mpeg mpg mts mxf ogm ogv qt
        rm rmvb tod tp trp ts vob vro webm wmv wtv
    """.split()  # noqa: SIM905 - read as words
)


def is_url(argument: str) -> bool:
    """Whether an argument names something to fetch over HTTP."""
    return argument.lower().startswith(("http://", "https://"))


def expand(arguments: Iterable[str]) -> list[str]:
    """Files and URLs as given, and instead of folders the videos below them, sorted by name. Each path comes once.

    A named file is taken whatever its suffix: the decoder decides whether it is a video. In folders, pipes, sockets and
    devices are left out, whatever their names, and so are links to folders. A folder that can't be read is returned
    itself, so that indexing reports it.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        if is_url(argument):
            found.setdefault(argument, argument)
            continue
        for path in _videos_below(argument) if os.path.isdir(argument) else (argument,):
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _videos_below(folder: str) -> Iterator[str]:
    unreadable: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=lambda error: unreadable.append(error.filename)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(parent, name)
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES and not _is_special(path):
                yield path
    yield from unreadable


def _is_special(path: str) -> bool:
    """Whether it exists and is not a regular file. A broken link's target does not exist, which indexing reports."""
    return os.path.exists(path) and not os.path.isfile(path)
