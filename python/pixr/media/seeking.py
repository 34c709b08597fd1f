"""Decodes a video from an instant on, wherever the container's seeking leads.

A container with an index leads to a picture that stands by itself before the instant. MPEG streams have none and lead
to somewhere near it, often behind that picture: what is decoded there begins too late, so it is tried further back.
A bare stream of pictures, as recorders write it, has no times to seek: it is decoded from its first picture, and they
follow each other at its rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pixr.media.tracks import packets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["SLACK_SECONDS", "decode_from"]

# Time stamps are rounded to the stream's ticks.
SLACK_SECONDS = 0.0005
_BACK_SECONDS = (0.0, 2.0, 12.0, 60.0, math.inf)
# To the very start of an MPEG stream leads only what lies before it.
_BEFORE_ALL_SECONDS = 1.0


def decode_from(container: InputContainer, stream: VideoStream, seconds: float) -> Iterator[Any]:
    """The pictures from one at or before `seconds` on, on the stream's own clock, in the order in which they are shown.

    Where there is none that early it is the first picture of all. The container has just been opened. A packet that
    can't be decoded is left out, and a picture that is not later than the one before it. That of a cover has no time.
    """
    import av

    start = (container.start_time or 0) / av.time_base
    for back in _BACK_SECONDS:
        begin = max(seconds - back, start - _BEFORE_ALL_SECONDS)
        is_at_start = seconds <= start or not _seek(container, begin)
        frames = _decoded(packets_of(container, stream))
        if is_at_start:
            frames = _timed(frames, stream, start)
        first = next(frames, None)
        if first is not None and (begin <= start or first.time is None or first.time <= seconds + SLACK_SECONDS):
            yield first
            yield from frames
            return


def _seek(container: InputContainer, seconds: float) -> bool:
    """Seek near an instant; False where a stream has no times, and then it is at its beginning."""
    import av

    ticks = round((seconds + SLACK_SECONDS) * av.time_base)
    try:
        container.seek(ticks, backward=True)
    except av.error.FFmpegError:  # some know nothing before their first picture
        try:
            container.seek(ticks, backward=False)
        except av.error.FFmpegError:
            container.seek(0, unsupported_byte_offset=True)  # where it has been meanwhile is not told
            return False
    return True


def _timed(frames: Iterable[Any], stream: VideoStream, start: float) -> Iterator[Any]:
    """The pictures from the first of all on, those without a time a picture's length behind the one before."""
    lasts = 1.0 / float(stream.average_rate or stream.guessed_rate or 25)
    following = start
    for frame in frames:
        if frame.time is None and stream.time_base:
            frame.time_base, frame.pts = stream.time_base, round(following / stream.time_base)
        following = start if frame.time is None else frame.time + lasts
        yield frame


def _decoded(packets: Iterable[Any]) -> Iterator[Any]:
    import av

    last = -math.inf
    for packet in packets:
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in frames:
            if frame.time is None or frame.time > last:
                last = last if frame.time is None else frame.time
                yield frame
