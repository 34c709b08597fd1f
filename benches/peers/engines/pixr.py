"""Pixr: a vector column alone, and a whole library through its public interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

import pixr
from benches.peers.protocol import WIDTHS, Engine, Index, K, Rows, Vectors
from pixr import _engine

ROWS_A_CALL = 50_000


class PixrColumn(Engine):
    """The vectors of one part of a library: what a vector search library does, and no more."""

    def __init__(self, name: str, sweep: Sequence[int], *, exact: bool) -> None:
        super().__init__(name, module="pixr", packages=(), sweep=sweep)
        self.index = "pixr"
        self._exact = exact

    def build(self, vectors: Vectors, directory: Path) -> None:
        """Codes, graph and float16 vectors in one file."""
        _engine.VectorColumn.build(vectors.astype("<f2").tobytes(), vectors.shape[1], directory)

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Mapped."""
        return _Column(_engine.VectorColumn.open(directory), exact=self._exact)


class _Column(Index):
    def __init__(self, column: _engine.VectorColumn, *, exact: bool) -> None:
        self._column = column
        self._exact = exact

    def search(self, query: Vectors, parameter: int) -> Rows:
        found, _ = self._column.search(query.tobytes(), K, None if self._exact else parameter)
        return np.frombuffer(found, "<u4")


class PixrLibrary(Engine):
    """`Library.search`: hits with moments, matches and scores, each row a video of its own."""

    def __init__(self, name: str, sweep: Sequence[int]) -> None:
        super().__init__(name, module="pixr", packages=(), sweep=sweep)

    def build(self, vectors: Vectors, directory: Path) -> None:
        """One part."""
        with pixr.open(directory / "rows.pixr") as library:
            for start in range(0, len(vectors), ROWS_A_CALL):
                rows = vectors[start : start + ROWS_A_CALL]
                column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
                ids = [str(row) for row in range(start, start + len(rows))]
                times = [pa.array(np.full(len(rows), seconds)) for seconds in (0.0, 1.0)]
                library.add_segments(
                    pa.record_batch({"video_id": ids, "start": times[0], "end": times[1], "frame": column})
                )
            library.commit()

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """For reading."""
        return _Library(pixr.open(directory / "rows.pixr", read_only=True))


class _Library(Index):
    def __init__(self, library: pixr.Library) -> None:
        self._library = library

    def search(self, query: Vectors, parameter: int) -> Rows:
        hits = self._library.search(vectors={"frame": query}, limit=K, effort=parameter, moments=1, min_score=0.0)
        return [int(hit.video.id) for hit in hits]


ENGINES = (
    PixrColumn("pixr", WIDTHS, exact=False),
    PixrColumn("pixr-exact", (0,), exact=True),
    PixrLibrary("pixr-library", (10, 20, 45, 100, 220, 500)),
)
