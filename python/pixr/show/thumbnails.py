"""Frames for showing: one picture of a source at an instant, small, kept while a sheet or page is made."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pixr.errors import MissingExtra, PixrError
from pixr.source_files import source_to_path
from pixr.types import Video

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Thumbnails", "jpeg", "local_file"]


class Thumbnails:
    """Takes pictures out of sources. A picture asked for twice is decoded once."""

    def __init__(self, max_side: int) -> None:
        """Pictures have at most `max_side` pixels on their longer side."""
        self._max_side = max_side
        self._kept: dict[tuple[str, float], Image | None] = {}

    def at(self, video: Video, seconds: float) -> Image | None:
        """The frame shown at `seconds`, or None where the source is not a readable local file any more.

        Raises:
            MissingExtra: Pillow or the decoder is not installed.
        """
        path = local_file(video)
        if path is None:
            return None
        key = str(path), round(seconds, 2)
        if key not in self._kept:
            self._kept[key] = self._take(path, seconds)
        return self._kept[key]

    def _take(self, path: Path, seconds: float) -> Image | None:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra("pillow", "media", error) from error
        from pixr.media.frame_at import frame_at

        try:
            return Image.fromarray(frame_at(path, seconds, self._max_side))
        except MissingExtra:
            raise
        except (PixrError, OSError):
            return None


def local_file(video: Video) -> Path | None:
    """The video's source, if it is a file that is still there, and may be looked at."""
    path = source_to_path(video.source) if video.source else None
    # `Path.is_file` fails where a folder can't be looked into, or a name is longer than any can be.
    return path if path is not None and os.path.isfile(path) else None


def jpeg(picture: Image, quality: int = 80) -> bytes:
    """The picture as the bytes of a JPEG file."""
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
