"""A library of made-up videos with pictures' vectors and spoken words, as large as a platform's."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa

import pixr
from pixr.encoders.load import DEFAULT_MODEL, load_encoders

SEGMENTS_A_VIDEO = 20
_WORDS = [
    first + second
    for first in ("ba", "co", "du", "fe", "gi", "ho", "ka", "le", "mi", "no", "pa", "ru")
    for second in ("ran", "sel", "tiv", "mon", "lup", "der", "gas", "bil", "fot", "wen", "zar", "kin")
]


def sentence(chance: random.Random, length: int) -> str:
    """Words as people use them: a few often, most seldom."""
    return " ".join(_WORDS[min(int(chance.paretovariate(0.8)) - 1, len(_WORDS) - 1)] for _ in range(length))


def questions(count: int) -> list[str]:
    """What is asked, over and over, so that its encodings are kept."""
    chance = random.Random(7)
    return [sentence(chance, 3) for _ in range(count)]


def make_library(path: Path, segments: int) -> None:
    """Write the library unless it is there."""
    if path.exists():
        return
    chance, numbers = random.Random(1), np.random.default_rng(1)
    space = load_encoders(DEFAULT_MODEL, None).visual.space
    centres = numbers.normal(size=(500, space.dimension)).astype(np.float32)
    made = path.with_name(f"unfinished-{os.getpid()}.pixr")
    with pixr.open(made) as library:
        for begin in range(0, segments, 10_000):
            count = min(10_000, segments - begin)
            vectors = centres[numbers.integers(0, 500, count)] + numbers.normal(size=(count, space.dimension)).astype(
                np.float32
            )
            rows = np.arange(begin, begin + count)
            names = [f"video-{row // SEGMENTS_A_VIDEO:06}" for row in rows]
            columns = {
                "video_id": names,
                "start": (rows % SEGMENTS_A_VIDEO * 5).astype(float),
                "end": (rows % SEGMENTS_A_VIDEO * 5 + 5).astype(float),
                "frame": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), space.dimension),
                "speech": [sentence(chance, 12) for _ in range(count)],
            }
            videos = [
                {
                    "id": name,
                    "title": sentence(chance, 4),
                    "duration": SEGMENTS_A_VIDEO * 5.0,
                    "tags": [chance.choice(_WORDS)],
                }
                for name in sorted(set(names))
            ]
            library.add_segments(pa.record_batch(columns), videos=videos, spaces={"frame": space})
        library.compact()
    made.rename(path)
