"""Cuts off clients that are too slow, or whose headers don't end. uvicorn would wait for them forever.

A request's headers must arrive within `slow_client_seconds`, counted from their first byte or from the connection. They
may be at most `MOST_HEADER_BYTES` long; uvicorn would keep any amount of them in memory. An answer that is not read is
given up if the socket's buffer has not emptied for as long. If a request was answered before its body had arrived, the
rest of the body is read for as long once more. How fast a body must arrive is up to `body_limit.py`, which can still
answer. What is not HTTP, or has an unknown method, is refused here with a body like that of all other errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pixr.server.errors import MEDIA_TYPE, ApiError, problem
from pixr.server.ids import new_id

__all__ = ["MOST_HEADER_BYTES", "PATIENCE", "PatientProtocol"]

# The name under which the application's lifespan hands over the seconds.
PATIENCE = "pixr_patience"
# Not counting the last read, which may hold the end of the headers and more.
MOST_HEADER_BYTES = 64 << 10


class PatientProtocol(HttpToolsProtocol):
    """A connection with a deadline for each direction."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        seconds = self.app_state[PATIENCE]
        self._reading = _Deadline(seconds, self._give_up)
        self._writing = _Deadline(seconds, self._give_up)
        self._in_headers = True
        self._header_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Go on reading, unless the headers are too long."""
        super().data_received(data)
        self._header_bytes = self._header_bytes + len(data) if self._in_headers else 0
        if self._header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too long.")

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that does not reach the application, and end the connection."""
        id = new_id("req")
        error = ApiError("MALFORMED_REQUEST", msg)
        body = to_json(problem(error, instance="", request_id=id))
        head = (
            f"HTTP/1.1 {error.status} Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {id}\r\nConnection: close\r\n"
        )
        usual = b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)
        self.transport.write(head.encode() + usual + b"\r\n" + body)
        self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first headers."""
        super().connection_made(transport)
        self._reading.arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._reading.cancel()
        self._writing.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start waiting for the headers of the next request."""
        self._reading.arm()
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Leave the body to the application."""
        self._reading.cancel()
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop waiting: the request is complete."""
        self._reading.cancel()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start waiting for the rest of a body that nobody reads."""
        if self.cycle.more_body:
            self._reading.arm()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start waiting for the other side to read."""
        self._writing.arm()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop waiting: the other side has read."""
        self._writing.cancel()
        super().resume_writing()

    def _give_up(self) -> None:
        self.transport.abort()


class _Deadline:
    """Calls `late` when its time is over, unless it is cancelled before."""

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds = seconds
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._late)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
