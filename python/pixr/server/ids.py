"""Ids: a prefix that says of what, then 128 random bits, so that none can be guessed.

Inside `repeatable(seed)` the same calls give the same ids. An idempotent request that a crash cut short is carried out
again under its old seed, finds what it made before under the same id, and makes nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

__all__ = ["new_id", "new_secret", "repeatable"]

_source: ContextVar[tuple[bytes, Iterator[int]] | None] = ContextVar("pixr_id_source", default=None)


def new_id(prefix: str) -> str:
    """A new id such as `vid_3k5…`: the prefix, and 26 letters and digits."""
    source = _source.get()
    if source is None:
        raw = secrets.token_bytes(16)
    else:
        seed, numbers = source
        raw = hashlib.sha256(seed + f"/{prefix}/{next(numbers)}".encode()).digest()[:16]
    return f"{prefix}_{_letters(raw)}"


def new_secret(prefix: str) -> str:
    """A secret of 256 random bits; never repeatable."""
    return f"{prefix}_{_letters(secrets.token_bytes(32))}"


@contextmanager
def repeatable(seed: bytes) -> Iterator[None]:
    """Derive the ids that are made inside the block from `seed`, in order."""
    token = _source.set((seed, count()))
    try:
        yield
    finally:
        _source.reset(token)


def _letters(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()
