"""Decodes sound to what a recogniser hears: mono, 16 kHz or another rate, in chunks of bounded length.

PyAV does it. Chunks carry their own start on the container's clock (the same as the pictures'), so a stream that
begins late, or has holes, stays in step: a hole of more than 0.1 s begins a new chunk, and where time stamps jump back
all is left out until they have passed what was heard, as pictures are. A packet that can't be decoded
is skipped. Broadcasts change between stereo and 5.1, or the rate, in the middle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, UnreadableVideo
from pixr.media.tracks import opened, packets_of, sound_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
_CHUNK_SECONDS = 10.0
_HOLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Sound from `start_seconds` on: int16 samples, mono, `sample_rate_hz` a second. Silence is zeros."""

    start_seconds: float
    samples: NDArray[np.int16]
    sample_rate_hz: int = SAMPLE_RATE_HZ

    @property
    def end_seconds(self) -> float:
        """Where the chunk ends."""
        return self.start_seconds + len(self.samples) / self.sample_rate_hz

    def as_float(self) -> NDArray[np.float32]:
        """The samples as float32 in [-1, 1)."""
        import numpy as np

        samples: NDArray[np.float32] = self.samples.astype(np.float32) / np.float32(32768)
        return samples


def decode_audio(
    path: str, *, chunk_seconds: float = _CHUNK_SECONDS, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Iterator[AudioChunk]:
    """Yield the sound of a file that a player plays, resampled; nothing if it has none.

    Raises:
        UnreadableVideo: the container can't be opened.
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
        import numpy as np
    except ImportError as error:
        raise MissingExtra("av", "media", error) from error
    av.logging.set_level(None)
    try:
        container = opened(path)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(path, str(getattr(error, "strerror", None) or error)) from error
    with container:
        stream = sound_of(container)
        if stream is None:
            return
        container_start = (container.start_time or 0) / av.time_base
        resampler = _Resampler(sample_rate_hz)
        pieces: list[NDArray[np.int16]] = []
        start, count = 0.0, 0
        expected: float | None = None
        for packet in _settled(packets_of(container, stream), stream):
            try:
                decoded = packet.decode()
                heard = [(frame, resampler.resample(frame)) for frame in decoded]
            except (av.error.FFmpegError, ValueError):
                continue
            for frame, resampled in heard:
                time = expected if frame.time is None else float(frame.time) - container_start
                time = 0.0 if time is None else time
                if expected is not None and expected - time > _HOLE_SECONDS:
                    continue
                if expected is None or time - expected > _HOLE_SECONDS:
                    if count:
                        yield AudioChunk(start, np.concatenate(pieces), sample_rate_hz)
                    pieces, start, count, expected = [], max(0.0, time), 0, time
                expected += frame.samples / (frame.sample_rate or sample_rate_hz)
                for part in resampled:
                    pieces.append(part.to_ndarray().reshape(-1).astype(np.int16, copy=False))
                    count += part.samples
                if count >= chunk_seconds * sample_rate_hz:
                    yield AudioChunk(start, np.concatenate(pieces), sample_rate_hz)
                    start += count / sample_rate_hz
                    pieces, count = [], 0
        if count:
            yield AudioChunk(start, np.concatenate(pieces), sample_rate_hz)


def _settled(packets: Iterator[Any], stream: AudioStream) -> Iterator[Any]:
    """The packets of a stream, whose channels are told anew, in their usual order, where its samples are not coded.

    QuickTime files may tell any order, and PyAV frees twice what it holds of one of its own: not even their number
    may be asked for, which the first packet's length gives away.
    """
    coded = re.fullmatch(r"pcm_[suf](\d+)[bl]e", stream.codec_context.name)
    first = next(packets, None)
    if first is None:
        return
    if coded is not None and stream.container.format.name.startswith("mov") and first.duration and first.time_base:
        frame_count = float(first.duration * first.time_base) * stream.codec_context.sample_rate
        channels = round(first.size / (int(coded[1]) / 8 * frame_count))
        if channels > 2:
            stream.codec_context.layout = f"{channels}c"
    yield first
    yield from packets


class _Resampler:
    """PyAV's takes frames of one form alone; this takes any, one after the other."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def resample(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame as mono int16; a few samples stay behind until the next."""
        from av import AudioResampler

        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._form:
            self._form, self._resampler = form, AudioResampler("s16", "mono", self._sample_rate_hz)
        resampled: list[AudioFrame] = self._resampler.resample(frame)
        return resampled
