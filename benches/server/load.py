"""Asks a server at a fixed rate, or as fast as it answers, over connections that are kept; plain sockets, little work.

Latencies are counted from the instant at which a request was due, so a server that falls behind can't hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Outcome:
    """Latencies in milliseconds, and the answers that were none of the expected."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def percentile(self, part: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds

    def __str__(self) -> str:
        shown = " ".join(f"p{part * 100:g} {self.percentile(part):.1f}" for part in (0.5, 0.95, 0.99, 0.999))
        return f"{len(self.milliseconds)} answers, {self.rate:.0f}/s, {shown} ms, {len(self.errors)} errors"


def request(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection, one request at a time."""

    def __init__(self, url: str) -> None:
        self._host, self._port = str(urlsplit(url).hostname), int(urlsplit(url).port or 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> int:
        """The status of the answer, which is read whole."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        try:
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        return int(head[9:12])

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def at_rate(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> Outcome:
    """Ask `rate` times a second, whether answers come or not."""
    outcome, free = Outcome(), asyncio.Queue[Connection]()
    opened: list[Connection] = []
    waiting: set[asyncio.Task[None]] = set()

    async def one(sent: bytes, due: float) -> None:
        connection = free.get_nowait() if not free.empty() else Connection(url)
        if connection not in opened:
            opened.append(connection)
        try:
            status = await connection.ask(sent)
            if status >= 300:
                outcome.errors.append(str(status))
            outcome.milliseconds.append((time.perf_counter() - due) * 1e3)
        except (OSError, asyncio.IncompleteReadError) as error:
            outcome.errors.append(type(error).__name__)
        free.put_nowait(connection)

    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(requests[number % len(requests)], due))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    while waiting:
        await asyncio.wait(set(waiting))
    outcome.seconds = time.perf_counter() - begun
    for connection in opened:
        connection.close()
    return outcome


async def as_fast(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> Outcome:
    """Ask over each connection as soon as it has answered."""
    outcome, begun = Outcome(), time.perf_counter()

    async def ask(offset: int) -> None:
        connection, number = Connection(url), offset
        while time.perf_counter() - begun < seconds:
            at = time.perf_counter()
            status = await connection.ask(requests[number % len(requests)])
            outcome.milliseconds.append((time.perf_counter() - at) * 1e3)
            if status >= 300:
                outcome.errors.append(str(status))
            number += connections
        connection.close()

    await asyncio.gather(*(ask(offset) for offset in range(connections)))
    outcome.seconds = time.perf_counter() - begun
    return outcome


async def beside(work: asyncio.Future[Outcome], *others: Callable[[], asyncio.Future[None]]) -> Outcome:
    """`work`, while `others` go on until it is done."""
    tasks = [asyncio.ensure_future(other()) for other in others]
    try:
        return await work
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
