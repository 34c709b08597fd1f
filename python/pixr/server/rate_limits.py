"""Rate limits: two token buckets an organization, shared by all processes of a server on one machine.

`sustained` holds sixty seconds' worth and refills at the plan's rate, `burst` holds two seconds' worth and refills at
twice the rate: so an organization may ask at twice its rate for about a minute, and never faster. Buckets lie in a
mapped file, a slot each, found by a hash of the organization's id; a slot is locked by `lockf` between processes and by
a mutex between threads. What is kept there is lost with the machine, which costs nothing. Two organizations whose
hashes meet would share a slot, so a slot carries its owner's hash: the later one takes it over, with full buckets.

Tokens and addresses have buckets too, each kind in slots of its own: their names are chosen by others, who would
otherwise choose one whose hash meets that of an organization, and fill its buckets with every request.
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
    """How much the buckets hold: one request at the least, or none would ever pass."""
    return max(1.0, rate * _WINDOW_SECONDS), max(1.0, rate * _BURST)


class RateLimits:
    """Buckets by name."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        """Share buckets with all who open the same file."""
        self._clock = clock
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        byte_len = len(_KINDS) * _SLOTS * _SLOT.size
        os.ftruncate(self._file, byte_len)
        self._slots = mmap.mmap(self._file, byte_len)
        self._mutex = threading.Lock()

    def take(self, name: str, rate: float, kind: Kind = "organization") -> Allowance:
        """Count one request of `name`, which may make `rate` a second; one that is refused counts for nothing."""
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
        """Let go of the file."""
        self._slots.close()
        os.close(self._file)
