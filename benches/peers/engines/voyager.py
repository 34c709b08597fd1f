"""Voyager: Spotify's HNSW over float32."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.protocol import CONSTRUCTION, CORES, Engine, Index, K, M, Rows, Vectors


class Voyager(Engine):
    """One graph."""

    def __init__(self) -> None:
        super().__init__("voyager", module="voyager", packages=("voyager",))

    def build(self, vectors: Vectors, directory: Path) -> None:
        """In memory, then saved."""
        voyager: Any = importlib.import_module("voyager")
        space, dimension = voyager.Space.InnerProduct, vectors.shape[1]
        index = voyager.Index(space, dimension, M, CONSTRUCTION, max_elements=len(vectors))
        index.add_items(vectors, num_threads=CORES)
        index.save(str(directory / "index"))

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Read into memory."""
        return _Index(importlib.import_module("voyager").Index.load(str(directory / "index")))


class _Index(Index):
    def __init__(self, index: Any) -> None:
        self._index = index

    def search(self, query: Vectors, parameter: int) -> Rows:
        rows: NDArray[np.uint64] = self._index.query(query, K, query_ef=parameter)[0]
        return rows

    def search_many(self, queries: Vectors, parameter: int) -> NDArray[np.uint64]:
        rows: NDArray[np.uint64] = self._index.query(queries, K, num_threads=CORES, query_ef=parameter)[0]
        return rows


ENGINES = (Voyager(),)
