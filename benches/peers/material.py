"""Rows, queries and true neighbours, made once in a directory that the measuring processes read.

384 dimensions are the real embeddings of `../shared/data` (or `$PIXR_BENCH_DATA`); past their 200,000 rows,
`more_vectors.py` beside them makes the rest. Fewer dimensions are a random projection of these. More are the rows
followed by as many random features, `tanh` of random projections (mean and spread as the rows' own): neighbours stay
neighbours, and no linear map takes the dimensions back. Where there is no data, clustered noise; the report says so.

All rows are of unit length and rounded to float16, so every engine gets the same numbers.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.machine import ROOT
from benches.peers.protocol import K, Vectors

DATA = Path(os.environ.get("PIXR_BENCH_DATA", ROOT.parent / "shared" / "data"))
BLOCK = 20_000


@dataclass(frozen=True)
class Material:
    """What is measured on; rows and queries are float32 of shape (count, dimension)."""

    directory: Path
    source: str

    def vectors(self) -> Vectors:
        """All rows, mapped."""
        return np.load(self.directory / "vectors.npy", mmap_mode="r")  # type: ignore[no-any-return]

    def queries(self) -> Vectors:
        """All queries, in memory."""
        return np.load(self.directory / "queries.npy")  # type: ignore[no-any-return]

    def truth(self) -> NDArray[np.int64]:
        """The `K` best rows of each query, in no order."""
        return np.load(self.directory / "truth.npy")  # type: ignore[no-any-return]


def prepare(work: Path, count: int, dimension: int, query_count: int) -> Material:
    """Make the material, unless `work` holds it already."""
    directory = work / f"{count}x{dimension}x{query_count}{kind()}"
    source = "all-MiniLM-L6-v2 embeddings" if has_data() else "clustered noise, for there is no data"
    if has_data() and dimension != 384:
        source += ", projected" if dimension < 384 else " and random features of them"
    material = Material(directory, source)
    if not (directory / "truth.npy").is_file():
        directory.mkdir(parents=True, exist_ok=True)
        rows, queries = base(work, count, query_count, dimension)
        vectors = np.lib.format.open_memmap(directory / "vectors.npy", "w+", np.float32, (count, dimension))
        for start in range(0, count, BLOCK):
            vectors[start : start + BLOCK] = reshaped(rows[start : start + BLOCK], dimension)
        vectors.flush()
        asked = reshaped(queries, dimension)
        np.save(directory / "queries.npy", asked)
        np.save(directory / "truth.npy", _truth(vectors, asked))
    return material


def has_data() -> bool:
    """Whether there are real vectors."""
    return (DATA / "vectors.f16.npy").is_file()


def kind() -> str:
    """What the names of directories end with, so that noise is never taken for real rows that are there by now."""
    return "" if has_data() else "-noise"


def base(work: Path, count: int, query_count: int, dimension: int = 384) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows and queries before their dimension is changed: of 384, or of noise of `dimension`."""
    if not has_data():
        random = np.random.default_rng(7)
        centres = random.normal(size=(200, dimension))
        draw = [
            centres[random.integers(200, size=n)] + random.normal(size=(n, dimension)) for n in (count, query_count)
        ]
        return draw[0], draw[1]
    vectors: NDArray[np.float16] = np.load(DATA / "vectors.f16.npy", mmap_mode="r")
    queries: NDArray[np.float16] = np.load(DATA / "queries.f16.npy")
    if count > len(vectors):
        vectors = np.concatenate([vectors, _made(work, count - len(vectors))])
    return vectors[:count], queries[:query_count]


def texts(name: str) -> list[str]:
    """The lines of `texts.txt.gz` or `query_texts.txt.gz`, one a real row."""
    with gzip.open(DATA / f"{name}.txt.gz", "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def reshaped(rows: NDArray[Any], dimension: int) -> Vectors:
    """Base rows in `dimension` dimensions, of unit length."""
    return unit(_widening(dimension)(rows))


def unit(vectors: NDArray[Any]) -> Vectors:
    """Rows of unit length, of values that float16 holds."""
    rows = np.asarray(vectors, np.float32)
    scaled: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return scaled


def _made(work: Path, count: int) -> NDArray[np.float16]:
    path = work / f"more-{count}.f16.npy"
    if not path.is_file():
        unfinished = path.with_suffix(".part.npy")
        command = [sys.executable, str(DATA / "more_vectors.py"), str(count), str(unfinished)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        unfinished.rename(path)
    made: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return made


def _widening(dimension: int) -> Any:
    """What takes base rows to `dimension`."""
    if not has_data() or dimension == 384:
        return lambda rows: rows
    random = np.random.default_rng(dimension)
    if dimension < 384:
        projection = random.normal(size=(384, dimension)).astype(np.float32)
        return lambda rows: rows.astype(np.float32) @ projection
    features = random.normal(size=(384, dimension - 384)).astype(np.float32)

    def widen(rows: NDArray[Any]) -> Vectors:
        own = rows.astype(np.float32)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        made: Vectors = np.concatenate([own, np.tanh(2 * (own @ features)) / np.float32(384**0.5)], axis=1)
        return made

    return widen


def _truth(vectors: Vectors, queries: Vectors) -> NDArray[np.int64]:
    """By brute force over float32."""
    best = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), BLOCK):
        scores = np.concatenate([best, queries @ vectors[start : start + BLOCK].T], axis=1)
        here = np.broadcast_to(
            np.arange(start, start + scores.shape[1] - best.shape[1]), (len(queries), scores.shape[1] - best.shape[1])
        )
        candidates = np.concatenate([rows, here], axis=1)
        top = np.argpartition(-scores, K - 1, axis=1)[:, :K]
        best, rows = np.take_along_axis(scores, top, 1), np.take_along_axis(candidates, top, 1)
    return rows
