"""Takes pictures of videos as WebP and keeps them beside the videos: thumbnails at a time, and a sprite of the whole.

Those of a video lie in a directory that is named for its file, so that none is shown of a file that it had before.

Media is hostile input even if it was decoded before, so pictures are taken in a process of their own with limits on
memory and time. If that process dies, only one picture is lost.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pixr.errors import PixrError
from pixr.server.errors import ApiError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "PICTURES",
    "SPRITE_COLUMNS",
    "SPRITE_COUNT",
    "SPRITE_HEIGHT",
    "SPRITE_WIDTH",
    "WIDTHS",
    "Picture",
    "Pictures",
    "pictures_name",
]

# The directory of an organization's pictures, with one in it for each video.
PICTURES = "pictures"

SPRITE_COLUMNS = 5
SPRITE_COUNT = 25
SPRITE_WIDTH, SPRITE_HEIGHT = 160, 90
# Requested widths are rounded up to one of these, so that asking for many widths makes few files.
WIDTHS = (64, 160, 320, 640, 1280, 1920)
# How many thumbnails of a video are kept; the oldest are removed first.
_MOST_KEPT = 256
# The limits of one request in the decoding process.
_DECODING_SECONDS = 30
_DECODING_BYTES = 4 << 30


def pictures_name(video: str) -> str:
    """The name of the directory of a video's pictures: its id may be any text, so it is a hash."""
    return hashlib.sha256(video.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Picture:
    """A picture's bytes."""

    content: bytes


@dataclass(frozen=True)
class _Order:
    """What the decoding process shall do: take frames of a file, of at most this width."""

    source: Path
    instants: tuple[float, ...]
    width: int


class Pictures:
    """Takes pictures, one at a time, and keeps them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def at(self, source: Path, kept: Path, seconds: float, width: int, check: Callable[[], object]) -> Picture:
        """The frame shown at `seconds`. Its longer side is at most the first of `WIDTHS` that is not below `width`.

        `kept` is the video's directory, in which the newest pictures are kept. `check` is called once the picture is
        taken, and raises if the video was deleted meanwhile; its directory is then removed.

        Raises:
            ApiError: UNREADABLE_VIDEO, or what `check` raises.
        """
        step = next((one for one in WIDTHS if one >= width), WIDTHS[-1])
        order = _Order(source, (seconds,), step)
        return self._kept(kept, f"{round(seconds * 1000)}ms-{step}.webp", _thumbnail, order, check)

    def sprite(self, source: Path, kept: Path, duration: float, check: Callable[[], object]) -> Picture:
        """Frames of the whole video in rows of five, each in a field of 160 × 90; `kept` and `check` as in `at`.

        Raises:
            ApiError: UNREADABLE_VIDEO; what `check` raises.
        """
        instants = tuple(duration * (number + 0.5) / SPRITE_COUNT for number in range(SPRITE_COUNT))
        return self._kept(kept, "sprite.webp", _sprite, _Order(source, instants, SPRITE_WIDTH), check)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None

    def _kept(
        self, kept: Path, name: str, draw: Callable[[_Order], bytes], order: _Order, check: Callable[[], object]
    ) -> Picture:
        """The picture of that name in `kept`, or else a new one, which is then kept there."""
        path = kept / hashlib.sha256(os.fsencode(order.source)).hexdigest()[:16] / name
        try:
            return Picture(path.read_bytes())
        except FileNotFoundError:
            pass
        made = self._make(draw, order)
        with suppress(FileNotFoundError):  # the directory was removed meanwhile
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            fresh.write_bytes(made)
            fresh.replace(path)
        try:
            check()
        except ApiError:
            shutil.rmtree(kept, ignore_errors=True)
            raise
        _drop_others(kept, path.parent)
        _drop_oldest(path.parent)
        return Picture(made)

    def _make(self, draw: Callable[[_Order], bytes], order: _Order) -> bytes:
        with self._lock:
            if self._pool is None:
                context = multiprocessing.get_context("forkserver")
                self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_limit)
            try:
                made: bytes = self._pool.submit(draw, order).result(_DECODING_SECONDS)
                return made
            except PixrError as error:
                raise ApiError("UNREADABLE_VIDEO", "No picture of the video can be taken.") from error
            except (BrokenProcessPool, TimeoutError):
                for process in list((self._pool._processes or {}).values()):  # noqa: SLF001 - no other way to stop it
                    process.kill()
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
                raise ApiError("UNREADABLE_VIDEO", "Taking a picture of the video failed.") from None


def _drop_others(kept: Path, present: Path) -> None:
    """Remove the pictures of files that the video had before."""
    with suppress(FileNotFoundError):
        for other in set(kept.iterdir()) - {present}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def _drop_oldest(directory: Path) -> None:
    """Keep only the newest thumbnails of a video, and the sprite. Other processes may do the same at the same time."""
    ages = []
    for path in directory.glob("*-*.webp"):
        with suppress(FileNotFoundError):
            ages.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(ages)[:-_MOST_KEPT]:
        path.unlink(missing_ok=True)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_DECODING_BYTES, _DECODING_BYTES))


def _thumbnail(order: _Order) -> bytes:
    from PIL.Image import fromarray

    from pixr.media.frame_at import frame_at

    return _webp(fromarray(frame_at(order.source, order.instants[0], order.width)))


def _sprite(order: _Order) -> bytes:
    from PIL.Image import fromarray, new

    from pixr.media.frame_at import frame_at

    rows = -(-len(order.instants) // SPRITE_COLUMNS)
    sheet = new("RGB", (SPRITE_COLUMNS * SPRITE_WIDTH, rows * SPRITE_HEIGHT))
    for number, seconds in enumerate(order.instants):
        frame = fromarray(frame_at(order.source, seconds, order.width))
        frame.thumbnail((SPRITE_WIDTH, SPRITE_HEIGHT))
        left = number % SPRITE_COLUMNS * SPRITE_WIDTH + (SPRITE_WIDTH - frame.width) // 2
        top = number // SPRITE_COLUMNS * SPRITE_HEIGHT + (SPRITE_HEIGHT - frame.height) // 2
        sheet.paste(frame, (left, top))
    return _webp(sheet)


def _webp(picture: Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()
