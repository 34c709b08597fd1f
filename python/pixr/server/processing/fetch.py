"""Fetches a video from a URL into a file: public addresses only, on redirects too, within limits of size and time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import IPvAnyNetwork

from pixr.errors import UnreadableVideo
from pixr.server.disk_room import check_room
from pixr.server.outbound import LOOKUP_SECONDS, follow, resolve
from pixr.server.punctual import Limit, punctual_client, within
from pixr.server.whole_numbers import whole_number
from pixr.whole_file import sync_names

__all__ = ["fetch"]

_MOST_REDIRECTS = 5
_CONNECT_SECONDS = 15
# How long the other side may send nothing.
_SILENT_SECONDS = 30
# Answers below 500 after which asking again may help: a timeout, too early, too many requests.
_PASSING_STATUSES = (408, 425, 429)

OnBytes = Callable[[int, int | None], None]


def fetch(
    url: str,
    path: Path,
    *,
    most_bytes: int,
    seconds: float,
    allowed: Sequence[IPvAnyNetwork],
    on_bytes: OnBytes,
    check: Callable[[], None] = lambda: None,
    free_bytes: int = 0,
) -> int:
    """Write what is at `url` to `path`. Whatever goes wrong, nothing is left at `path`.

    Args:
        url: where the video is.
        path: the file to write.
        most_bytes: more than these are refused.
        seconds: how long it may take as a whole.
        allowed: networks that may be asked although they are not public.
        on_bytes: called with how many bytes have come, and how many there will be if the other side said so.
        check: called while it waits; ends it by raising.
        free_bytes: how much of the disk stays free.

    Returns:
        How many bytes were written.

    Raises:
        ApiError: URL_REFUSED, by the URL itself or by one that it led to; INSUFFICIENT_STORAGE.
        UnreadableVideo: the other side answered with an error, with too much, or too slowly.
        httpx.TransportError: the connection failed; trying again may help.
    """
    with within(seconds, check) as limit:
        try:
            with _final_answer(url, limit, allowed) as (last_url, answer):
                return _save(answer, last_url, _Target(path, most_bytes, free_bytes), on_bytes)
        except httpx.TimeoutException:
            if limit.left() > 0:
                raise
            raise UnreadableVideo(url, "fetching it took too long") from None


@dataclass(frozen=True)
class _Target:
    """The file to write, how large it may get, and how much of its disk has to stay free."""

    path: Path
    most_bytes: int
    free_bytes: int


@contextmanager
def _final_answer(url: str, limit: Limit, allowed: Sequence[IPvAnyNetwork]) -> Iterator[tuple[str, httpx.Response]]:
    """The answer behind all redirects, its body not yet read, and the URL that gave it."""
    with punctual_client(httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            target = resolve(url, allowed, min(LOOKUP_SECONDS, max(0.0, limit.left())))
            headers = target.headers | {"User-Agent": "Pixr", "Accept-Encoding": "identity"}
            with client.stream("GET", target.url, headers=headers, extensions=target.extensions) as answer:
                if answer.is_redirect:
                    url = follow(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code in _PASSING_STATUSES or answer.status_code >= 500:
                    raise httpx.RemoteProtocolError(f"the other side answered {answer.status_code}")
                if answer.status_code != 200:
                    raise UnreadableVideo(url, f"the other side answered {answer.status_code}")
                yield url, answer
                return
    raise UnreadableVideo(url, f"more than {_MOST_REDIRECTS} redirects")


def _save(answer: httpx.Response, url: str, target: _Target, on_bytes: OnBytes) -> int:
    path = target.path
    total = whole_number(answer.headers.get("content-length", ""))
    got = 0
    if total is not None and total > target.most_bytes:
        raise UnreadableVideo(url, f"it has {total} bytes, more than {target.most_bytes}")
    check_room(path.parent, (total or 0) + target.free_bytes)
    # Remove what a killed attempt left. One that lost its lease and still goes on keeps writing to the removed file.
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        try:
            for block in answer.iter_raw():
                got += len(block)
                if got > target.most_bytes:
                    raise UnreadableVideo(url, f"it has more than {target.most_bytes} bytes")
                check_room(path.parent, len(block) + target.free_bytes)
                file.write(block)
                on_bytes(got, total)
            file.flush()
            os.fsync(file.fileno())  # the video is soon said to be complete, and that survives a power cut
        except BaseException:
            _discard(path, file.fileno())
            raise
    sync_names(path.parent)
    return got


def _discard(path: Path, file: int) -> None:
    """Remove an open file, unless another attempt has put its own in its place."""
    try:
        if os.path.samestat(path.stat(), os.fstat(file)):
            path.unlink()
    except FileNotFoundError:
        pass
