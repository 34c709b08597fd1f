"""Fetches files of published models from the hub, or from a mirror that answers like it.

`GET {endpoint}/{repository}/resolve/{revision}/{path}` redirects to where the bytes are. They are written to
`NAME.part`, and after an interruption the download continues there, in this run or a later one, if the server still has
the same file (`If-Range` with its `ETag`). Before it redirects, the hub states the file's SHA-256 and its commit; the
caller checks both.

No account is used, so models that need one can't be fetched.
"""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pixr.errors import ModelDownloadFailed

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
_TRIES: Final = 5
_TIMEOUT_SECONDS: Final = 30.0
_BLOCK_BYTES: Final = 1 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
# Statuses that may be gone at the next try.
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)

OnBytes = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Fetched:
    """What a server said about a file: its commit and its SHA-256; None if it did not say."""

    commit: str | None
    sha256: str | None


@dataclass(frozen=True)
class Hub:
    """Where models are fetched from.

    Attributes:
        endpoint: base URL; by default `$HF_ENDPOINT`, else the hub's own.
        wait_seconds: how long to wait before the second try; doubled before each further one.
    """

    endpoint: str = ""
    wait_seconds: float = 1.0

    def url(self, repository: str, revision: str, path: str) -> str:
        """The URL of one file."""
        base = (self.endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        return f"{base}/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"

    def fetch(
        self, repository: str, revision: str, path: str, target: Path, on_bytes: OnBytes | None = None
    ) -> Fetched:
        """Fetch one file to `target`, which appears only when it is whole.

        `on_bytes` is called with the path, the bytes so far and, if the server says it, the bytes in all.

        Raises:
            ModelDownloadFailed: there was no connection after several tries, the server refused, or it sent other bytes
                than it announced. What was fetched so far is kept, and the next call continues it.
        """
        url = self.url(repository, revision, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _Part(target)
        for attempt in range(1, _TRIES + 1):
            before = part.byte_len()
            try:
                fetched = self._once(url, path, part, on_bytes)
            except (urllib.error.HTTPError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
                if isinstance(error, ModelDownloadFailed):
                    raise
                progressed = part.byte_len() > before
                status = error.code if isinstance(error, urllib.error.HTTPError) else None
                if (status is not None and status not in _PASSING) or attempt == _TRIES:
                    raise ModelDownloadFailed(f"{url}: {_reason(error)}") from error
                if not progressed:
                    time.sleep(self.wait_seconds * 2 ** (attempt - 1))
                continue
            part.finish(target)
            return fetched
        raise ModelDownloadFailed(f"{url}: the connection broke {_TRIES} times")

    def _once(self, url: str, path: str, part: _Part, on_bytes: OnBytes | None) -> Fetched:
        headers = {"User-Agent": "pixr", "Accept-Encoding": "identity"}
        have = part.byte_len()
        if have and part.etag:
            headers |= {"Range": f"bytes={have}-", "If-Range": part.etag}
        redirects = _Redirects()
        opener = urllib.request.build_opener(redirects)
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - endpoints are http(s), see _Redirects
        redirects.check(url)
        try:
            response = opener.open(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is longer than the file: another file, or all of it
                part.discard()
            raise
        with response:
            all_headers = [*redirects.seen, response.headers]
            total = _total(response)
            start = _start(response) if response.status == 206 else 0
            if response.status == 206 and start != have:
                part.discard()
                raise http.client.HTTPException(f"asked for bytes from {have}, got them from {start}")
            part.begin(start, response.headers.get("ETag"))
            with part.path.open("ab") as file:
                received = start
                while block := response.read(_BLOCK_BYTES):
                    file.write(block)
                    received += len(block)
                    if on_bytes is not None:
                        on_bytes(path, received, total)
        if total is not None and received != total:
            raise http.client.HTTPException(f"the connection ended after {received} of {total} bytes")
        return Fetched(
            commit=_first(all_headers, "X-Repo-Commit", _COMMIT),
            sha256=_first(all_headers, "X-Linked-Etag", _SHA256),
        )


class _Part:
    """The part of a file that has arrived so far, and in a file beside it the `ETag` of the whole."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._etag_path = target.with_name(target.name + ".part.etag")

    @property
    def etag(self) -> str | None:
        return self._etag_path.read_text(encoding="utf8") if self._etag_path.is_file() else None

    def byte_len(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def begin(self, start: int, etag: str | None) -> None:
        """Keep the bytes up to `start`. A weak tag is not kept, since it does not promise equal bytes."""
        with self.path.open("ab") as file:
            file.truncate(start)
        if etag and not etag.startswith("W/"):
            self._etag_path.write_text(etag, encoding="utf8")
        else:
            self._etag_path.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._etag_path.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        os.replace(self.path, target)
        self._etag_path.unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, only to http and https, and keeps the headers of each."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def check(self, url: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ModelDownloadFailed(f"{url} is not http")

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        self.check(newurl)
        self.seen.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _total(response: Any) -> int | None:
    """The length of the whole file in bytes, by what the server says; None if it does not."""
    if response.status == 206:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        return int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _start(response: Any) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _first(headers: list[Any], name: str, form: re.Pattern[str]) -> str | None:
    for one in headers:
        value = str(one.get(name) or "").strip('"')
        if form.fullmatch(value):
            return value
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    return str(error) or type(error).__name__
