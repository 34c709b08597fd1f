"""Chooses which pictures and which sound of a file are meant, those that a player plays, and reads them.

A file may hold several of each, and pictures that are no video: the cover of a record or a film, which may come first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

    _Track = TypeVar("_Track", bound=Stream)

__all__ = ["decoded", "opened", "packets_of", "pictures_of", "point_shape", "sound_of", "tells_only_when_decoded"]

_MOST_STRETCHED = 8
# The first PyAV that takes tags which are not UTF-8 as they are, and no option that says so.
_TAKES_ANY_TAGS = 19


def opened(path: str) -> InputContainer:
    """The file, open for reading, whatever bytes its tags hold: nothing reads them.

    Raises:
        av.error.FFmpegError, OSError: it can't be opened.
    """
    import av

    options: dict[str, Any] = {}
    if int(av.__version__.partition(".")[0]) < _TAKES_ANY_TAGS:
        options["metadata_errors"] = "ignore"
    container: InputContainer = av.open(path, **options)
    return container


def pictures_of(container: InputContainer) -> VideoStream | None:
    """The pictures marked as default, or the first; a cover only where there is nothing else."""
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return _default(moving or container.streams.video)


def sound_of(container: InputContainer) -> AudioStream | None:
    """The sound marked as default, or the first, of what there is a decoder for."""
    # PyAV has no context for a codec it doesn't know, which its types don't say.
    return _default([stream for stream in container.streams.audio if stream.codec_context is not None])  # type: ignore[redundant-expr]


def point_shape(stream: VideoStream) -> float:
    """How much wider than high each point of its pictures is shown: 1 but for what cameras and discs squeeze.

    Also 1 where no player would follow what is claimed.
    """
    claimed = stream.sample_aspect_ratio
    return float(claimed) if claimed and 1 / _MOST_STRETCHED <= claimed <= _MOST_STRETCHED else 1.0


def packets_of(container: InputContainer, stream: Stream) -> Iterator[Any]:
    """The stream's packets in their order, and an empty one at the end, which flushes the decoder."""
    guessed = tells_only_when_decoded(stream)
    # Behind that PyAV looks for streams that were not there at the beginning (damage, broadcasts), and raises.
    with suppress(IndexError):
        for packet in container.demux(stream):
            if guessed:
                packet.pts = packet.dts
            yield packet


def decoded(packets: Iterable[Any]) -> Iterator[Any]:
    """What is decoded from packets, in the order in which it is shown or heard. One that can't be decoded is left out.

    Where a file tells only when pictures are decoded, each is shown when the packet is decoded that brought it forth,
    and what comes out at the end follows picture by picture.
    """
    import av

    following = None
    for packet in packets:
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in frames:
            if tells_only_when_decoded(packet.stream):
                frame.pts = following if frame.dts is None else frame.dts
                following = None if frame.pts is None else frame.pts + 1  # a tick is a picture's length
            yield frame


def tells_only_when_decoded(stream: Stream) -> bool:
    """Whether when its pictures are shown is guessed, wrongly where they are reordered: AVI files don't say."""
    return stream.type == "video" and stream.container.format.name == "avi"


def _default(streams: Sequence[_Track]) -> _Track | None:
    from av.stream import Disposition

    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(marked, streams[0] if streams else None)
