"""CLAP's front end in numpy: sound in, log-mel bands out.

As `ClapFeatureExtractor` of transformers computes them (Wu et al. 2023, https://arxiv.org/abs/2211.06687).

Where the original takes a random part of a long sound, the middle of the choice is taken, so that the same sound always
has the same vector. Its "fusion" marks one sound of a call, drawn by lot, as long if none is; on a single sound that is
always the one, and so it is here for every sound.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pixr.encoders.published.description import MelScale, SoundRecipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_VIEWS = 4  # of a fused model: the whole, and three parts


def features(samples: NDArray[np.float32], recipe: SoundRecipe) -> NDArray[np.float32]:
    """The model's input for one sound, mono at the recipe's rate: `(views, frames, bands)`, one view unless fused.

    Raises:
        ValueError: the sound has another shape, or no samples.
    """
    import numpy as np

    if samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"expected mono sound of shape (samples,), got {samples.shape}")
    most = int(recipe.max_seconds * recipe.sample_rate_hz)
    fused = recipe.long_sound == "fusion"
    if len(samples) > most and not fused:
        first = (len(samples) - most) // 2
        return _log_mel(samples[first : first + most], recipe)[None]
    if len(samples) <= most:
        bands = _log_mel(_lengthen(samples, most, recipe), recipe)
        return np.stack([bands] * _VIEWS) if fused else bands[None]
    bands = _log_mel(samples, recipe)
    frames = most // recipe.hop + 1
    if len(bands) == frames:  # a little longer than the model hears, but not by a frame
        return np.stack([bands] * _VIEWS)
    return _fuse(bands, frames)


def _lengthen(samples: NDArray[np.float32], length: int, recipe: SoundRecipe) -> NDArray[np.float32]:
    import numpy as np

    if len(samples) < length and recipe.short_sound == "repeat":
        samples = np.tile(samples, length // len(samples) + 1)[:length]
    elif len(samples) < length and recipe.short_sound == "repeatpad":
        samples = np.tile(samples, length // len(samples))
    return np.pad(samples, (0, length - len(samples)))


def _fuse(bands: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Four views of a long sound: all of it shrunk in time, and a part of its beginning, middle and end."""
    import numpy as np

    choices = np.array_split(np.arange(len(bands) - frames + 1), 3)
    starts = [int(choice[len(choice) // 2]) if len(choice) else 0 for choice in choices]
    parts = [bands[start : start + frames] for start in starts]
    return np.stack([_shrink(bands, frames), *parts]).astype(np.float32)


def _shrink(bands: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Linear interpolation in time to so many frames, samples at pixel centres (torch's `align_corners=False`)."""
    import numpy as np

    at = np.maximum((np.arange(frames) + 0.5) * (len(bands) / frames) - 0.5, 0.0)
    low = np.minimum(at.astype(np.intp), len(bands) - 1)
    high = np.minimum(low + 1, len(bands) - 1)
    share = (at - low).astype(np.float32)[:, None]
    shrunk: NDArray[np.float32] = bands[low] * (1 - share) + bands[high] * share
    return shrunk


def _log_mel(samples: NDArray[np.float32], recipe: SoundRecipe) -> NDArray[np.float32]:
    """Decibels of the mel bands, `(frames, bands)`."""
    import numpy as np

    half = recipe.window // 2
    padded = np.pad(samples.astype(np.float64), half, mode="reflect" if len(samples) > half else "symmetric")
    frames = np.lib.stride_tricks.sliding_window_view(padded, recipe.window)[:: recipe.hop]
    window = np.hanning(recipe.window + 1)[:-1]
    filters = mel_filters(
        recipe.mel_scale, recipe.window, recipe.bands, recipe.low_hz, recipe.high_hz, recipe.sample_rate_hz
    )
    bands = np.empty((len(frames), recipe.bands))
    heard = [np.flatnonzero(band) for band in filters]
    for at in range(0, len(frames), 256):  # bounded memory for an hour of sound
        spectrum = np.fft.rfft(frames[at : at + 256] * window, axis=1).astype(np.complex64)
        power = np.abs(spectrum).astype(np.float64) ** 2
        for band, (weights, where) in enumerate(zip(filters, heard, strict=True)):
            # Band by band: a product of the whole matrices is mostly zeros, and wakes threads that spin afterwards.
            low, high = (where[0], where[-1] + 1) if len(where) else (0, 0)
            bands[at : at + 256, band] = np.einsum("tf,f->t", power[:, low:high], weights[low:high])
    decibels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(bands, 1e-10))).astype(np.float32)
    return decibels


@lru_cache(maxsize=8)
def mel_filters(
    scale: MelScale, window: int, bands: int, low_hz: float, high_hz: float, rate_hz: int
) -> NDArray[np.float64]:
    """Triangular filters, `(bands, window // 2 + 1)`: HTK's scale as it is, Slaney's with bands of equal area."""
    import numpy as np

    edges = _to_hz(np.linspace(_to_mel(low_hz, scale), _to_mel(high_hz, scale), bands + 2), scale)
    frequencies = np.linspace(0.0, rate_hz // 2, window // 2 + 1)
    slopes = edges[:, None] - frequencies[None, :]
    widths = np.diff(edges)[:, None]
    rising, falling = -slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    if scale == "slaney":
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters


def _to_mel(hertz: float, scale: MelScale) -> float:
    import math

    if scale == "htk":
        return 2595.0 * math.log10(1.0 + hertz / 700.0)
    return 3.0 * hertz / 200.0 if hertz < 1000.0 else 15.0 + math.log(hertz / 1000.0) * (27.0 / math.log(6.4))


def _to_hz(mels: NDArray[np.float64], scale: MelScale) -> NDArray[np.float64]:
    import numpy as np

    if scale == "htk":
        hertz: NDArray[np.float64] = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
        return hertz
    return np.where(mels < 15.0, 200.0 * mels / 3.0, 1000.0 * np.exp((np.log(6.4) / 27.0) * (mels - 15.0)))
