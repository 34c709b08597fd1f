"""usearch: HNSW over bfloat16 or 8-bit integers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.protocol import CONSTRUCTION, CORES, Engine, Index, K, M, Rows, Vectors


class Usearch(Engine):
    """One graph over vectors of one scalar type."""

    def __init__(self, scalar: str) -> None:
        super().__init__(f"usearch-{scalar}", module="usearch.index", packages=("usearch",))
        self._scalar = scalar

    def build(self, vectors: Vectors, directory: Path) -> None:
        """In memory, then saved."""
        index = importlib.import_module("usearch.index").Index(
            ndim=vectors.shape[1],
            metric="cos" if self._scalar == "i8" else "ip",  # its 8-bit inner product is not of unit vectors
            dtype=self._scalar,
            connectivity=M,
            expansion_add=CONSTRUCTION,
        )
        index.add(np.arange(len(vectors)), vectors, threads=CORES)
        index.save(str(directory / "index"))

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Mapped, which it calls a view."""
        return _Index(importlib.import_module("usearch.index").Index.restore(str(directory / "index"), view=True))


class _Index(Index):
    def __init__(self, index: Any) -> None:
        self._index = index

    def search(self, query: Vectors, parameter: int) -> Rows:
        self._index.expansion_search = parameter
        rows: NDArray[np.uint64] = self._index.search(query, K, threads=1).keys
        return rows

    def search_many(self, queries: Vectors, parameter: int) -> NDArray[np.uint64]:
        self._index.expansion_search = parameter
        rows: NDArray[np.uint64] = self._index.search(queries, K, threads=CORES).keys
        return rows


ENGINES = (Usearch("bf16"), Usearch("i8"))
