"""Reads the pictures of a video with PyAV, and the times at which a player shows them.

Times are container time stamps, never index / rate, since a variable frame rate is the normal case. Zero is the
container's start, for the sound too, so what is seen and what is heard line up. Pictures are stretched and turned as
the container says. At most `analysis_rate` pictures a second are handed out, scaled to `short_side` pixels, for the
shot detector to look at. Those in between are decoded, because later ones need them, but converted only where a cut
lies among them.

A picture is decoded when it is asked for, so memory holds the decoder and a few pictures, however long the video is
and however slow the caller. Never call this in a process that has to survive hostile input: use `pixr.media.sandbox`.
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pixr.errors import UnreadableVideo
from pixr.languages import language_code
from pixr.media.gaps import Gaps, first_common
from pixr.media.stray_times import without_strays
from pixr.media.subtitles import SubtitleTrack, subtitles_of
from pixr.media.tracks import (
    USUAL_FRAME_RATE,
    decoded,
    import_av,
    opened,
    packets_of,
    pictures_of,
    point_shape,
    reason_of,
    sound_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# Smaller pictures are enlarged to what the shot detector, the encoder and the reader of words can work with.
_SMALLEST_SIDE_PIXELS = 64
_LARGEST_SIDE_PIXELS = 4096
_LONGEST_SECONDS = 14 * 86400.0
_JUMP_SECONDS = 1.0
_BROADCASTS = ("mpegts", "mpeg")
_GAP_SECONDS = 10.0
# So that of 25 pictures a second every second one is handed out, not every third because of rounding.
_STEP_SLACK_SECONDS = 0.005
# How many packets are read in search of the first picture: a recording may begin between two key frames.
_MOST_BEFORE_FIRST = 1000
# How many pictures are kept between two that are handed out: enough for all of 60 a second. Of more, every second is.
_MOST_BETWEEN = 8


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says about itself. Width and height are as shown: after stretching and rotation.

    `duration_seconds` and `frame_count` are what the header claims, 0 where it claims nothing; a damaged file may hold
    less. `pictures_end_seconds` is its claim for the pictures alone, since sound may go on after them; 0 for a cover.
    `sound_language` is a code such as "de", None where the sound's language isn't named.
    """

    duration_seconds: float
    pictures_end_seconds: float
    width: int
    height: int
    frame_rate: float
    frame_count: int
    rotation_degrees: int
    codec: str
    has_audio: bool
    start_seconds: float
    sound_language: str | None = None
    subtitles: tuple[SubtitleTrack, ...] = ()


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One picture: RGB, uint8, height × width × 3, and when it appears.

    `repeats_previous` says that it shows the same as the frame before it (even if that is in the segment before), so
    the vector and the words of that one can be used again.
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
    av = import_av()
    try:
        with opened(path) as container:
            return _read_info(path, container)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(path, reason_of(error)) from error


def _read_info(path: str, container: InputContainer) -> VideoInfo:
    import av

    stream = pictures_of(container)
    if stream is None:
        raise UnreadableVideo(path, "it has no video stream")
    if getattr(stream, "codec_context", None) is None:
        raise UnreadableVideo(path, "no decoder for its video codec")
    stream.thread_type = "NONE"
    first = next(decoded(islice(packets_of(container, stream), _MOST_BEFORE_FIRST)), None)
    if first is None:
        raise UnreadableVideo(path, "no picture in it can be decoded")
    container_start = (container.start_time or 0) / av.time_base
    start = _since(container_start, first.time) if first.time is not None else 0.0
    duration, pictures_end = _claimed_lengths(container, stream, container_start)
    rotation = int(first.rotation) % 360
    width, height = max(1, round(first.width * point_shape(stream))), first.height
    sound = sound_of(container)
    if rotation in (90, 270):
        width, height = height, width
    return VideoInfo(
        duration_seconds=max(0.0, duration),
        pictures_end_seconds=max(0.0, pictures_end),
        width=width,
        height=height,
        frame_rate=float(stream.average_rate or stream.guessed_rate or 0),
        frame_count=int(stream.frames),
        rotation_degrees=rotation,
        codec=stream.codec_context.name,
        has_audio=sound is not None,
        start_seconds=start if math.isfinite(start) else 0.0,
        sound_language=None if sound is None else language_code(sound.language),
        subtitles=subtitles_of(container),
    )


def _claimed_lengths(container: InputContainer, stream: VideoStream, container_start: float) -> tuple[float, float]:
    """How long the header says that the video lasts, and its pictures alone; 0 where it says nothing."""
    import av
    from av.stream import Disposition

    duration = (container.duration or 0) / av.time_base
    is_matroska = container.format.name.startswith("matroska")
    if is_matroska or (_is_fragmented(stream) and duration > container_start):
        duration -= max(0.0, container_start)  # it counts from zero, even if nothing is there until later
    claimed_end = _claimed_end(stream)
    pictures_end = duration if claimed_end is None else claimed_end - container_start
    is_cover = bool(stream.disposition & Disposition.attached_pic)
    return duration or pictures_end, 0.0 if is_cover else pictures_end


def _claimed_end(stream: VideoStream) -> float | None:
    """Where the header says that the pictures alone end, on the stream's own clock. None if it does not say."""
    ticks = stream.duration or 0
    if stream.container.format.name == "avi":
        ticks = max(ticks, stream.frames)  # a tick is one picture; pictures that were cut off are not in `duration`
    start = stream.start_time or 0
    if _is_fragmented(stream) and ticks > start:
        start = 0
    if ticks:
        return float((ticks + start) * (stream.time_base or 0))
    # Matroska's header gives the end of the longest track; a tag may give that of each.
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return None if tag is None else int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])


def _is_fragmented(stream: VideoStream) -> bool:
    """Whether it is an MP4 file of fragments, with times of their own: of a live stream they count since it began.

    FFmpeg takes the end of the last one for the length, unless the header has the beginning.
    """
    return stream.container.format.name.startswith("mov") and not stream.frames


def _begin(packet: Any, zero: float) -> float | None:
    """When a packet's picture is shown; None if that is not known, or the picture is not meant to be shown."""
    ticks = packet.dts if packet.pts is None else packet.pts
    if ticks is None or packet.time_base is None or packet.is_discard:
        return None
    return float(ticks * packet.time_base) - zero


def _since(zero: float, time: float) -> float:
    """A picture's time since the container's start. That is rounded to microseconds, so it may lie after the first."""
    return max(0.0, float(time) - zero)


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The size at which pictures are handed out: short side at most `short_side`, proportions kept.

    Never enlarged, except to the smallest size.
    """
    scale = min(1.0, short_side / min(width, height), _LARGEST_SIDE_PIXELS / max(width, height))
    return max(_SMALLEST_SIDE_PIXELS, round(width * scale)), max(_SMALLEST_SIDE_PIXELS, round(height * scale))


class VideoFrames:
    """Iterates, once, over `(timestamp_seconds, image)` in order of time, at up to `analysis_rate` pictures a second.

    A packet that can't be decoded is skipped. The last picture is always handed out.

    Attributes:
        decoded_until_seconds: how far decoding has come.
        skipped_seconds: how long the pictures would be shown that can't be decoded, without those before the first.
        skipped_from_seconds: when the first of them would begin; None if there is none.
        jumped_back_seconds: where time stamps first fell by more than a second (recordings joined without new time
            stamps), None if they never did. Pictures are left out until the time stamps have passed that again.
        gap_seconds: the first stretch of more than two seconds without pictures and sound, None if there is none. Of a
            broadcast, of more than ten without a picture: it sends them without a pause, where a recording of a screen
            may show one for minutes.
        end_seconds: where the video ends, by the packets read so far. Once all are read, it is later than
            `decoded_until_seconds` only if the last pictures could not be decoded.

    Raises (while iterating):
        UnreadableVideo: it can't be opened, breaks off before the first picture, or claims impossible times.
        MissingExtra: PyAV is not installed.
    """

    def __init__(
        self, path: str, info: VideoInfo, *, short_side: int = 480, analysis_rate: float = 12.5, thread_count: int = 1
    ) -> None:
        self._path = path
        self._quarter_turns = round(info.rotation_degrees / 90) % 4
        width, height = scaled_size(info.width, info.height, short_side)
        self._size = (width, height) if self._quarter_turns % 2 == 0 else (height, width)
        self._step_seconds = 1.0 / analysis_rate
        self._frame_seconds = 1.0 / (info.frame_rate or USUAL_FRAME_RATE)
        self._thread_count = thread_count
        self._reformatter: Any = None
        self._passed: deque[list[tuple[float, Any]]] = deque([[]], maxlen=2)
        self._has_shown = False
        self._last_start = self._first_start = info.start_seconds
        self.decoded_until_seconds = info.start_seconds
        self.skipped_seconds = 0.0
        self.skipped_from_seconds: float | None = None
        self.jumped_back_seconds: float | None = None
        self.gap_seconds: tuple[float, float] | None = None
        self._picture_gaps, self._sound_gaps = Gaps(), Gaps()
        self.end_seconds = info.start_seconds

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        step_seconds = self._step_seconds - _STEP_SLACK_SECONDS
        handed_out, held_back = -math.inf, None
        shown = -math.inf
        for timestamp, frame in self._decode():
            shown = self.decoded_until_seconds = timestamp
            if timestamp < handed_out + step_seconds:
                held_back = timestamp, frame
                self._pass(timestamp, frame)
                continue
            handed_out, held_back = timestamp, None
            yield timestamp, self._convert(frame)
            self._passed.append([])
        if shown == -math.inf:
            raise UnreadableVideo(self._path, "no picture in it can be decoded")
        if held_back is not None:
            yield held_back[0], self._convert(held_back[1])
        if shown >= self._last_start - 1e-6:
            self.decoded_until_seconds = self.end_seconds = max(self.end_seconds, shown + self._frame_seconds)

    def between(self, after_seconds: float, until_seconds: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """The pictures between two neighbours among the last three that were handed out, latest first."""
        for passed in reversed(self._passed):
            for timestamp, frame in reversed(passed):
                if after_seconds < timestamp < until_seconds:
                    yield timestamp, self._convert(frame)

    def _pass(self, timestamp: float, frame: Any) -> None:
        passed = self._passed[-1]
        passed.append((timestamp, frame))
        if len(passed) > _MOST_BETWEEN:
            del passed[::2]

    def _decode(self) -> Iterator[tuple[float, Any]]:
        """Every picture with its time, in order of time. Ends early if the file can't be read any further."""
        av = import_av()
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        last = -math.inf
        try:
            with opened(self._path) as container:
                stream: Any = pictures_of(container)
                stream.thread_type = "NONE" if self._thread_count == 1 else "AUTO"
                stream.codec_context.thread_count = self._thread_count
                zero = (container.start_time or 0) / av.time_base
                is_broadcast = container.format.name in _BROADCASTS
                sound = None if is_broadcast else sound_of(container)
                streams = (stream,) if sound is None else (stream, sound)
                packets = self._noted(packets_of(container, *streams), stream.index, zero)
                frames = decoded(packets, lambda packet: self._note_skipped(packet, zero))
                for frame in without_strays(frames, lambda frame: frame.time):
                    timestamp = last + self._frame_seconds if frame.time is None else _since(zero, frame.time)
                    if not math.isfinite(timestamp):
                        timestamp = self._first_start
                    if timestamp > last:
                        self._check(timestamp)
                        if is_broadcast:
                            self._note_gap(last, timestamp)
                        self._has_shown = True
                        yield timestamp, frame
                        last = timestamp
                    elif last - timestamp > _JUMP_SECONDS and self.jumped_back_seconds is None:
                        self.jumped_back_seconds = last
                self.gap_seconds = self.gap_seconds or first_common(self._picture_gaps, self._sound_gaps)
        except (av.error.FFmpegError, OSError) as error:
            if last == -math.inf:
                raise UnreadableVideo(self._path, reason_of(error)) from error

    def _noted(self, packets: Iterator[Any], index: int, zero: float) -> Iterator[Any]:
        """Pass the packets of pictures on, noting where each begins and ends, and where those of the sound do."""
        for packet in packets:
            is_picture = packet.stream.index == index
            begin = _begin(packet, zero)
            if begin is not None:
                end = begin + self._length(packet)
                (self._picture_gaps if is_picture else self._sound_gaps).note(begin, end)
                if is_picture:
                    self._check(begin)
                    self._last_start = max(self._last_start, begin)
                    self.end_seconds = max(self.end_seconds, end)
            if is_picture:
                yield packet

    def _note_skipped(self, packet: Any, zero: float) -> None:
        begin = _begin(packet, zero)
        if begin is None or not self._has_shown:
            return
        self.skipped_seconds += self._length(packet)
        if self.skipped_from_seconds is None:
            self.skipped_from_seconds = begin

    def _note_gap(self, shown: float, next_shown: float) -> None:
        if self._has_shown and self.gap_seconds is None and next_shown - shown > _GAP_SECONDS:
            self.gap_seconds = shown, next_shown

    def _length(self, packet: Any) -> float:
        """How many seconds a packet's picture is shown."""
        lasts = float((packet.duration or 0) * packet.time_base)
        return lasts if lasts > 0 else self._frame_seconds

    def _check(self, seconds: float) -> None:
        if seconds - self._first_start > _LONGEST_SECONDS:
            raise UnreadableVideo(self._path, f"its time stamps claim {seconds / 86400:.0f} days")

    def _convert(self, frame: Any) -> NDArray[np.uint8]:
        import numpy as np

        width, height = self._size
        try:
            small = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC")
        except (OSError, ValueError) as error:
            raise UnreadableVideo(self._path, f"its pictures can't be converted: {reason_of(error)}") from error
        picture: NDArray[np.uint8] = np.ascontiguousarray(np.rot90(small.to_ndarray(), self._quarter_turns))
        return picture
