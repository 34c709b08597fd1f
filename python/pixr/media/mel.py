"""The log-mel spectrogram that Whisper hears, without the threads of numpy's linear algebra.

Equal to faster-whisper's `FeatureExtractor` within rounding. A mel band covers a handful of frequencies, so each is
summed on its own: one product of the whole matrices would do forty times the work, and wakes threads that spin for
longer than it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAMES_PER_SECOND = 100
_WINDOW, _HOP = 400, 160


def log_mel(samples: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectrogram of 16 kHz sound, bands × frames (a hundred a second); `filters` is bands × 201 frequencies.

    A last frame that is not whole, or that sees nothing but padding, is left out.
    """
    import numpy as np

    padded = np.pad(np.pad(samples, (0, _HOP)), _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-2]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1).astype(np.complex64)
    power = np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2).T)
    bands = np.empty((len(filters), power.shape[1]), np.float32)
    for band, weights in zip(bands, filters, strict=True):
        heard = np.flatnonzero(weights)
        low, high = (heard[0], heard[-1] + 1) if len(heard) else (0, 0)
        np.einsum("f,ft->t", weights[low:high], power[low:high], out=band)
    levels = np.log10(np.maximum(bands, 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)
    scaled: NDArray[np.float32] = ((levels + 4.0) / 4.0).astype(np.float32, copy=False)
    return scaled
