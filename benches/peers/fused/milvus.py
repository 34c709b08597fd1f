"""Milvus Lite: hybrid search over frames, sentences and their words, and over titles; grouped by video."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benches.peers.fused.corpus import Corpus
from benches.peers.fused.protocol import DEPTH, PLACES, RANK_OFFSET, Question, Ranks, Searcher, System
from benches.peers.protocol import CONSTRUCTION, M, Vectors

BATCH = 2000
UNASKED = {"grpc.keepalive_time_ms": 2**31 - 1}
"""The server says nothing while it builds an index, minutes of a large collection: the client would give it up."""


class MilvusLite(System):
    """A collection of segments and one of videos. Milvus fuses and groups within each, Python the two."""

    def __init__(self) -> None:
        super().__init__("milvus-lite", module="pymilvus", packages=("milvus-lite", "pymilvus"))

    def build(self, corpus: Corpus, directory: Path) -> None:
        """Inserted in batches, then indexed: HNSW for vectors, an inverted index for words."""
        client = importlib.import_module("pymilvus").MilvusClient(str(directory / "films.db"), grpc_options=UNASKED)
        videos = np.arange(corpus.video_count)
        segments = {"frame": corpus.frames, "speech": corpus.speech}
        _fill(client, "segments", segments, corpus.speech_texts, corpus, corpus.video_of)
        _fill(client, "videos", {"title": corpus.titles}, corpus.title_texts, corpus, videos)
        client.close()

    def open(self, corpus: Corpus, directory: Path) -> Searcher:
        """Loaded."""
        pymilvus: Any = importlib.import_module("pymilvus")
        client = pymilvus.MilvusClient(str(directory / "films.db"), grpc_options=UNASKED)
        for name in ("segments", "videos"):
            client.load_collection(name)
        return _Searcher(pymilvus, client)


class _Searcher(Searcher):
    def __init__(self, pymilvus: Any, client: Any) -> None:
        self._pymilvus = pymilvus
        self._client = client

    def search(self, question: Question, effort: int) -> list[int]:
        ranks: Ranks[int] = Ranks()
        ranks.add(self._hybrid("segments", ("frame", "speech"), question, effort))
        ranks.add(self._hybrid("videos", ("title",), question, effort))
        return ranks.best(PLACES)

    def _hybrid(self, name: str, vectors: Sequence[str], question: Question, effort: int) -> list[int]:
        request = self._pymilvus.AnnSearchRequest
        only = {"expr": f"share < {question.share}"} if question.share < 100 else {}
        width = {"metric_type": "IP", "params": {"ef": effort}}
        asked = [request([question.vector.tolist()], vector, width, limit=DEPTH, **only) for vector in vectors]
        asked.append(request([question.text], "words", {"metric_type": "BM25"}, limit=DEPTH, **only))
        found = self._client.hybrid_search(
            name,
            asked,
            self._pymilvus.RRFRanker(RANK_OFFSET),
            limit=DEPTH,
            group_by_field="video",
            output_fields=["video"],
        )
        return [hit["entity"]["video"] for hit in found[0]]


def _fill(
    client: Any, name: str, vectors: dict[str, Vectors], texts: Sequence[str], corpus: Corpus, video_of: Any
) -> None:
    pymilvus: Any = importlib.import_module("pymilvus")
    kind = pymilvus.DataType
    schema = client.create_schema()
    schema.add_field("row", kind.INT64, is_primary=True)
    schema.add_field("video", kind.INT64)
    schema.add_field("share", kind.INT64)
    schema.add_field("text", kind.VARCHAR, max_length=10_000, enable_analyzer=True)
    schema.add_field("words", kind.SPARSE_FLOAT_VECTOR)
    for vector, column in vectors.items():
        schema.add_field(vector, kind.FLOAT_VECTOR, dim=column.shape[1])
    words = pymilvus.FunctionType.BM25
    schema.add_function(
        pymilvus.Function(name="bm25", input_field_names=["text"], output_field_names=["words"], function_type=words)
    )
    client.create_collection(name, schema=schema)
    for start in range(0, len(texts), BATCH):
        rows = range(start, min(start + BATCH, len(texts)))
        client.insert(
            name,
            [
                {
                    "row": row,
                    "video": int(video_of[row]),
                    "share": int(corpus.share_of[video_of[row]]),
                    "text": texts[row],
                    **{vector: np.array(column[row]) for vector, column in vectors.items()},
                }
                for row in rows
            ],
        )
    index = client.prepare_index_params()
    index.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    for vector in vectors:
        parameters = {"M": M, "efConstruction": CONSTRUCTION}
        index.add_index(vector, index_type="HNSW", metric_type="IP", params=parameters)
    client.create_index(name, index)
