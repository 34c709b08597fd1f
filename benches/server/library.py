"""A library as large as a platform's: pictures' vectors, spoken words and their vectors; and what it is asked.

Real where `../shared/data` (or `$PIXR_BENCH_DATA`) and `eval` beside it are: words and their vectors in runs of
consecutive rows, scenes that are photographs seen again with noise; half of the questions are about what is said, half
about what is shown. Elsewhere sentences of 144 made-up words, of which the commonest stands in nearly every segment,
and scenes of made-up concepts. Calibrated as a library that Pixr indexed.
"""

from __future__ import annotations

import gzip
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

import pixr
from pixr.calibration import prepare
from pixr.encoders.load import DEFAULT_MODEL, load_encoders
from pixr.encoders.protocol import Space
from pixr.inside import engine_of
from pixr.types import Channel

DATA = Path(os.environ.get("PIXR_BENCH_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
PHOTOS = DATA.parent / "eval"
ROWS_A_BATCH = 10_000
SECONDS_A_SEGMENT = 5.0
SHORTEST_VIDEO, LONGEST_VIDEO = 5, 60
SCENE_ROWS = 10
PICTURES = 500  # how many differ by more than noise
NOISE = 0.3  # standard deviation of the logarithm of a concept's share
_FIRST_CLAUSE = re.compile(r"(?<=\w)[^\w\s'-]")  # up to there a description is as long as a question
_WORDS = [
    first + second
    for first in ("ba", "co", "du", "fe", "gi", "ho", "ka", "le", "mi", "no", "pa", "ru")
    for second in ("ran", "sel", "tiv", "mon", "lup", "der", "gas", "bil", "fot", "wen", "zar", "kin")
]


def is_real() -> bool:
    """Whether words and their vectors are real ones."""
    return DATA.is_dir() and PHOTOS.is_dir()


def questions(count: int) -> list[str]:
    """What is asked, over and over, so that its encodings are kept."""
    if is_real():
        said = [_FIRST_CLAUSE.split(line)[0] for line in _lines("query_texts.txt.gz")]
        shown = [line.split("\t")[1] for line in (PHOTOS / "photos.tsv").read_text("utf-8").splitlines()]
        return [one for pair in zip(said, shown, strict=False) for one in pair][:count]
    chance = random.Random(7)
    return [_sentence(chance, 3) for _ in range(count)]


def make_library(path: Path, segments: int) -> None:
    """Write the library unless it is there."""
    if path.exists():
        return
    chance, numbers = random.Random(1), np.random.default_rng(1)
    encoders = load_encoders(DEFAULT_MODEL, None)
    if is_real():
        said, meant = _lines("texts.txt.gz"), np.load(DATA / "vectors.f16.npy", mmap_mode="r")
        segments = min(segments, len(said))
        centres = encoders.visual.encode_images([_picture(path) for path in sorted((PHOTOS / "photos").iterdir())])
    else:
        said, meant = [_sentence(chance, 12) for _ in range(segments)], None
        centres = np.exp(numbers.normal(scale=3.0, size=(PICTURES, encoders.visual.space.dimension)))
    spaces: dict[Channel, Space] = {"frame": encoders.visual.space, "speech": encoders.text.space}
    made = path.with_name(f"unfinished-{os.getpid()}.pixr")
    with pixr.open(made) as library:
        prepare(engine_of(library), encoders)
        for rows in _batches(segments, chance):
            count = sum(length for _, length in rows)
            first = rows[0][0]
            scenes = [numbers.integers(0, len(centres), -(-length // SCENE_ROWS)) for _, length in rows]
            scenes = [np.repeat(of, SCENE_ROWS)[:length] for of, (_, length) in zip(scenes, rows, strict=True)]
            shown = centres[np.concatenate(scenes)]
            shown = shown * np.exp(numbers.normal(scale=NOISE, size=shown.shape))
            columns = {
                "video_id": [f"video-{begin:06}" for begin, length in rows for _ in range(length)],
                "start": [SECONDS_A_SEGMENT * at for _, length in rows for at in range(length)],
                "end": [SECONDS_A_SEGMENT * (at + 1) for _, length in rows for at in range(length)],
                "frame": _vectors(shown),
                "speech.text": said[first : first + count],
            }
            if meant is not None:
                columns["speech.vector"] = _vectors(meant[first : first + count])
            videos = [
                {
                    "id": f"video-{begin:06}",
                    "title": said[begin],
                    "duration": SECONDS_A_SEGMENT * length,
                    "tags": [chance.choice(_WORDS)],
                }
                for begin, length in rows
            ]
            library.add_segments(pa.record_batch(columns), videos=videos, spaces=spaces)
        library.compact()
    made.rename(path)


def _batches(segments: int, chance: random.Random) -> Iterator[list[tuple[int, int]]]:
    """Videos as first rows and numbers of rows, about `ROWS_A_BATCH` rows together."""
    batch: list[tuple[int, int]] = []
    begin = 0
    while begin < segments:
        length = min(chance.randint(SHORTEST_VIDEO, LONGEST_VIDEO), segments - begin)
        batch.append((begin, length))
        begin += length
        if begin - batch[0][0] >= ROWS_A_BATCH or begin == segments:
            yield batch
            batch = []


def _vectors(values: np.ndarray[Any, Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])


def _picture(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _lines(name: str) -> list[str]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return lines.read().splitlines()


def _sentence(chance: random.Random, length: int) -> str:
    """Words as people use them: a few often, most seldom."""
    return " ".join(_WORDS[min(int(chance.paretovariate(0.8)) - 1, len(_WORDS) - 1)] for _ in range(length))
