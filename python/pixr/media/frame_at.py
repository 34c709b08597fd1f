"""Reads one picture of a video at a given time, for thumbnails. It seeks, so it costs the same at any time."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from pixr.errors import UnreadableVideo
from pixr.media.seeking import SLACK_SECONDS, decode_from
from pixr.media.tracks import import_av, opened, pictures_of, point_shape, reason_of

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

__all__ = ["frame_at"]


def frame_at(path: str | os.PathLike[str], seconds: float, max_side: int) -> NDArray[np.uint8]:
    """The picture that a player shows at `seconds`: RGB, uint8, height × width × 3, turned and stretched as it says.

    Pictures are scaled down to `max_side` pixels, never up. Past the end it is the last picture. It decodes in this
    process, so use it only for files that were indexed before.

    Raises:
        UnreadableVideo: the file can't be read, or no picture of it can be decoded.
        MissingExtra: PyAV is not installed.
    """
    av = import_av()
    name = os.fspath(path)
    try:
        with opened(name) as container:
            stream = pictures_of(container)
            shown = None if stream is None else _shown(container, stream, seconds)
            if stream is None or shown is None:
                raise UnreadableVideo(name, "no picture in it can be decoded")
            return _picture(shown, point_shape(stream), max_side)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(name, reason_of(error)) from error


def _shown(container: InputContainer, stream: VideoStream, seconds: float) -> Any:
    """The last picture that begins at or before `seconds` on the container's clock, which begins at zero."""
    import av

    start = (container.start_time or 0) / av.time_base
    until = start + seconds
    # Pictures may go on past the claimed end, but seeking past it finds nothing.
    begin = start + min(seconds, (container.duration or math.inf) / av.time_base)
    shown = None
    for frame in decode_from(container, stream, begin):
        if shown is not None and frame.time is not None and frame.time > until + SLACK_SECONDS:
            break
        shown = frame
    return shown


def _picture(frame: Any, stretched: float, max_side: int) -> NDArray[np.uint8]:
    import numpy as np

    width = frame.width * stretched
    scale = min(1.0, max_side / max(width, frame.height))
    width, height = max(2, round(width * scale)), max(2, round(frame.height * scale))
    picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    turned: NDArray[np.uint8] = np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))
    return turned
