"""A webhook receiver on loopback: a real HTTP server that keeps what it gets and answers as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: str
    at: float


@dataclass
class Receiver:
    """What came, and what the next answers are; 200 when there are no more."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    delay: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_for(self, count: int, seconds: float = 20.0) -> list[Received]:
        """The first `count` requests; fails when they don't come."""
        wait_until(lambda: len(self.requests) >= count, seconds)
        return self.requests[:count]


def wait_until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition that another thread or process brings about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver while the block lasts."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with receiver.lock:
                receiver.at_once += 1
                receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            time.sleep(receiver.delay)
            with receiver.lock:
                receiver.at_once -= 1
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Received(self.path, headers, body, time.time()))
                status, given = receiver.answers.pop(0) if receiver.answers else (200, {})
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
