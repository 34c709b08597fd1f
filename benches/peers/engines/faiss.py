"""faiss: graphs, lists of codes, and the exact scan, by its own factory strings."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.protocol import CONSTRUCTION, CORES, WIDTHS, Engine, Index, K, M, Rows, Vectors

PROBES = (4, 8, 16, 32, 64, 128, 256)
QUERY_BITS = 4
"""Of a query that is compared with RaBitQ codes: as exact after re-scoring as 8 bits or floats, and the quickest."""


class Faiss(Engine):
    """One index. Trained and filled on all cores, saved, and read into memory again."""

    def __init__(self, name: str, factory: Callable[[int, int], str], sweep: Sequence[int], refine: int = 0) -> None:
        super().__init__(name, module="faiss", packages=("faiss-cpu",), sweep=sweep)
        self._factory = factory
        self._refine = refine

    def build(self, vectors: Vectors, directory: Path) -> None:
        """By the factory."""
        faiss: Any = importlib.import_module("faiss")
        faiss.omp_set_num_threads(CORES)
        factory = self._factory(*vectors.shape)
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = CONSTRUCTION
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, str(directory / "index"))

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """One thread until a batch is asked for."""
        faiss: Any = importlib.import_module("faiss")
        index = faiss.read_index(str(directory / "index"))
        inner = index
        if self._refine:
            index.k_factor = self._refine
            inner = faiss.downcast_index(index.base_index)
            if hasattr(inner, "qb"):
                inner.qb = QUERY_BITS
        return _Index(faiss, index, inner)


class _Index(Index):
    def __init__(self, faiss: Any, index: Any, inner: Any) -> None:
        self._faiss = faiss
        self._index = index
        self._inner = inner
        self._threads = 0

    def search(self, query: Vectors, parameter: int) -> Rows:
        rows: NDArray[np.int64] = self._ask(query[None, :], parameter, 1)[0]
        return rows

    def search_many(self, queries: Vectors, parameter: int) -> NDArray[np.int64]:
        return self._ask(queries, parameter, CORES)

    def _ask(self, queries: Vectors, parameter: int, threads: int) -> NDArray[np.int64]:
        if threads != self._threads:
            self._faiss.omp_set_num_threads(threads)
            self._threads = threads
        if hasattr(self._inner, "hnsw"):
            self._inner.hnsw.efSearch = parameter
        elif hasattr(self._inner, "nprobe"):
            self._inner.nprobe = parameter
        rows: NDArray[np.int64] = self._index.search(queries, K)[1]
        return rows


def _lists(rows: int) -> int:
    """How many lists faiss's guidelines advise for up to a million rows: 4 √n."""
    return int(4 * np.sqrt(rows))


ENGINES = (
    Faiss("faiss-hnsw", lambda rows, dimension: f"HNSW{M},Flat", WIDTHS),
    Faiss("faiss-hnsw-sq8", lambda rows, dimension: f"HNSW{M}_SQ8", WIDTHS),
    Faiss("faiss-ivf-pq", lambda rows, dimension: f"IVF{_lists(rows)},PQ{dimension // 2}x4fs,RFlat", PROBES, refine=10),
    Faiss("faiss-ivf-rabitq", lambda rows, dimension: f"IVF{_lists(rows)},RaBitQ,Refine(SQ8)", PROBES, refine=20),
    Faiss("faiss-flat", lambda rows, dimension: "Flat", (0,)),
)
