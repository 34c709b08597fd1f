"""An HTTP client whose requests end in time, however slowly the other side sends or reads.

The timeouts of httpx apply to single reads and writes, so one byte every few seconds would hold a thread forever. Here
each read and write also ends when the time of its block (`within`) is over, and a waiting thread checks every second
whether it should go on. The limit belongs to the thread, not to the connection, because connections are kept and used
again, while a request is sent and answered on one thread.

Establishing a connection, with its TLS handshake, ends in time too, but can't be called off before.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

__all__ = ["Limit", "punctual_client", "within"]

_LOOK_SECONDS = 1.0
_LONGEST_SECONDS = 3600.0
# A write ends only when all of it was accepted, which may take long, so it is split and the time checked in between.
_WRITE_BYTES = 16 << 10


@dataclass(frozen=True)
class Limit:
    """When everything has to be done, on the monotonic clock, and a function that raises to end it before that."""

    instant: float
    check: Callable[[], None]

    def left(self) -> float:
        """The seconds that are left. Zero or less means that the time is over."""
        return self.instant - time.monotonic()


_NONE = Limit(math.inf, lambda: None)
_LIMIT: ContextVar[Limit] = ContextVar("pixr_limit", default=_NONE)


@contextmanager
def within(seconds: float, check: Callable[[], None] = lambda: None) -> Iterator[Limit]:
    """Give the requests in the block `seconds` in all, and call `check` once a second while they wait."""
    limit = Limit(time.monotonic() + seconds, check)
    token = _LIMIT.set(limit)
    try:
        yield limit
    finally:
        _LIMIT.reset(token)


def punctual_client(timeout: httpx.Timeout | float) -> httpx.Client:
    """A client that keeps to the limits of `within`. It follows no redirects and uses no proxies."""
    return httpx.Client(transport=_Transport(), timeout=timeout, follow_redirects=False, trust_env=False)


class _Transport(httpx.HTTPTransport):
    """A transport on a network backend of our own, for which httpx has no parameter."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )


class _Backend(httpcore.NetworkBackend):
    """The usual backend, with streams that end in time."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _least(timeout, httpcore.ConnectTimeout)
        return _Stream(self._backend.connect_tcp(host, port, seconds, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A connection, plain or encrypted."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        patience = time.monotonic() + (_LONGEST_SECONDS if timeout is None else timeout)
        while True:
            seconds = _least(patience - time.monotonic(), httpcore.ReadTimeout)
            try:
                return self._stream.read(max_bytes, min(seconds, _LOOK_SECONDS))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[begin : begin + _WRITE_BYTES], _least(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _least(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _least(timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
    """The seconds that the next step may take, by its limit and its block's. Raises what `check` does, or `late`."""
    limit = _LIMIT.get()
    limit.check()
    seconds = min(limit.left(), _LONGEST_SECONDS if timeout is None else timeout)
    if seconds <= 0:
        raise late("not done in time")
    return seconds
