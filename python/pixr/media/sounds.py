"""Cuts sound into windows of equal length and encodes each, for what is heard besides words.

Windows begin at multiples of their length on the video's clock, so that neighbours touch and join into one moment. The
last window, and one before a hole in the sound, is only as long as its sound, and is left out below a tenth of a
second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixr.encoders.protocol import SoundEncoder
    from pixr.media.audio import AudioChunk

_LEAST_SECONDS: Final = 0.1
_HOLE_SECONDS: Final = 0.05
_WINDOWS_A_CALL: Final = 4


@dataclass(frozen=True, slots=True)
class HeardSound:
    """A span of sound, its vector, and a description in words if the encoder has one."""

    start_seconds: float
    end_seconds: float
    vector: NDArray[np.float32]
    description: str | None


def hear(chunks: Iterable[AudioChunk], encoder: SoundEncoder) -> Iterator[HeardSound]:
    """Encode a video's sound, in order of time. Chunks must come at the encoder's rate.

    Raises:
        ValueError: a chunk comes at another rate.
        UnreadableVideo: the sound breaks off; what came before was yielded.
    """
    waiting: list[tuple[float, NDArray[np.float32]]] = []
    broken: BaseException | None = None
    try:
        for window in cut_windows(chunks, encoder.window_seconds, encoder.sample_rate_hz):
            waiting.append(window)
            if len(waiting) == _WINDOWS_A_CALL:
                yield from _encode(waiting, encoder)
                waiting = []
    except (OSError, ValueError) as error:
        broken = error
    if waiting:
        yield from _encode(waiting, encoder)
    if broken is not None:
        raise broken


def cut_windows(
    chunks: Iterable[AudioChunk], seconds: float, rate_hz: int
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Windows of sound, `(start_seconds, samples)`; a hole in the sound ends one early.

    Raises:
        ValueError: a chunk comes at another rate.
    """
    import numpy as np

    start = 0.0
    held: NDArray[np.float32] = np.empty(0, np.float32)
    for chunk in chunks:
        if chunk.sample_rate_hz != rate_hz:
            raise ValueError(f"expected sound of {rate_hz} samples a second, got {chunk.sample_rate_hz}")
        if len(held) and abs(start + len(held) / rate_hz - chunk.start_seconds) > _HOLE_SECONDS:
            if len(held) >= _LEAST_SECONDS * rate_hz:
                yield start, held
            held = held[:0]
        if not len(held):
            start = chunk.start_seconds
        held = np.concatenate((held, chunk.as_float()))
        while True:
            until = (int((start + 1e-6) / seconds) + 1) * seconds
            count = round((until - start) * rate_hz)
            if len(held) < count:
                break
            if count >= _LEAST_SECONDS * rate_hz:
                yield start, held[:count]
            held, start = held[count:], until
    if len(held) >= _LEAST_SECONDS * rate_hz:
        yield start, held


def _encode(windows: list[tuple[float, NDArray[np.float32]]], encoder: SoundEncoder) -> Iterator[HeardSound]:
    vectors = encoder.encode_sounds([samples for _, samples in windows])
    words = encoder.describe(vectors)
    for (start, samples), vector, description in zip(windows, vectors, words, strict=True):
        yield HeardSound(start, start + len(samples) / encoder.sample_rate_hz, vector, description)
