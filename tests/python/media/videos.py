"""Makes the small videos that the tests of the media room decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def textured(seed: int, width: int, height: int) -> Picture:
    """A picture like no other seed's: soft random blobs of colour."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    rows = np.arange(height) * 6 // height
    columns = np.arange(width) * 8 // width
    return np.ascontiguousarray(cells[rows][:, columns])


def write_video(
    path: Path,
    pictures: Sequence[Picture],
    *,
    rate: int = 10,
    times: Sequence[float] | None = None,
    codec: str = "mpeg4",
    pixel_format: str = "yuv420p",
    sound: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    sound_seconds: float = 0.0,
    rotation: int = 0,
    point_shape: Fraction | None = None,
    options: dict[str, str] | None = None,
    coder_options: dict[str, str] | None = None,
) -> Path:
    """Write pictures (at `times`, or at `rate`) and, if `sound` is given, what it makes of the time in seconds."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=coder_options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.bit_rate = 2_000_000
        ticks = Fraction(1, 1000)
        if times is not None:
            stream.time_base = ticks
            stream.codec_context.time_base = ticks
        if point_shape is not None:
            stream.sample_aspect_ratio = point_shape
        if rotation:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 1000), ticks
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None and sound is not None:
            instants = np.arange(int(sound_seconds * 16000)) / 16000
            samples = (sound(instants) * 32767).astype(np.int16)
            for start in range(0, len(samples) - 1023, 1024):
                heard = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 16000, start, Fraction(1, 16000)
                container.mux(audio.encode(heard))
            container.mux(audio.encode())
    return path


def cut_video(path: Path, shots: Sequence[int], *, pictures_per_shot: int = 20, **more: object) -> Path:
    """A video of hard cuts between textured pictures, one seed a shot, each drifting slowly to one side."""
    pictures = []
    for seed in shots:
        wide = textured(seed, 200, 120)
        pictures += [np.ascontiguousarray(wide[:, step : step + 160]) for step in range(pictures_per_shot)]
    return write_video(path, pictures, **more)  # type: ignore[arg-type]


def damaged_video(path: Path, *, pictures: range) -> Path:
    """Eight pictures a tenth of a second apart, of which some are no pictures."""
    whole = cut_video(path, [1, 2], pictures_per_shot=4, codec="png", pixel_format="rgb24").read_bytes()
    starts = [at for at in range(len(whole)) if whole[at : at + 4] == b"\x89PNG"]
    damaged = bytearray(whole)
    for number in pictures:
        damaged[starts[number] + 12 : starts[number] + 24] = bytes(12)  # its header
    path.write_bytes(damaged)
    return path
