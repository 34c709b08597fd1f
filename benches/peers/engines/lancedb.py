"""LanceDB: a table on disk with HNSW over 8-bit scalars, re-scored."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benches.peers.protocol import CONSTRUCTION, Engine, Index, K, M, Rows, Vectors


class LanceDb(Engine):
    """One table with one index."""

    def __init__(self) -> None:
        super().__init__("lancedb", module="lancedb", packages=("lancedb",), sweep=(20, 45, 100, 220, 500))

    def build(self, vectors: Vectors, directory: Path) -> None:
        """One Arrow table, then the index."""
        lancedb: Any = importlib.import_module("lancedb")
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        rows = pa.table({"row": pa.array(np.arange(len(vectors))), "vector": column})
        table = lancedb.connect(directory).create_table("rows", rows)
        table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=M, ef_construction=CONSTRUCTION)

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """As it opens by default."""
        return _Index(importlib.import_module("lancedb").connect(directory).open_table("rows"))


class _Index(Index):
    def __init__(self, table: Any) -> None:
        self._table = table

    def search(self, query: Vectors, parameter: int) -> Rows:
        rows: list[int] = self._asked(query, parameter).to_arrow()["row"].to_pylist()
        return rows

    def search_many(self, queries: Vectors, parameter: int) -> Sequence[Rows]:
        found = self._asked(queries, parameter).to_arrow()
        rows: list[list[int]] = [[] for _ in queries]
        for query, row in zip(found["query_index"].to_pylist(), found["row"].to_pylist(), strict=True):
            rows[query].append(row)
        return rows

    def _asked(self, vectors: Vectors, width: int) -> Any:
        asked = self._table.search(vectors).metric("dot").select(["row", "_distance"]).limit(K)
        return asked.nprobes(20).ef(width).refine_factor(2)


ENGINES = (LanceDb(),)
