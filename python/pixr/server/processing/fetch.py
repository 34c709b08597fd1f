"""Fetches a video from a URL into a file: public addresses only, on redirects too, within limits of size and time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
from pydantic import IPvAnyNetwork

from pixr.errors import UnreadableVideo
from pixr.server.disk_room import check_room
from pixr.server.outbound import LOOKUP_SECONDS, follow, resolve
from pixr.server.punctual import Limit, punctual_client, within
from pixr.server.whole_numbers import whole_number

__all__ = ["fetch"]

_MOST_REDIRECTS = 5


def fetch(
    url: str,
    path: Path,
    *,
    most_bytes: int,
    seconds: float,
    allowed: Sequence[IPvAnyNetwork],
    on_bytes: Callable[[int, int | None], None],
    check: Callable[[], None] = lambda: None,
    free_bytes: int = 0,
) -> int:
    """Write what is at `url` to `path`; how many bytes it were. While it waits, `check` may raise and so end it.

    `free_bytes` of the disk stay free. Whatever goes wrong, nothing is left at `path`.

    Raises:
        ApiError: URL_REFUSED, by the URL itself or by one that it led to; INSUFFICIENT_STORAGE.
        UnreadableVideo: the other side answered with an error, with too much, or too slowly.
        httpx.TransportError: the connection failed; trying again may help.
    """
    with within(seconds, check) as limit:
        try:
            return _fetch(url, path, most_bytes, free_bytes, limit, allowed, on_bytes)
        except httpx.TimeoutException:
            if limit.left() > 0:
                raise
            raise UnreadableVideo(url, "fetching it took too long") from None


def _fetch(
    url: str,
    path: Path,
    most_bytes: int,
    free_bytes: int,
    limit: Limit,
    allowed: Sequence[IPvAnyNetwork],
    on_bytes: Callable[[int, int | None], None],
) -> int:
    with punctual_client(httpx.Timeout(30, connect=15)) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            target = resolve(url, allowed, min(LOOKUP_SECONDS, max(0.0, limit.left())))
            headers = target.headers | {"User-Agent": "Pixr", "Accept-Encoding": "identity"}
            with client.stream("GET", target.url, headers=headers, extensions=target.extensions) as answer:
                if answer.is_redirect:
                    url = follow(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
                    raise httpx.RemoteProtocolError(f"the other side answered {answer.status_code}")
                if answer.status_code != 200:
                    raise UnreadableVideo(url, f"the other side answered {answer.status_code}")
                return _save(answer, url, path, most_bytes, free_bytes, on_bytes)
    raise UnreadableVideo(url, f"more than {_MOST_REDIRECTS} redirects")


def _save(
    answer: httpx.Response,
    url: str,
    path: Path,
    most_bytes: int,
    free_bytes: int,
    on_bytes: Callable[[int, int | None], None],
) -> int:
    total = whole_number(answer.headers.get("content-length", ""))
    got = 0
    if total is not None and total > most_bytes:
        raise UnreadableVideo(url, f"it has {total} bytes, more than {most_bytes}")
    check_room(path.parent, (total or 0) + free_bytes)
    # What an attempt left that was killed; one that lost its lease, and goes on, keeps a file of its own.
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        try:
            for block in answer.iter_raw():
                got += len(block)
                if got > most_bytes:
                    raise UnreadableVideo(url, f"it has more than {most_bytes} bytes")
                check_room(path.parent, len(block) + free_bytes)
                file.write(block)
                on_bytes(got, total)
        except BaseException:
            _discard(path, file.fileno())
            raise
    return got


def _discard(path: Path, file: int) -> None:
    """Remove an open file, unless another attempt has put its own in its place."""
    try:
        if os.path.samestat(path.stat(), os.fstat(file)):
            path.unlink()
    except FileNotFoundError:
        pass
