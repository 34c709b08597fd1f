"""The engines that faults are tried on, each through its own Python interface, told to make every row lasting.

A `Store` is opened on a directory, takes rows one by one (an id, a vector, a word), and answers three questions. `add`
returns when the engine has said, as clearly as it can, that the row is stored.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
DIMENSION = 16


def vector(row: int) -> Vector:
    """The vector of a row: the same in every process."""
    values = np.random.default_rng(row).normal(size=DIMENSION).astype(np.float32)
    unit: Vector = values / np.linalg.norm(values)
    return unit


def word(row: int) -> str:
    """The word of a row, which it shares with every seventh."""
    return f"word{row % 7}"


class Store(Protocol):
    """An engine with an open directory."""

    def add(self, row: int) -> None:
        """Store a row, lastingly."""

    def rows(self) -> set[int]:
        """All rows that are there."""

    def answer(self) -> list[list[int]]:
        """What fixed questions give, best first."""

    def close(self) -> None:
        """Give the directory up as the engine would have it."""


QUERIES = (1000, 1001, 1002)


class Pixr:
    """Vectors and words."""

    def __init__(self, directory: Path) -> None:
        library: Any = importlib.import_module("pixr")
        self._pa: Any = importlib.import_module("pyarrow")
        self._library = library.open(directory / "rows.pixr")

    def add(self, row: int) -> None:
        pa = self._pa
        batch = pa.record_batch(
            {
                "video_id": [str(row)],
                "start": [0.0],
                "end": [1.0],
                "frame": pa.FixedSizeListArray.from_arrays(pa.array(vector(row)), DIMENSION),
                "speech": [word(row)],
            }
        )
        self._library.add_segments(batch)

    def rows(self) -> set[int]:
        return {int(video.id) for video in self._library.videos()}

    def answer(self) -> list[list[int]]:
        asked = [self._library.search(vectors={"frame": vector(query)}, limit=10, min_score=0.0) for query in QUERIES]
        asked.append(self._library.search("word3", modes=["audio"], limit=100, min_score=0.0))
        return [[int(hit.video.id) for hit in hits] for hits in asked]

    def close(self) -> None:
        self._library.close()


class Tantivy:
    """Words alone; a commit for each row."""

    def __init__(self, directory: Path) -> None:
        library: Any = importlib.import_module("tantivy")
        builder = library.SchemaBuilder()
        builder.add_integer_field("row", stored=True, indexed=True)
        builder.add_text_field("word", stored=True)
        place = directory / "index"
        place.mkdir(exist_ok=True)
        self._tantivy = library
        self._index = library.Index(builder.build(), path=str(place))
        self._writer: Any = None

    def add(self, row: int) -> None:
        if self._writer is None:
            self._writer = self._index.writer(heap_size=15_000_000, num_threads=1)
        document = self._tantivy.Document()
        document.add_integer("row", row)
        document.add_text("word", word(row))
        self._writer.add_document(document)
        self._writer.commit()

    def _found(self, text: str) -> list[int]:
        self._index.reload()
        searcher = self._index.searcher()
        found = searcher.search(self._index.parse_query(text, ["word"]), 10_000).hits
        return [searcher.doc(address)["row"][0] for _, address in found]

    def rows(self) -> set[int]:
        return set(self._found("*"))

    def answer(self) -> list[list[int]]:
        return [self._found("word3"), self._found("word5"), sorted(self._found("*"))]

    def close(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()


class LanceDB:
    """Vectors; every `add` is a version of the table."""

    def __init__(self, directory: Path) -> None:
        library: Any = importlib.import_module("lancedb")
        pa: Any = importlib.import_module("pyarrow")
        schema = pa.schema([("row", pa.int64()), ("word", pa.string()), ("vector", pa.list_(pa.float32(), DIMENSION))])
        self._table = library.connect(directory).create_table("rows", schema=schema, exist_ok=True)

    def add(self, row: int) -> None:
        self._table.add([{"row": row, "word": word(row), "vector": vector(row)}])

    def rows(self) -> set[int]:
        return set(self._table.to_arrow()["row"].to_pylist())

    def answer(self) -> list[list[int]]:
        near = [self._table.search(vector(query)).limit(10).to_arrow()["row"].to_pylist() for query in QUERIES]
        words = self._table.search().where("word = 'word3'").limit(100).to_arrow()["row"].to_pylist()
        return [*near, sorted(words)]

    def close(self) -> None:
        pass


class USearch:
    """Vectors in memory; each row is followed by `save`, which writes the whole file anew."""

    def __init__(self, directory: Path) -> None:
        library: Any = importlib.import_module("usearch.index")
        self._place = str(directory / "rows.usearch")
        self._index = library.Index(ndim=DIMENSION, metric="ip", dtype="f32")
        if Path(self._place).exists():
            self._index.load(self._place)

    def add(self, row: int) -> None:
        self._index.add(row, vector(row))
        self._index.save(self._place)

    def rows(self) -> set[int]:
        return {int(key) for key in np.asarray(self._index.keys)}

    def answer(self) -> list[list[int]]:
        return [[int(key) for key in self._index.search(vector(query), 10).keys] for query in QUERIES]

    def close(self) -> None:
        pass


class Chroma:
    """Vectors, with SQLite beneath."""

    def __init__(self, directory: Path) -> None:
        library: Any = importlib.import_module("chromadb")
        settings = library.config.Settings(anonymized_telemetry=False)
        client = library.PersistentClient(str(directory / "chroma"), settings=settings)
        setting: Any = {"hnsw": {"space": "ip"}}
        self._collection = client.get_or_create_collection("rows", configuration=setting, embedding_function=None)

    def add(self, row: int) -> None:
        self._collection.add(ids=[str(row)], embeddings=[vector(row)], metadatas=[{"word": word(row)}])

    def rows(self) -> set[int]:
        return {int(row) for row in self._collection.get(include=[])["ids"]}

    def answer(self) -> list[list[int]]:
        near = [
            [int(row) for row in self._collection.query([vector(query)], n_results=10, include=[])["ids"][0]]
            for query in QUERIES
        ]
        words = self._collection.get(where={"word": "word3"}, include=[])["ids"]
        return [*near, sorted(int(row) for row in words)]

    def close(self) -> None:
        pass


ENGINES: dict[str, Callable[[Path], Store]] = {
    "pixr": Pixr,
    "tantivy": Tantivy,
    "lancedb": LanceDB,
    "usearch": USearch,
    "chroma": Chroma,
}


def dump(rows: set[int], answer: list[list[int]]) -> str:
    """What a store gave, to compare across processes."""
    return json.dumps([sorted(rows), answer])
