"""Reads a video from a given time on, wherever seeking in its container leads.

In a container with an index, seeking leads to a key frame before the wanted time. MPEG streams have no index, and
seeking leads to somewhere near, often after that key frame: decoding would begin too late, so seeking is tried again
further back. Where it leads nowhere, the file is read from its beginning. That happens before time zero in Matroska
files, and in bare streams of pictures, as recorders write them, which have no times at all: their pictures follow each
other at the stream's rate.
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
    """The pictures in the order in which they are shown, beginning with one at or before `seconds`.

    Times are on the stream's own clock. If no picture is that early, the first one of all comes first. Packets that
    can't be decoded are skipped, and so are pictures that are not later than the one before.
    """

    def read(packets: Iterator[Any], first_seconds: float | None) -> Iterator[Any]:
        return _timed(decoded(packets), stream, first_seconds)

    return _from(container, stream, seconds, read, lambda frame: frame.time)


def packets_from(container: InputContainer, stream: Stream, seconds: float) -> Iterator[Any]:
    """The stream's packets in file order, from one at or before `seconds`, or else from the first of all."""
    return _from(container, stream, seconds, lambda packets, _: packets, packet_time)


def packet_time(packet: Any) -> float | None:
    """When a packet's content is shown or heard, or else when it is decoded, on the stream's own clock."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else float(ticks * packet.time_base)


def _from(
    container: InputContainer,
    stream: Stream,
    seconds: float,
    read: Callable[[Iterator[Any], float | None], Iterator[Any]],
    time_of: Callable[[Any], float | None],
) -> Iterator[Any]:
    """Seek, and pass the packets found to `read`. Its second argument is their start if they are the file's first."""
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
    """Seek to somewhere near `seconds`; False if that is not possible."""
    import av

    if not stream.time_base:
        return False
    ticks = round((seconds + SLACK_SECONDS) / stream.time_base)
    for backward in (True, False):  # some containers refuse to seek to before their first picture
        try:
            container.seek(ticks, stream=stream, backward=backward)
        except av.error.FFmpegError:
            continue
        return True
    return False


def _timed(frames: Iterable[Any], stream: VideoStream, following: float | None) -> Iterator[Any]:
    """The pictures that are later than all before them. One without a time follows the one before at the usual rate.

    `following` is the time of the first picture, if it has none of its own.
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
