"""Chroma: its embedded form, HNSW over float32."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.peers.protocol import CONSTRUCTION, Engine, Index, K, M, Rows, Vectors

BATCH = 5000


class Chroma(Engine):
    """One collection."""

    def __init__(self) -> None:
        super().__init__("chroma", module="chromadb", packages=("chromadb",), sweep=(30, 100, 300))

    def build(self, vectors: Vectors, directory: Path) -> None:
        """Added in batches."""
        client = importlib.import_module("chromadb").PersistentClient(str(directory))
        setting: Any = {"hnsw": {"space": "ip", "max_neighbors": M, "ef_construction": CONSTRUCTION}}
        collection = client.create_collection("rows", configuration=setting, embedding_function=None)
        for start in range(0, len(vectors), BATCH):
            rows = vectors[start : start + BATCH]
            collection.add(ids=[str(row) for row in range(start, start + len(rows))], embeddings=rows)

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """As it opens by default."""
        return _Index(directory)


class _Index(Index):
    """An open collection keeps its search width, so another width opens it anew."""

    def __init__(self, directory: Path) -> None:
        self._chromadb: Any = importlib.import_module("chromadb")
        self._directory = directory
        self._width = 0
        self._collection: Any = None

    def search(self, query: Vectors, parameter: int) -> Rows:
        return self.search_many(query[None, :], parameter)[0]

    def search_many(self, queries: Vectors, parameter: int) -> Sequence[Rows]:
        if parameter != self._width:
            self._open(parameter)
        found = self._collection.query(query_embeddings=queries, n_results=K, include=[])
        return [[int(row) for row in rows] for rows in found["ids"]]

    def _open(self, width: int) -> None:
        self._connect().modify(configuration={"hnsw": {"ef_search": width}})
        self._collection = self._connect()
        self._width = width

    def _connect(self) -> Any:
        self._chromadb.api.client.SharedSystemClient.clear_system_cache()
        client = self._chromadb.PersistentClient(str(self._directory))
        return client.get_collection("rows", embedding_function=None)


ENGINES = (Chroma(),)
