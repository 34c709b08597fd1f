"""Tells whether an MP4 file (ISO/IEC 14496-12) is damaged between its fragments, so that none behind is read.

Such a file is a row of boxes, each with its length and type. FFmpeg stops where a box makes no sense, and as the header
of a file of fragments doesn't say how long that is, nothing else tells that something follows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["has_unread_fragments"]

_FIRST = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"sidx"))
# The type of a fragment, and the head of the box that each begins with.
_FRAGMENT = b"moof\x00\x00\x00\x10mfhd"
_HEAD_BYTES, _LONG_HEAD_BYTES = 8, 16
_PIECE_BYTES = 1 << 20
# How far the next fragment is looked for: many times what one has.
_MOST_PIECES = 64


def has_unread_fragments(path: str) -> bool:
    """Whether fragments follow behind a place at which no box begins; False if it is no MP4 file or can't be read."""
    try:
        with open(path, "rb") as file:
            broken = _first_broken(file)
            return broken is not None and _holds_fragment(file, broken)
    except OSError:
        return False


def _first_broken(file: BinaryIO) -> int | None:
    """Where there should be a box and is none; None if each is followed by the next, or if it is another format."""
    end = file.seek(0, os.SEEK_END)
    at = 0
    while at + _HEAD_BYTES <= end:
        file.seek(at)
        head = file.read(_LONG_HEAD_BYTES)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if at == 0 and kind not in _FIRST:
            return None
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < _HEAD_BYTES or not kind.isalnum():
            return at
        at += length
    return None


def _holds_fragment(file: BinaryIO, begin: int) -> bool:
    file.seek(begin)
    last = b""
    for _ in range(_MOST_PIECES):
        piece = file.read(_PIECE_BYTES)
        if _FRAGMENT in last + piece:
            return True
        last = piece[1 - len(_FRAGMENT) :]
    return False
