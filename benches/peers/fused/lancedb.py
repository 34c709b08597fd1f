"""LanceDB: hybrid search over sentences, hybrid search over titles, a vector search over frames; fused by ranks."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benches.peers.fused.corpus import Corpus
from benches.peers.fused.protocol import DEPTH, PLACES, Question, Ranks, Searcher, System
from benches.peers.protocol import CONSTRUCTION, M, Vectors

# Else it writes a warning for each search that selects columns; read when it is imported.
os.environ.setdefault("LANCEDB_LOG", "error")


class LanceDb(System):
    """A table of segments and one of videos. LanceDB fuses vectors and words by ranks, Python the three searches."""

    def __init__(self) -> None:
        super().__init__("lancedb", module="lancedb", packages=("lancedb",), efforts=(100, 400))

    def build(self, corpus: Corpus, directory: Path) -> None:
        """HNSW over 8-bit scalars for vectors, its own index for words, a bitmap for the filter."""
        connection = importlib.import_module("lancedb").connect(directory)
        segments = {
            "video": pa.array(corpus.video_of),
            "share": pa.array(corpus.share_of[corpus.video_of]),
            "frame": _column(corpus.frames),
            "speech": _column(corpus.speech),
            "text": pa.array(corpus.speech_texts),
        }
        videos = {
            "video": pa.array(np.arange(corpus.video_count)),
            "share": pa.array(corpus.share_of),
            "title": _column(corpus.titles),
            "text": pa.array(corpus.title_texts),
        }
        for name, columns, vectors in (("segments", segments, ("frame", "speech")), ("videos", videos, ("title",))):
            table = connection.create_table(name, pa.table(columns))
            for vector in vectors:
                table.create_index(
                    metric="dot",
                    vector_column_name=vector,
                    index_type="IVF_HNSW_SQ",
                    m=M,
                    ef_construction=CONSTRUCTION,
                )
            table.create_fts_index("text")
            table.create_scalar_index("share", index_type="BITMAP")

    def open(self, corpus: Corpus, directory: Path) -> Searcher:
        """As it opens by default."""
        lancedb: Any = importlib.import_module("lancedb")
        connection = lancedb.connect(directory)
        reranker = importlib.import_module("lancedb.rerankers").RRFReranker()
        return _Searcher(connection.open_table("segments"), connection.open_table("videos"), reranker)


class _Searcher(Searcher):
    def __init__(self, segments: Any, videos: Any, reranker: Any) -> None:
        self._segments = segments
        self._videos = videos
        self._reranker = reranker

    def search(self, question: Question, effort: int) -> list[int]:
        ranks: Ranks[int] = Ranks()
        for table, column, with_words in (
            (self._segments, "speech", True),
            (self._videos, "title", True),
            (self._segments, "frame", False),
        ):
            if with_words:
                asked = table.search(query_type="hybrid", vector_column_name=column)
                asked = asked.vector(question.vector).text(question.text).rerank(self._reranker)
            else:
                asked = table.search(question.vector, vector_column_name=column)
            if question.share < 100:
                asked = asked.where(f"share < {question.share}", prefilter=True)
            asked = asked.distance_type("dot").ef(effort).limit(DEPTH)
            columns = ["video"] if with_words else ["video", "_distance"]
            ranks.add(asked.select(columns).to_arrow()["video"].to_pylist())
        return ranks.best(PLACES)


def _column(vectors: Vectors) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(vectors).reshape(-1)), vectors.shape[1])
