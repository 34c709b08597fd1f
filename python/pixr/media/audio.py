"""Decodes sound with PyAV to what a recogniser takes: mono, at 16 kHz or another rate, in chunks of bounded length.

Each chunk carries its start on the container's clock, which the pictures share, so a stream that begins late or has
holes stays in step. A hole of more than 0.1 s begins a new chunk. Where time stamps jump back, sound is left out until
they have passed what was already heard, as pictures are. A packet that can't be decoded is skipped. The layout and the
rate may change in the middle: broadcasts switch between stereo and 5.1. Of two channels that cancel each other one is
taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.errors import UnreadableVideo
from pixr.media.opposite_phase import without_cancelling
from pixr.media.stray_times import without_strays
from pixr.media.tracks import import_av, opened, packets_of, reason_of, sound_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
_CHUNK_SECONDS = 10.0
_HOLE_SECONDS = 0.1
# How many frames of sound may share one time stamp, from which those of all are counted: broadcasts send them together.
_FRAMES_OF_A_PACKET = 32


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
    """Yield the sound that a player would play, resampled; nothing if the file has none.

    Raises:
        UnreadableVideo: the container can't be opened.
        MissingExtra: PyAV is not installed.
    """
    av = import_av()
    try:
        container = opened(path)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(path, reason_of(error)) from error
    with container:
        stream = sound_of(container)
        if stream is None:
            return
        container_start = (container.start_time or 0) / av.time_base
        frames = _resampled(_with_known_layout(packets_of(container, stream), stream), sample_rate_hz)
        placed = without_strays(frames, lambda frame: frame[0].time, longest_run=_FRAMES_OF_A_PACKET)
        yield from _chunks(placed, container_start, chunk_seconds, sample_rate_hz)


def _resampled(packets: Iterator[Any], sample_rate_hz: int) -> Iterator[tuple[AudioFrame, list[AudioFrame]]]:
    """Every decoded frame, and what it is resampled to. Packets that can't be decoded are skipped."""
    import av

    resampler = _Resampler(sample_rate_hz)
    for packet in packets:
        try:
            frames = [(frame, resampler.resample(without_cancelling(frame))) for frame in packet.decode()]
        except (av.error.FFmpegError, ValueError):
            continue
        yield from frames


def _chunks(
    frames: Iterator[tuple[AudioFrame, list[AudioFrame]]],
    container_start: float,
    chunk_seconds: float,
    sample_rate_hz: int,
) -> Iterator[AudioChunk]:
    """Join resampled frames into chunks of about `chunk_seconds`, none of which has a hole in it."""
    pending = _PendingChunk(sample_rate_hz)
    expected: float | None = None
    for frame, resampled in frames:
        time = expected or 0.0 if frame.time is None else float(frame.time) - container_start
        if expected is not None and expected - time > _HOLE_SECONDS:
            continue
        if expected is None or time - expected > _HOLE_SECONDS:
            yield from pending.take()
            pending.start_seconds, expected = max(0.0, time), time
        expected += frame.samples / (frame.sample_rate or sample_rate_hz)
        pending.add(resampled)
        if pending.sample_count >= chunk_seconds * sample_rate_hz:
            yield from pending.take()
    yield from pending.take()


class _PendingChunk:
    """Sound that is gathered until it is enough for a chunk."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.start_seconds = 0.0
        self.sample_count = 0
        self._sample_rate_hz = sample_rate_hz
        self._pieces: list[NDArray[np.int16]] = []

    def add(self, resampled: list[AudioFrame]) -> None:
        """Append frames of mono int16."""
        import numpy as np

        for frame in resampled:
            self._pieces.append(frame.to_ndarray().reshape(-1).astype(np.int16, copy=False))
            self.sample_count += frame.samples

    def take(self) -> Iterator[AudioChunk]:
        """The sound gathered so far as one chunk, or nothing if there is none. The next chunk begins where it ends."""
        import numpy as np

        if self.sample_count:
            chunk = AudioChunk(self.start_seconds, np.concatenate(self._pieces), self._sample_rate_hz)
            self.start_seconds += self.sample_count / self._sample_rate_hz
            self._pieces, self.sample_count = [], 0
            yield chunk


def _with_known_layout(packets: Iterator[Any], stream: AudioStream) -> Iterator[Any]:
    """The packets of a stream. If it is uncompressed sound in a QuickTime file, its channels get their usual order.

    Such a file may state an order of its own, and PyAV frees the memory of that twice as soon as the layout is looked
    at, even for the number of channels alone. So that number is worked out from the length of the first packet.
    """
    uncompressed = re.fullmatch(r"pcm_[suf](\d+)[bl]e", stream.codec_context.name)
    first = next(packets, None)
    if first is None:
        return
    is_quicktime = stream.container.format.name.startswith("mov")
    if uncompressed is not None and is_quicktime and first.duration and first.time_base:
        frame_count = float(first.duration * first.time_base) * stream.codec_context.sample_rate
        channels = round(first.size / (int(uncompressed[1]) / 8 * frame_count))
        if channels > 2:
            stream.codec_context.layout = f"{channels}c"
    yield first
    yield from packets


class _Resampler:
    """Resamples frames of any format, layout and rate, one after the other. PyAV's own takes one kind only."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def resample(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame as mono int16. A few samples are held back until the next frame."""
        from av import AudioResampler

        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._form:
            self._form, self._resampler = form, AudioResampler("s16", "mono", self._sample_rate_hz)
        resampled: list[AudioFrame] = self._resampler.resample(frame)
        return resampled
