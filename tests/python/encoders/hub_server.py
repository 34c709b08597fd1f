"""A server that answers as the hub does: redirects to where the bytes are, ranges, and what goes wrong with both."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Serves `files` of one repository on this machine. Use as a context manager.

    Attributes:
        files: by path.
        commit: what `main` stands for.
        break_after: the connection is cut after so many bytes of a body, as many times as `breaks` says.
        breaks: how often.
        refuse: answers with these codes come first.
        say_sha256: of files by path, in place of the true one.
        requests: (path, Range header) of each request for bytes.
        revisions: what each `resolve` asked for.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    break_after: int = 0
    breaks: int = 0
    refuse: list[int] = field(default_factory=list)
    say_sha256: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        if self.refuse:
            self._end(request, self.refuse.pop(0))
        elif match := re.fullmatch(r"/[^/]+/[^/]+/resolve/([^/]+)/(.+)", unquote(request.path)):
            self.revisions.append(match[1])
            self._resolve(request, match[1], match[2])
        elif match := re.fullmatch(r"/blobs/(.+)", unquote(request.path)):
            self._send(request, match[1])
        else:
            self._end(request, 404)

    def _resolve(self, request: BaseHTTPRequestHandler, revision: str, path: str) -> None:
        if path not in self.files or revision not in ("main", self.commit):
            self._end(request, 404)
            return
        sha256 = self.say_sha256.get(path) or hashlib.sha256(self.files[path]).hexdigest()
        request.send_response(302)
        request.send_header("Location", f"{self.url}/blobs/{path}")
        request.send_header("X-Repo-Commit", self.commit)
        request.send_header("X-Linked-Etag", f'"{sha256}"')
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send(self, request: BaseHTTPRequestHandler, path: str) -> None:
        data = self.files[path]
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        wanted = request.headers.get("Range")
        self.requests.append((path, wanted))
        start = 0
        if wanted is not None and request.headers.get("If-Range") == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self._end(request, 416)
                return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        if self.breaks and len(data) - start > self.break_after:
            self.breaks -= 1
            request.wfile.write(data[start : start + self.break_after])
            request.wfile.flush()
            request.close_connection = True
            request.connection.close()
            return
        request.wfile.write(data[start:])

    def _end(self, request: BaseHTTPRequestHandler, code: int) -> None:
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()
