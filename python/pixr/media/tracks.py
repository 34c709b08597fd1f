"""Chooses which pictures and which sound of a file are meant: those that a player plays.

A file may hold several of each, and pictures that are no video: the cover of a record or a film, which may come first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

    _Track = TypeVar("_Track", bound=Stream)

__all__ = ["packets_of", "pictures_of", "point_shape", "sound_of"]

_MOST_STRETCHED = 8


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
    # Behind that PyAV looks for streams that were not there at the beginning (damage, broadcasts), and raises.
    with suppress(IndexError):
        yield from container.demux(stream)


def _default(streams: Sequence[_Track]) -> _Track | None:
    from av.stream import Disposition

    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(marked, streams[0] if streams else None)
