"""Fetches a video from a URL into a file: public addresses only, on redirects too, within limits of size and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from pydantic import IPvAnyNetwork

from pixr.errors import UnreadableVideo
from pixr.server.outbound import follow, resolve
from pixr.server.whole_numbers import whole_number

__all__ = ["fetch"]

_MOST_REDIRECTS = 5
_BLOCK_BYTES = 1 << 20


def fetch(
    url: str,
    path: Path,
    *,
    most_bytes: int,
    seconds: float,
    allowed: Sequence[IPvAnyNetwork],
    on_bytes: Callable[[int, int | None], None],
) -> int:
    """Write what is at `url` to `path`; how many bytes it were.

    Raises:
        ApiError: URL_REFUSED, by the URL itself or by one that it led to.
        UnreadableVideo: the other side answered with an error, or with too much.
        httpx.TransportError: the connection failed; trying again may help.
    """
    deadline = time.monotonic() + seconds
    timeout = httpx.Timeout(30, connect=15)
    with httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            target = resolve(url, allowed)
            headers = target.headers | {"User-Agent": "Pixr", "Accept-Encoding": "identity"}
            with client.stream("GET", target.url, headers=headers, extensions=target.extensions) as answer:
                if answer.is_redirect:
                    url = follow(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
                    raise httpx.RemoteProtocolError(f"the other side answered {answer.status_code}")
                if answer.status_code != 200:
                    raise UnreadableVideo(url, f"the other side answered {answer.status_code}")
                return _save(answer, url, path, most_bytes, deadline, on_bytes)
    raise UnreadableVideo(url, f"more than {_MOST_REDIRECTS} redirects")


def _save(
    answer: httpx.Response,
    url: str,
    path: Path,
    most_bytes: int,
    deadline: float,
    on_bytes: Callable[[int, int | None], None],
) -> int:
    total = whole_number(answer.headers.get("content-length", ""))
    got = 0
    if total is not None and total > most_bytes:
        raise UnreadableVideo(url, f"it has {total} bytes, more than {most_bytes}")
    with path.open("wb") as file:
        for block in answer.iter_raw(_BLOCK_BYTES):
            got += len(block)
            if got > most_bytes:
                raise UnreadableVideo(url, f"it has more than {most_bytes} bytes")
            if time.monotonic() > deadline:
                raise UnreadableVideo(url, "fetching it took too long")
            file.write(block)
            on_bytes(got, total)
    return got
