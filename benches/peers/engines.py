"""The engines: each builds an index on all cores, and searches on one thread.

A builder takes unit float32 rows and returns a search, of a query and a search parameter to row numbers, with the
values of the parameter to sweep. Graphs are built at M 16 and efConstruction 200, which their authors recommend.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers import databases

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
K = 10
M, CONSTRUCTION = 16, 200
WIDTHS = (10, 20, 30, 45, 70, 100, 150, 220, 320, 500)

Vectors = NDArray[np.float32]
Search = Callable[[Vectors, int], Any]
Builder = Callable[[Vectors], tuple[Search, Sequence[int]]]


def pixr(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """The graph of a part, scored exactly."""
    column = _column(vectors)
    return (
        lambda query, effort: np.frombuffer(column.search(query.tobytes(), K, effort)[0], "<u4"),
        WIDTHS,
    )


def pixr_exact(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """The codes of a part, read in full."""
    column = _column(vectors)
    return (lambda query, _: np.frombuffer(column.search(query.tobytes(), K)[0], "<u4")), (0,)


def _column(vectors: Vectors) -> Any:
    from pixr import _engine

    return _engine.VectorColumn.build(vectors.astype("<f2").tobytes(), vectors.shape[1])


def hnswlib(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """The peer that all graphs are compared with."""
    library = _library("hnswlib")

    index = library.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=M, ef_construction=CONSTRUCTION)
    index.set_num_threads(CORES)
    index.add_items(vectors)
    index.set_num_threads(1)

    def search(query: Vectors, width: int) -> Any:
        index.set_ef(width)
        return index.knn_query(query, k=K)[0][0]

    return search, WIDTHS


def faiss_hnsw(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """Plain HNSW."""
    return _faiss_hnsw(vectors, "HNSW16,Flat")


def faiss_hnsw_sq8(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over 8-bit scalars."""
    return _faiss_hnsw(vectors, "HNSW16_SQ8")


def _faiss_hnsw(vectors: Vectors, factory: str) -> tuple[Search, Sequence[int]]:
    faiss = _library("faiss")

    faiss.omp_set_num_threads(CORES)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = CONSTRUCTION
    index.train(vectors)
    index.add(vectors)
    faiss.omp_set_num_threads(1)

    def search(query: Vectors, width: int) -> Any:
        index.hnsw.efSearch = width
        return index.search(query[None, :], K)[1][0]

    return search, WIDTHS


def faiss_ivf_pq(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """Lists of 4-bit product codes, re-scored."""
    faiss = _library("faiss")

    lists = int(4 * np.sqrt(len(vectors)))
    faiss.omp_set_num_threads(CORES)
    index = faiss.index_factory(
        vectors.shape[1], f"IVF{lists},PQ{vectors.shape[1] // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    index.add(vectors)
    faiss.omp_set_num_threads(1)
    index.k_factor = 10
    inner = faiss.downcast_index(index.base_index)

    def search(query: Vectors, probes: int) -> Any:
        inner.nprobe = probes
        return index.search(query[None, :], K)[1][0]

    return search, (4, 8, 16, 32, 64, 128, 256)


def faiss_flat(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """Exact, over float32."""
    faiss = _library("faiss")

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.omp_set_num_threads(1)
    return (lambda query, _: index.search(query[None, :], K)[1][0]), (0,)


def usearch_bf16(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over bfloat16."""
    return _usearch(vectors, "bf16")


def usearch_i8(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over 8-bit integers."""
    return _usearch(vectors, "i8")


def _usearch(vectors: Vectors, scalar: str) -> tuple[Search, Sequence[int]]:
    index = _library("usearch.index").Index(
        ndim=vectors.shape[1], metric="ip" if scalar != "i8" else "cos", dtype=scalar, connectivity=M,
        expansion_add=CONSTRUCTION,
    )  # fmt: skip
    index.add(np.arange(len(vectors)), vectors, threads=CORES)

    def search(query: Vectors, width: int) -> Any:
        index.expansion_search = width
        return index.search(query, K, threads=1).keys

    return search, WIDTHS


def _library(name: str) -> Any:
    """A peer, untyped: so that types are checked alike with and without it."""
    return importlib.import_module(name)


def voyager(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over float32."""
    library = _library("voyager")

    index = library.Index(
        library.Space.InnerProduct, vectors.shape[1], M, CONSTRUCTION, max_elements=len(vectors)
    )  # fmt: skip
    index.add_items(vectors, num_threads=CORES)
    return (lambda query, width: index.query(query, K, query_ef=width)[0]), WIDTHS


BUILDERS: dict[str, Builder] = {
    "pixr": pixr,
    "hnswlib": hnswlib,
    "faiss-hnsw": faiss_hnsw,
    "faiss-hnsw-sq8": faiss_hnsw_sq8,
    "faiss-ivf-pq": faiss_ivf_pq,
    "usearch-bf16": usearch_bf16,
    "usearch-i8": usearch_i8,
    "voyager": voyager,
    "zvec": databases.zvec,
    "zvec-i8": databases.zvec_i8,
    "lancedb": databases.lancedb,
    "milvus-lite": databases.milvus_lite,
    "chroma": databases.chroma,
    "pixr-exact": pixr_exact,
    "faiss-flat": faiss_flat,
}
# Left out of a quick run.
SLOW = ("voyager", "zvec", "zvec-i8", "lancedb", "milvus-lite", "chroma")
