"""hnswlib: HNSW over float32, the peer that graphs are compared with."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.protocol import CONSTRUCTION, CORES, Engine, Index, K, M, Rows, Vectors


class Hnswlib(Engine):
    """One graph."""

    def __init__(self) -> None:
        super().__init__("hnswlib", module="hnswlib", packages=("hnswlib",))

    def build(self, vectors: Vectors, directory: Path) -> None:
        """In memory, then saved."""
        index = importlib.import_module("hnswlib").Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=M, ef_construction=CONSTRUCTION)
        index.add_items(vectors, num_threads=CORES)
        index.save_index(str(directory / "index"))

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Read into memory; it can't be mapped."""
        index = importlib.import_module("hnswlib").Index(space="ip", dim=dimension)
        index.load_index(str(directory / "index"), max_elements=rows)
        return _Index(index)


class _Index(Index):
    def __init__(self, index: Any) -> None:
        self._index = index

    def search(self, query: Vectors, parameter: int) -> Rows:
        self._index.set_ef(parameter)
        rows: NDArray[np.uint64] = self._index.knn_query(query, k=K, num_threads=1)[0][0]
        return rows

    def search_many(self, queries: Vectors, parameter: int) -> NDArray[np.uint64]:
        self._index.set_ef(parameter)
        rows: NDArray[np.uint64] = self._index.knn_query(queries, k=K, num_threads=CORES)[0]
        return rows


ENGINES = (Hnswlib(),)
