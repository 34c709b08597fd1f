"""The peers that keep their data in a directory: zvec, LanceDB, Milvus Lite and Chroma.

Each is asked through its own Python interface for row numbers alone, as the libraries in `engines` are. The directory
lives as long as the search.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benches.peers.engines import Search, Vectors

K = 10
M, CONSTRUCTION = 16, 200
WIDTHS = (10, 20, 30, 45, 70, 100, 150, 220, 320, 500)
BATCH = 1000


def zvec(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over float32."""
    return _zvec(vectors, "UNDEFINED")


def zvec_i8(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW over 8-bit integers, re-scored."""
    return _zvec(vectors, "INT8")


def _zvec(vectors: Vectors, quantised: str) -> tuple[Search, Sequence[int]]:
    library: Any = importlib.import_module("zvec")

    directory = tempfile.TemporaryDirectory(prefix="peers-zvec-")
    index = library.HnswIndexParam(
        metric_type=library.MetricType.IP,
        m=2 * M,
        ef_construction=CONSTRUCTION,
        quantize_type=getattr(library.QuantizeType, quantised),
        use_contiguous_memory=True,
    )
    field = library.VectorSchema("vector", library.DataType.VECTOR_FP32, vectors.shape[1], index_param=index)
    schema = library.CollectionSchema("rows", vectors=[field])
    collection = library.create_and_open(f"{directory.name}/rows", schema)
    for rows in _batches(len(vectors)):
        collection.insert([library.Doc(id=str(row), vectors={"vector": vectors[row].tolist()}) for row in rows])
    collection.optimize()
    refined = quantised != "UNDEFINED"

    def search(query: Vectors, width: int, _keep: Any = directory) -> Any:
        parameter = library.HnswQueryParam(ef=width, is_using_refiner=refined)
        asked = library.Query(field_name="vector", vector=query, param=parameter)
        return [int(found.id) for found in collection.query(asked, topk=K, output_fields=[])]

    return search, WIDTHS


def lancedb(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """Lists of HNSW graphs over 8-bit scalars, re-scored."""
    library: Any = importlib.import_module("lancedb")
    import pyarrow as pa

    directory = tempfile.TemporaryDirectory(prefix="peers-lancedb-")
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    rows = pa.table({"row": pa.array(np.arange(len(vectors))), "vector": column})
    table = library.connect(directory.name).create_table("rows", rows)
    table.create_index(metric="dot", index_type="IVF_HNSW_SQ", m=M, ef_construction=CONSTRUCTION)

    def search(query: Vectors, width: int, _keep: Any = directory) -> Any:
        asked = table.search(query).metric("dot").select(["row", "_distance"]).limit(K)
        return asked.nprobes(20).ef(width).refine_factor(2).to_arrow()["row"].to_pylist()

    return search, (20, 70, 220, 500)


def milvus_lite(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW in the embedded form of Milvus; one setting, for a query takes a third of a second and more."""
    pymilvus: Any = importlib.import_module("pymilvus")

    directory = tempfile.TemporaryDirectory(prefix="peers-milvus-")
    client = pymilvus.MilvusClient(f"{directory.name}/rows.db")
    schema = client.create_schema()
    schema.add_field("row", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    client.create_collection("rows", schema=schema)
    for rows in _batches(len(vectors)):
        client.insert("rows", [{"row": row, "vector": vectors[row]} for row in rows])
    index = client.prepare_index_params()
    parameters = {"M": M, "efConstruction": CONSTRUCTION}
    index.add_index("vector", index_type="HNSW", metric_type="IP", params=parameters)
    client.create_index("rows", index)
    client.load_collection("rows")

    def search(query: Vectors, width: int, _keep: Any = directory) -> Any:
        found = client.search("rows", [query.tolist()], limit=K, search_params={"params": {"ef": width}})
        return [hit["row"] for hit in found[0]]

    return search, (70,)


def chroma(vectors: Vectors) -> tuple[Search, Sequence[int]]:
    """HNSW in the embedded form of Chroma; one setting, for an open collection keeps its search width."""
    chromadb: Any = importlib.import_module("chromadb")

    directory = tempfile.TemporaryDirectory(prefix="peers-chroma-")
    client = chromadb.PersistentClient(directory.name)
    setting: Any = {"hnsw": {"space": "ip", "max_neighbors": M, "ef_construction": CONSTRUCTION, "ef_search": 100}}
    collection = client.create_collection("rows", configuration=setting, embedding_function=None)
    for rows in _batches(len(vectors)):
        collection.add(ids=[str(row) for row in rows], embeddings=vectors[rows.start : rows.stop])

    def search(query: Vectors, _: int, _keep: Any = directory) -> Any:
        found = collection.query(query_embeddings=query[None, :], n_results=K, include=[])
        return [int(row) for row in found["ids"][0]]

    return search, (100,)


def _batches(count: int) -> Iterator[range]:
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))
