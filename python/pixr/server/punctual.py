"""An HTTP client whose requests end in time, however slowly the other side sends or reads.

The timeouts of httpx are for one read or write each, so that a byte every few seconds, of headers or of a body, keeps
a thread for good. Here each read and write also ends with the time of the block (`within`) in which it is done, and
a thread that waits looks up every second, so that what it waits for can be called off. The limit belongs to the
thread, not to the connection: connections are kept and used again, and a request is sent and answered on one thread.

Establishing a connection, with its TLS handshake, ends in time too, but is not called off meanwhile.
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
# A write ends when all was taken, and the other side may take it in small pieces: the time is looked at between these.
_WRITE_BYTES = 16 << 10


@dataclass(frozen=True)
class Limit:
    """When everything has to be done (monotonic), and a function that raises if it shall not go on before."""

    instant: float
    check: Callable[[], None]

    def left(self) -> float:
        """The seconds that are left; none are if it is not above zero."""
        return self.instant - time.monotonic()


_NONE = Limit(math.inf, lambda: None)
_LIMIT: ContextVar[Limit] = ContextVar("pixr_limit", default=_NONE)


@contextmanager
def within(seconds: float, check: Callable[[], None] = lambda: None) -> Iterator[Limit]:
    """Give the requests of this block so many seconds in all, and call `check` once a second while they wait."""
    limit = Limit(time.monotonic() + seconds, check)
    token = _LIMIT.set(limit)
    try:
        yield limit
    finally:
        _LIMIT.reset(token)


def punctual_client(timeout: httpx.Timeout | float) -> httpx.Client:
    """A client that keeps to the limits of `within`; it follows no redirects and knows no proxies."""
    return httpx.Client(transport=_Transport(), timeout=timeout, follow_redirects=False, trust_env=False)


class _Transport(httpx.HTTPTransport):
    """httpx has no parameter for the network below it."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )


class _Backend(httpcore.NetworkBackend):
    """The usual one, with streams that end in time."""

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
    """How long the next step may take: not longer than it or its block may. Raises what `check` does, or `late`."""
    limit = _LIMIT.get()
    limit.check()
    seconds = min(limit.left(), _LONGEST_SECONDS if timeout is None else timeout)
    if seconds <= 0:
        raise late("not done in time")
    return seconds
