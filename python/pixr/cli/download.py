"""Fetches a URL into a file, within a limit of bytes and time."""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

__all__ = ["MAX_BYTES", "DownloadError", "download"]

MAX_BYTES = 8 << 30
TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 1 << 20
MOST_NAME_BYTES = 120


class DownloadError(OSError):
    """A URL could not be fetched; the message names it and says why."""


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never to another scheme (`file:`, `ftp:`)."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise DownloadError(f"{req.full_url}: redirected to {newurl}, which is not http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str,
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_bytes: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Fetch `url` into `folder` under the name that the URL ends in, and return the file's path.

    `on_bytes` is called with the bytes so far and, where the server says it, the bytes in all.

    Raises:
        DownloadError: no connection, an HTTP error, more than `max_bytes`, the connection ends early, or the file can't
            be written. Nothing of it stays then.
    """
    target = folder / _file_name(url)
    opener = urllib.request.build_opener(_HttpOnly)
    try:
        headers = {"User-Agent": "pixr", "Accept": "video/*, */*;q=0.5"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the caller gives http(s) only
        with opener.open(request, timeout=timeout_seconds) as response, target.open("wb") as file:
            _copy(url, response, file, max_bytes, on_bytes)
    except DownloadError:
        target.unlink(missing_ok=True)
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        target.unlink(missing_ok=True)
        raise DownloadError(f"{url}: {_reason(error)}") from error
    return target


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    # Both a connection that breaks later and a full disk are errors of the system.
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _copy(
    url: str,
    response: http.client.HTTPResponse,
    file: BinaryIO,
    max_bytes: int,
    on_bytes: Callable[[int, int | None], None] | None,
) -> None:
    announced = response.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdigit() else None
    if expected is not None and expected > max_bytes:
        raise DownloadError(f"{url}: {expected} bytes, at most {max_bytes} are fetched")
    received = 0
    while chunk := response.read(CHUNK_BYTES):
        received += len(chunk)
        if received > max_bytes:
            raise DownloadError(f"{url}: more than {max_bytes} bytes")
        file.write(chunk)
        if on_bytes is not None:
            on_bytes(received, expected)
    if expected is not None and received < expected:
        raise DownloadError(f"{url}: the connection ended after {received} of {expected} bytes")


def _file_name(url: str) -> str:
    """The last part of the URL's path, made safe as a file name. Of a long one the end is kept, with the suffix."""
    name = os.path.basename(unquote(urlsplit(url).path.rstrip("/")))
    safe = re.sub(r"[^\w.\- ]", "_", name).lstrip(".")
    return safe.encode()[-MOST_NAME_BYTES:].decode(errors="ignore") or "video"
