"""A proxy that shows a server below a path of its own, as one does that serves several by one name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PATH = "/video/api"
_OF_ONE_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


class Proxy(ThreadingHTTPServer):
    """Passes on what comes below `PATH`, without it; everything else is not found."""

    daemon_threads = True
    target = ""

    @property
    def url(self) -> str:
        """How its clients reach the server."""
        return f"http://127.0.0.1:{self.server_port}{PATH}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _pass_on(self) -> None:
        if not self.path.startswith(f"{PATH}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = self.server.target + self.path.removeprefix(PATH)
        answer = httpx.request(self.command, url, headers=dict(self.headers.items()), content=body, timeout=60)
        self.send_response(answer.status_code)
        for name, value in answer.headers.multi_items():
            if name not in _OF_ONE_HOP | {"content-length", "content-encoding"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def below_a_path() -> Iterator[Proxy]:
    """A proxy while the block lasts, which is told its `target` once that runs."""
    with Proxy(("127.0.0.1", 0), _Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
