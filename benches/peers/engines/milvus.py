"""Milvus Lite: the embedded form of Milvus."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.peers.protocol import CONSTRUCTION, Engine, Index, K, M, Rows, Vectors

BATCH = 2000


class MilvusLite(Engine):
    """One collection, asked for an HNSW index."""

    def __init__(self) -> None:
        super().__init__("milvus-lite", module="pymilvus", packages=("milvus-lite", "pymilvus"), sweep=(30, 100, 300))

    def build(self, vectors: Vectors, directory: Path) -> None:
        """Inserted in batches, then indexed."""
        pymilvus: Any = importlib.import_module("pymilvus")
        client = pymilvus.MilvusClient(str(directory / "rows.db"))
        schema = client.create_schema()
        schema.add_field("row", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        client.create_collection("rows", schema=schema)
        for start in range(0, len(vectors), BATCH):
            rows = range(start, min(start + BATCH, len(vectors)))
            client.insert("rows", [{"row": row, "vector": vectors[row]} for row in rows])
        index = client.prepare_index_params()
        parameters = {"M": M, "efConstruction": CONSTRUCTION}
        index.add_index("vector", index_type="HNSW", metric_type="IP", params=parameters)
        client.create_index("rows", index)
        client.load_collection("rows")
        client.close()

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Loaded."""
        client = importlib.import_module("pymilvus").MilvusClient(str(directory / "rows.db"))
        client.load_collection("rows")
        return _Index(client)


class _Index(Index):
    def __init__(self, client: Any) -> None:
        self._client = client

    def search(self, query: Vectors, parameter: int) -> Rows:
        return self.search_many(query[None, :], parameter)[0]

    def search_many(self, queries: Vectors, parameter: int) -> Sequence[Rows]:
        width = {"params": {"ef": parameter}}
        found = self._client.search("rows", queries.tolist(), limit=K, search_params=width)
        return [[hit["row"] for hit in hits] for hits in found]


ENGINES = (MilvusLite(),)
