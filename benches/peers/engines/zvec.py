"""zvec: Alibaba's embedded collection, HNSW over float32 or 8-bit integers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from benches.peers.protocol import CONSTRUCTION, Engine, Index, K, M, Rows, Vectors

BATCH = 1000


class Zvec(Engine):
    """One collection with one graph."""

    def __init__(self, name: str, quantised: str) -> None:
        super().__init__(name, module="zvec", packages=("zvec",))
        self._quantised = quantised

    def build(self, vectors: Vectors, directory: Path) -> None:
        """Inserted in batches, then optimised, which makes the graph. Its `m` counts links of the lowest layer."""
        zvec: Any = importlib.import_module("zvec")
        index = zvec.HnswIndexParam(
            metric_type=zvec.MetricType.IP,
            m=2 * M,
            ef_construction=CONSTRUCTION,
            quantize_type=getattr(zvec.QuantizeType, self._quantised),
            use_contiguous_memory=True,
        )
        field = zvec.VectorSchema("vector", zvec.DataType.VECTOR_FP32, vectors.shape[1], index_param=index)
        collection = zvec.create_and_open(str(directory / "rows"), zvec.CollectionSchema("rows", vectors=[field]))
        for start in range(0, len(vectors), BATCH):
            rows = range(start, min(start + BATCH, len(vectors)))
            collection.insert([zvec.Doc(id=str(row), vectors={"vector": vectors[row].tolist()}) for row in rows])
        collection.optimize()
        collection.flush()

    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """As it opens by default."""
        zvec: Any = importlib.import_module("zvec")
        return _Index(zvec, zvec.open(str(directory / "rows")), refined=self._quantised != "UNDEFINED")


class _Index(Index):
    def __init__(self, zvec: Any, collection: Any, *, refined: bool) -> None:
        self._zvec = zvec
        self._collection = collection
        self._refined = refined

    def search(self, query: Vectors, parameter: int) -> Rows:
        width = self._zvec.HnswQueryParam(ef=parameter, is_using_refiner=self._refined)
        asked = self._zvec.Query(field_name="vector", vector=query, param=width)
        return [int(found.id) for found in self._collection.query(asked, topk=K, output_fields=[])]


ENGINES = (Zvec("zvec", "UNDEFINED"), Zvec("zvec-i8", "INT8"))
