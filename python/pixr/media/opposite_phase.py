"""Keeps stereo sound whose channels are opposite: wrongly wired or "widened" recordings, which a mix makes silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

__all__ = ["without_cancelling"]

# Two channels cancel each other if their sum has less than this share of what both hold: it is 20 dB quieter.
_LEAST_LEFT = 0.01
_PLANAR = frozenset(("s16p", "s32p", "fltp", "dblp"))
_FORMS = _PLANAR | {"s16", "s32", "flt", "dbl"}


def without_cancelling(frame: AudioFrame) -> AudioFrame:
    """The frame as it is, or with the louder channel twice, where it has two that would cancel each other."""
    import numpy as np

    form = frame.format.name
    if form not in _FORMS or frame.layout.nb_channels != 2:
        return frame
    samples = frame.to_ndarray()
    channels = samples if form in _PLANAR else samples.reshape(-1, 2).T
    left, right = channels.astype(np.float32, copy=False)
    shared = float(left @ right)
    if shared >= 0.0:  # as of most sound, and quickly known
        return frame
    energies = float(left @ left), float(right @ right)
    if sum(energies) + 2.0 * shared >= _LEAST_LEFT * sum(energies):
        return frame
    louder = channels[int(energies[1] > energies[0])]
    doubled = np.tile(louder, (2, 1)) if form in _PLANAR else np.repeat(louder, 2)[None]
    kept = type(frame).from_ndarray(np.ascontiguousarray(doubled), format=form, layout=frame.layout.name)
    kept.sample_rate, kept.pts, kept.time_base = frame.sample_rate, frame.pts, frame.time_base
    return kept
