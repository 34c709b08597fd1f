"""Reads a video from an instant on, wherever the container's seeking leads.

A container with an index leads to a picture that stands by itself before the instant. MPEG streams have none and lead
to somewhere near it, often behind that picture: what is decoded there begins too late, so it is tried further back.
Where nothing leads to the instant, it is read from its beginning: what lies before zero in a Matroska file is not
found, and a bare stream of pictures, as recorders write it, has no times to seek. Those follow each other at its rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pixr.media.tracks import USUAL_FRAME_RATE, decoded, opened, packets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["SLACK_SECONDS", "decode_from", "packet_time", "packets_from"]

# Time stamps are rounded to the stream's ticks.
SLACK_SECONDS = 0.0005
_BACK_SECONDS = (0.0, 2.0, 12.0, 60.0)


def decode_from(container: InputContainer, stream: VideoStream, seconds: float) -> Iterator[Any]:
    """The pictures from one at or before `seconds` on, on the stream's own clock, in the order in which they are shown.

    Where there is none that early it is the first picture of all. A packet that can't be decoded is left out, and a
    picture that is not later than the one before it.
    """

    def read(packets: Iterator[Any], first_seconds: float | None) -> Iterator[Any]:
        return _timed(decoded(packets), stream, first_seconds)

    return _from(container, stream, seconds, read, lambda frame: frame.time)


def packets_from(container: InputContainer, stream: Stream, seconds: float) -> Iterator[Any]:
    """The stream's packets from one at or before `seconds` on, or from the first of all, in their order."""
    return _from(container, stream, seconds, lambda packets, _: packets, packet_time)


def packet_time(packet: Any) -> float | None:
    """When what is in a packet is shown or heard, or else decoded, on the stream's own clock."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else float(ticks * packet.time_base)


def _from(
    container: InputContainer,
    stream: Stream,
    seconds: float,
    read: Callable[[Iterator[Any], float | None], Iterator[Any]],
    time_of: Callable[[Any], float | None],
) -> Iterator[Any]:
    """What is read of packets, from an instant on; reading is told when they begin where they are the first of all."""
    import av

    start = (container.start_time or 0) / av.time_base
    for back in _BACK_SECONDS:
        begin = seconds - back
        if begin <= start or not _seek(container, stream, begin):
            break
        found = read(packets_of(container, stream), None)
        first = next(found, None)
        time = None if first is None else time_of(first)
        if time is not None and time <= seconds + SLACK_SECONDS:
            yield first
            yield from found
            return
    with opened(container.name) as again:
        yield from read(packets_of(again, again.streams[stream.index]), start)


def _seek(container: InputContainer, stream: Stream, seconds: float) -> bool:
    """Seek near an instant; False where that can't be."""
    import av

    if not stream.time_base:
        return False
    ticks = round((seconds + SLACK_SECONDS) / stream.time_base)
    for backward in (True, False):  # some know nothing before their first picture
        try:
            container.seek(ticks, stream=stream, backward=backward)
        except av.error.FFmpegError:
            continue
        return True
    return False


def _timed(frames: Iterable[Any], stream: VideoStream, following: float | None) -> Iterator[Any]:
    """The pictures that are later than all before, those without a time a picture's length behind the one before.

    `following` is the time of the first, if it has none.
    """
    lasts = 1.0 / float(stream.average_rate or stream.guessed_rate or USUAL_FRAME_RATE)
    last = -math.inf
    for frame in frames:
        if frame.time is None and following is not None and stream.time_base:
            frame.time_base, frame.pts = stream.time_base, round(following / stream.time_base)
        if frame.time is None:
            yield frame
        elif frame.time > last:
            last, following = frame.time, frame.time + lasts
            yield frame
