"""Reads the pictures of a video, with the times at which a player shows them.

This is the only file that imports decord. PyAV reads the container's header first (`probe`), because decord tells
nothing about sound, and counts time from the first picture: `VideoFrames` moves decord's times onto the clock that the
sound shares (the container's start is zero), so what is seen and what is heard line up.

Times are container time stamps, never index / rate: variable frame rate is the normal case. decord turns pictures as
the display matrix says. Every picture that the shot detector looks at leaves decord already scaled to `short_side`
pixels; the pictures between (`analysis_rate`) are decoded, because later ones need them, but never converted.

Cost: one picture's memory plus decord's index (about 40 bytes a picture). Opening reads the file once to build that
index. Never call this in a process that has to survive hostile input: use `pixr.media.sandbox`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, UnreadableVideo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

# decord's output rows are padded; below this width it hands out the padding as pixels, so tiny pictures are enlarged.
_SMALLEST_SIDE_PIXELS = 64
_LARGEST_SIDE_PIXELS = 4096
_LONGEST_SECONDS = 14 * 86400.0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says about itself. Width and height are as shown, after rotation.

    `duration_seconds` and `frame_count` are the header's claim, 0 where it makes none; a damaged file may hold less.
    """

    duration_seconds: float
    width: int
    height: int
    frame_rate: float
    frame_count: int
    rotation_degrees: int
    codec: str
    has_audio: bool
    start_seconds: float


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One picture: RGB, uint8, height × width × 3, and when it appears.

    `repeats_previous` says that it shows what the frame given before it (of any segment) shows, so its vector and its
    words can be used again.
    """

    timestamp_seconds: float
    image: NDArray[np.uint8]
    repeats_previous: bool = False


def probe(path: str) -> VideoInfo:
    """Read the header of a video, without decoding more than the first picture.

    Raises:
        UnreadableVideo: not a video, no picture in it, or a codec that can't be decoded.
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingExtra("av", "media") from error
    av.logging.set_level(None)
    try:
        with av.open(path, metadata_errors="ignore") as container:
            if not container.streams.video:
                raise UnreadableVideo(path, "it has no video stream")
            stream = container.streams.video[0]
            if getattr(stream, "codec_context", None) is None:
                raise UnreadableVideo(path, "no decoder for its video codec")
            stream.thread_type = "NONE"
            first = next(iter(container.decode(stream)), None)
            if first is None:
                raise UnreadableVideo(path, "no picture in it can be decoded")
            container_start = (container.start_time or 0) / av.time_base
            seconds = (container.duration or 0) / av.time_base
            time_base = float(stream.time_base or 0)
            if not seconds and stream.duration:
                seconds = stream.duration * time_base
            start = float(first.time) - container_start if first.time is not None else 0.0
            rotation = int(first.rotation) % 360
            width, height = first.width, first.height
            if rotation in (90, 270):
                width, height = height, width
            return VideoInfo(
                duration_seconds=max(0.0, seconds),
                width=width,
                height=height,
                frame_rate=float(stream.average_rate or stream.guessed_rate or 0),
                frame_count=int(stream.frames),
                rotation_degrees=rotation,
                codec=stream.codec_context.name,
                has_audio=any(audio.codec_context is not None for audio in container.streams.audio),
                start_seconds=start if math.isfinite(start) else 0.0,
            )
    except av.error.FFmpegError as error:
        raise UnreadableVideo(path, _reason(error)) from error
    except OSError as error:
        raise UnreadableVideo(path, error.strerror or str(error)) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The size at which pictures are handed out: short side at most `short_side`, proportions kept.

    Never enlarged, except to the smallest size that decord gets right.
    """
    scale = min(1.0, short_side / min(width, height), _LARGEST_SIDE_PIXELS / max(width, height))
    return max(_SMALLEST_SIDE_PIXELS, round(width * scale)), max(_SMALLEST_SIDE_PIXELS, round(height * scale))


class VideoFrames:
    """Iterates over `(timestamp_seconds, image)` at up to `analysis_rate` pictures a second, in order of time.

    Raises:
        UnreadableVideo: decord can't open the file, or it breaks before the first picture.
        MissingExtra: decord is not installed.
    """

    def __init__(
        self, path: str, info: VideoInfo, *, short_side: int = 480, analysis_rate: float = 12.5, thread_count: int = 1
    ) -> None:
        try:
            import decord
        except ModuleNotFoundError as error:
            raise MissingExtra("decord2", "media") from error
        decord.logging.set_level(decord.logging.FATAL)
        width, height = scaled_size(info.width, info.height, short_side)
        try:
            self._reader: Any = decord.VideoReader(path, width=width, height=height, num_threads=thread_count)
            spans = self._reader.get_frame_timestamp(range(len(self._reader)))
        except Exception as error:  # decord raises RuntimeError, DECORDError and AssertionError without a common root
            raise UnreadableVideo(path, f"decord can't open it: {str(error).splitlines()[0][:200]}") from error
        self._path = path
        self._starts: NDArray[np.float64] = spans[:, 0].astype("float64")
        self._starts += info.start_seconds - float(self._starts[0])
        last = float(spans[-1, 1] - spans[-1, 0])
        self.end_seconds = float(self._starts[-1]) + (last if last > 0 else 1.0 / (info.frame_rate or 25.0))
        if not 0 <= self.end_seconds - float(self._starts[0]) <= _LONGEST_SECONDS:
            raise UnreadableVideo(path, f"its time stamps claim {self.end_seconds / 86400:.0f} days")
        self.decoded_until_seconds = float(self._starts[0])
        self._step_seconds = 1.0 / analysis_rate

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        starts, count = self._starts, len(self._starts)
        index = 0
        while index < count:
            try:
                image = self._reader.next().asnumpy()
            except StopIteration:
                break
            except Exception as error:
                if index == 0:
                    raise UnreadableVideo(self._path, "no picture in it can be decoded") from error
                break
            timestamp = float(starts[index])
            self.decoded_until_seconds = timestamp
            yield timestamp, image
            # a little slack, so that 25 pictures a second are halved and not cut to a third by rounding
            following = index + 1
            while following < count - 1 and starts[following] < timestamp + self._step_seconds - 0.005:
                following += 1
            if following - index > 1:
                self._reader.skip_frames(following - index - 1)
            index = following
        if index >= count:
            self.decoded_until_seconds = self.end_seconds
