"""Rate limits: two token buckets for each organization, shared by all processes of a server on one machine.

`sustained` holds sixty seconds' worth of requests and refills at the plan's rate; `burst` holds two seconds' worth and
refills at twice the rate. So an organization may send at twice its rate for about a minute, and never faster. The
buckets are in a mapped file, a slot for each organization, found by a hash of its id. A slot is locked by `lockf`
between processes and by a mutex between threads. Losing the file costs nothing. Two organizations whose hashes collide
would share a slot, so a slot carries its owner's hash, and the later one takes it over with full buckets.

Tokens and addresses have buckets too, each kind in slots of its own. Others choose their names, and could otherwise
choose one that collides with an organization's, and refill its buckets with every request.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

__all__ = ["Allowance", "RateLimits"]

Kind = Literal["organization", "token", "stranger", "failure"]

_KINDS: tuple[Kind, ...] = get_args(Kind)
_SLOTS = 1 << 14  # of each kind
_SLOT = struct.Struct("<16sddd")  # owner, sustained tokens, burst tokens, when
_BURST = 2.0
_WINDOW_SECONDS = 60


@dataclass(frozen=True)
class Allowance:
    """The outcome of one request: whether it may pass, and what is left under both policies."""

    allowed: bool
    rate: float
    sustained_left: float
    burst_left: float
    retry_seconds: float

    @property
    def left(self) -> float:
        """How many requests may follow at once."""
        return min(self.sustained_left, self.burst_left)

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), and their older relatives."""
        sustained, burst = map(math.floor, _most(self.rate))
        left = {"sustained": math.floor(self.sustained_left), "burst": math.floor(self.burst_left)}
        full = {
            "sustained": math.ceil((sustained - self.sustained_left) / self.rate),
            "burst": math.ceil(max(0.0, burst - self.burst_left) / (self.rate * _BURST)),
        }
        tightest = min(left, key=lambda name: left[name])
        headers = {
            "RateLimit-Policy": f'"sustained";q={sustained};w={_WINDOW_SECONDS}, "burst";q={burst};w=1',
            "RateLimit": ", ".join(f'"{name}";r={left[name]};t={full[name]}' for name in left),
            "X-RateLimit-Limit": str(sustained if tightest == "sustained" else burst),
            "X-RateLimit-Remaining": str(left[tightest]),
            "X-RateLimit-Reset": str(full[tightest]),
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_seconds)))
        return headers


def _most(rate: float) -> tuple[float, float]:
    """How much the buckets hold: at least one request, or none would ever pass."""
    return max(1.0, rate * _WINDOW_SECONDS), max(1.0, rate * _BURST)


class RateLimits:
    """Buckets by name."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        """Share the buckets with everyone who opens the same file."""
        self._clock = clock
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        byte_len = len(_KINDS) * _SLOTS * _SLOT.size
        os.ftruncate(self._file, byte_len)
        self._slots = mmap.mmap(self._file, byte_len)
        self._mutex = threading.Lock()

    def take(self, name: str, rate: float, kind: Kind = "organization") -> Allowance:
        """Count one request of `name`, which may make `rate` a second. A refused request is not counted."""
        owner = hashlib.blake2b(name.encode(), digest_size=16).digest()
        slot = _KINDS.index(kind) * _SLOTS + int.from_bytes(owner[:4], "little") % _SLOTS
        at = slot * _SLOT.size
        most_sustained, most_burst = _most(rate)
        with self._mutex:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _SLOT.size, at)
            try:
                instant = self._clock()
                holder, sustained, burst, then = _SLOT.unpack_from(self._slots, at)
                if holder != owner:
                    sustained, burst, then = most_sustained, most_burst, instant
                passed = max(0.0, instant - then)
                sustained = min(most_sustained, sustained + passed * rate)
                burst = min(most_burst, burst + passed * rate * _BURST)
                allowed = sustained >= 1.0 and burst >= 1.0
                if allowed:
                    sustained, burst = sustained - 1.0, burst - 1.0
                _SLOT.pack_into(self._slots, at, owner, sustained, burst, instant)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _SLOT.size, at)
        retry = max((1.0 - sustained) / rate, (1.0 - burst) / (rate * _BURST), 0.0)
        return Allowance(allowed, rate, sustained, burst, 0.0 if allowed else retry)

    def close(self) -> None:
        """Close the file."""
        self._slots.close()
        os.close(self._file)
