"""Segments in videos, as users have them: pictures, sentences and titles that say different things.

Runs of 5 to 60 consecutive segments are a video. Frames, sentences and titles are three permutations of the same rows
(vector and text), so no channel tells what another says; a video's title is one row. Each video carries a number from 0
to 99: filters take those below 10 or 1. The words of rows that `more_vectors.py` made are the real ones in turn.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers import material
from benches.peers.protocol import Vectors

SHORTEST, LONGEST = 5, 60
SHARES = 100
SEGMENT_SECONDS = 4.0
DIMENSION = 384
"""Of the vectors where no other is asked for."""


@dataclass(frozen=True)
class Corpus:
    """What every system indexes, and the queries. Rows of `frames` and `speech` are segments, of `titles` videos."""

    frames: Vectors
    speech: Vectors
    titles: Vectors
    speech_texts: list[str]
    title_texts: list[str]
    video_of: NDArray[np.int64]
    """The video of each segment."""
    first_of: NDArray[np.int64]
    """The first segment of each video, and the number of segments."""
    share_of: NDArray[np.int64]
    """The number that filters go by, of each video."""
    queries: Vectors
    query_texts: list[str]

    @property
    def segment_count(self) -> int:
        """How many segments."""
        return len(self.video_of)

    @property
    def video_count(self) -> int:
        """How many videos."""
        return len(self.share_of)


def directory_of(work: Path, segments: int, dimension: int) -> Path:
    """Where a corpus of so many segments lies below `work`."""
    size = f"{segments}" if dimension == DIMENSION else f"{segments}x{dimension}"
    return work / f"corpus-{size}{material.kind()}"


def make(work: Path, segments: int, queries: int, dimension: int = DIMENSION) -> Corpus:
    """Read it from `work`, made first where it is not there."""
    directory = directory_of(work, segments, dimension)
    if not (directory / "texts.json").is_file():
        directory.mkdir(parents=True, exist_ok=True)
        _write(work, directory, segments, dimension)
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    texts = json.loads((directory / "texts.json").read_text(encoding="utf-8"))
    asked = arrays.pop("queries")[:queries]
    return Corpus(**arrays, queries=np.array(asked), **{**texts, "query_texts": texts["query_texts"][:queries]})


_ARRAYS = ("frames", "speech", "titles", "video_of", "first_of", "share_of", "queries")


def _write(work: Path, directory: Path, segments: int, dimension: int) -> None:
    random = np.random.default_rng(11)
    rows, queries = material.base(work, segments, 2000, dimension)
    vectors = material.reshaped(rows, dimension)
    words, query_words = _words(len(rows), len(queries))
    frames, speech, titles = (random.permutation(segments) for _ in range(3))
    lengths = random.integers(SHORTEST, LONGEST + 1, size=segments // SHORTEST + 1)
    ends = np.minimum(np.cumsum(lengths), segments)
    first_of = np.concatenate([[0], ends[: int(np.searchsorted(ends, segments)) + 1]])
    videos = len(first_of) - 1
    arrays: dict[str, NDArray[Any]] = {
        "frames": vectors[frames],
        "speech": vectors[speech],
        "titles": vectors[titles[:videos]],
        "video_of": np.repeat(np.arange(videos), np.diff(first_of)),
        "first_of": first_of,
        "share_of": random.integers(SHARES, size=videos),
        "queries": material.reshaped(queries, dimension),
    }
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array)
    texts = {
        "speech_texts": [words[row % len(words)] for row in speech],
        "title_texts": [words[row % len(words)] for row in titles[:videos]],
        "query_texts": query_words,
    }
    (directory / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def _words(rows: int, queries: int) -> tuple[list[str], list[str]]:
    if material.has_data():
        return material.texts("texts"), material.texts("query_texts")
    random = np.random.default_rng(13)
    draw = (5000 * random.random((rows + queries, 8)) ** 3).astype(int)
    made = [" ".join(f"word{number}" for number in line) for line in draw]
    return made[:rows], made[rows:]
