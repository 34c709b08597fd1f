"""Opens files with PyAV, chooses the pictures and the sound that a player would play, and reads their packets.

A file may hold several tracks of each, and pictures that are not video: the cover of a record or a film, which may even
come first.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pixr.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

    _Track = TypeVar("_Track", bound=Stream)

__all__ = [
    "USUAL_FRAME_RATE",
    "decoded",
    "import_av",
    "opened",
    "packets_of",
    "pictures_of",
    "point_shape",
    "reason_of",
    "sound_of",
    "times_are_guessed",
]

# Pictures a second, assumed of a file that does not say.
USUAL_FRAME_RATE = 25
_MOST_STRETCHED = 8
# How much of a damaged stretch FFmpeg's demuxers look through, in bytes, before they say that they found nothing.
_LOOKED_THROUGH_BYTES = 1 << 16
# Formats of files that name others, whose pictures would be taken for theirs, wherever those lie.
_NAME_OTHER_FILES = frozenset(("concat", "dash", "hls", "imf", "rtp", "rtsp", "sdp", "webm_dash_manifest"))
# From this version on PyAV accepts tags that are not UTF-8 without being asked to, and has no option for it any more.
_TAKES_ANY_TAGS = 19


def import_av() -> Any:
    """PyAV, with FFmpeg's own log switched off.

    Raises:
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "media", error) from error
    av.logging.set_level(None)
    return av


def reason_of(error: Exception) -> str:
    """What PyAV or the operating system says went wrong, without the file's name."""
    return str(getattr(error, "strerror", None) or error)


def opened(path: str) -> InputContainer:
    """The file, open for reading. Its tags may hold any bytes, since nothing reads them. Files it names are not opened.

    Raises:
        av.error.FFmpegError, OSError: it can't be opened.
    """
    import av

    options: dict[str, Any] = {"options": {"format_whitelist": _formats_of_one_file()}}
    if int(av.__version__.partition(".")[0]) < _TAKES_ANY_TAGS:
        options["metadata_errors"] = "ignore"
    container: InputContainer = av.open(path, **options)
    return container


@cache
def _formats_of_one_file() -> str:
    """The formats in which a video is one file, as FFmpeg takes a list of them."""
    import av

    return ",".join(sorted(av.formats_available - _NAME_OTHER_FILES))


def pictures_of(container: InputContainer) -> VideoStream | None:
    """The video track marked as default, or else the first; a cover only if there is no other."""
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return _default(moving or container.streams.video)


def sound_of(container: InputContainer) -> AudioStream | None:
    """Of the audio tracks that can be decoded, the one marked as default, or else the first."""
    # PyAV has no context for a codec it doesn't know, which its types don't say.
    return _default([stream for stream in container.streams.audio if stream.codec_context is not None])  # type: ignore[redundant-expr]


def point_shape(stream: VideoStream) -> float:
    """The width of a shown pixel divided by its height: 1, except where a camera or disc squeezed the picture.

    Also 1 where the claim is so extreme that no player would follow it.
    """
    claimed = stream.sample_aspect_ratio
    return float(claimed) if claimed and 1 / _MOST_STRETCHED <= claimed <= _MOST_STRETCHED else 1.0


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Any]:
    """The streams' packets in file order, and an empty one of each at the end, which flushes its decoder.

    Reading goes on behind a damaged stretch.
    """
    # PyAV raises IndexError when a stream appears that was not there at the beginning (in damaged files, broadcasts).
    with suppress(IndexError):
        for packet in _read(container, streams):
            if times_are_guessed(packet.stream):
                packet.pts = packet.dts
            yield packet


def _read(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Any]:
    """The packets of a container, behind stretches without any as well: a demuxer finds its way if asked again."""
    import av

    most_failures = container.size // _LOOKED_THROUGH_BYTES + 1
    failures = 0
    while True:
        try:
            yield from container.demux(*streams)
        except (av.error.BlockingIOError, av.error.InvalidDataError):
            failures += 1
            if failures > most_failures:
                raise
        else:
            return


def decoded(packets: Iterable[Any], on_skipped: Callable[[Any], None] = lambda _: None) -> Iterator[Any]:
    """Decode packets into frames, in the order in which they are shown or heard.

    Undecodable packets are skipped, and given to `on_skipped`.

    Where presentation times are guessed, a picture gets the decoding time of the packet that produced it, less a tick
    for each picture that the decoder holds back, and those that it hands out at the end follow one tick apart.
    """
    import av

    following = None
    for packet in packets:
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            on_skipped(packet)
            continue
        for frame in frames:
            if times_are_guessed(packet.stream):
                held_back = packet.stream.codec_context.reorder_depth
                frame.pts = following if frame.dts is None else frame.dts - held_back
                following = None if frame.pts is None else frame.pts + 1  # a tick is a picture's length
            yield frame


def times_are_guessed(stream: Stream) -> bool:
    """Whether FFmpeg only guesses when pictures are shown, wrongly where they are reordered: AVI files don't say."""
    return stream.type == "video" and stream.container.format.name == "avi"


def _default(streams: Sequence[_Track]) -> _Track | None:
    from av.stream import Disposition

    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(marked, streams[0] if streams else None)
