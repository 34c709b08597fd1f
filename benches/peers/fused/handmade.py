"""What one builds by hand: three hnswlib indexes and a tantivy index each for sentences and titles, fused by ranks."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers.fused.corpus import SHARES, Corpus
from benches.peers.fused.protocol import DEPTH, PLACES, Question, Ranks, Searcher, System
from benches.peers.protocol import CONSTRUCTION, CORES, M, Vectors

FEW = 0.05
"""A filter that leaves less than this is answered by scoring all that it leaves."""


class Handmade(System):
    """hnswlib and tantivy. With `exhaustive`, vectors are compared one by one: what this way of fusing aims at."""

    def __init__(self, name: str, *, exhaustive: bool = False) -> None:
        super().__init__(name, module="hnswlib", packages=("hnswlib", "tantivy"), efforts=(100, 400))
        self._exhaustive = exhaustive
        if exhaustive:
            self.efforts = (DEPTH,)

    def build(self, corpus: Corpus, directory: Path) -> None:
        """Graphs on all cores; words in one tantivy segment each."""
        hnswlib: Any = importlib.import_module("hnswlib")
        for name, vectors in _channels(corpus).items():
            if self._exhaustive:
                continue
            index = hnswlib.Index(space="ip", dim=vectors.shape[1])
            index.init_index(max_elements=len(vectors), M=M, ef_construction=CONSTRUCTION)
            index.add_items(vectors, num_threads=CORES)
            index.save_index(str(directory / name))
        tantivy: Any = importlib.import_module("tantivy")
        for name, texts, videos in (
            ("sentences", corpus.speech_texts, corpus.video_of),
            ("names", corpus.title_texts, np.arange(corpus.video_count)),
        ):
            place = directory / name
            place.mkdir()
            writer = tantivy.Index(_schema(tantivy), path=str(place)).writer(heap_size=300_000_000, num_threads=1)
            for text, video in zip(texts, videos.tolist(), strict=True):
                writer.add_document(tantivy.Document(text=text, video=video, share=int(corpus.share_of[video])))
            writer.commit()
            writer.wait_merging_threads()

    def open(self, corpus: Corpus, directory: Path) -> Searcher:
        """In memory, but for the words, which are mapped."""
        hnswlib: Any = importlib.import_module("hnswlib")
        tantivy: Any = importlib.import_module("tantivy")
        graphs = {}
        for name, vectors in _channels(corpus).items():
            if not self._exhaustive:
                graphs[name] = hnswlib.Index(space="ip", dim=vectors.shape[1])
                graphs[name].load_index(str(directory / name), max_elements=len(vectors))
        words = [tantivy.Index.open(str(directory / name)) for name in ("sentences", "names")]
        return _Searcher(tantivy, corpus, graphs, words)


class _Searcher(Searcher):
    def __init__(self, tantivy: Any, corpus: Corpus, graphs: dict[str, Any], words: list[Any]) -> None:
        self._tantivy = tantivy
        self._graphs = graphs
        self._words = [(index, index.searcher()) for index in words]
        self._vectors = {name: np.array(vectors) for name, vectors in _channels(corpus).items()}
        videos = np.arange(corpus.video_count)
        self._video_of = {"frames": corpus.video_of, "speech": corpus.video_of, "titles": videos}
        self._share_of = {name: corpus.share_of[video_of] for name, video_of in self._video_of.items()}
        self._allowed: dict[tuple[str, int], NDArray[np.int64]] = {}

    def search(self, question: Question, effort: int) -> list[int]:
        ranks: Ranks[int] = Ranks()
        for name in self._vectors:
            ranks.add(self._video_of[name][self._nearest(name, question, effort)].tolist())
        for index, searcher in self._words:
            ranks.add(self._worded(index, searcher, question))
        return ranks.best(PLACES)

    def _nearest(self, name: str, question: Question, effort: int) -> NDArray[np.int64]:
        """The best rows of one channel: among all allowed where these are few, else from the graph, then sifted."""
        vectors, share = self._vectors[name], question.share / SHARES
        if share < FEW or name not in self._graphs:
            allowed = self._allowed_rows(name, question.share)
            scores = (vectors if share == 1 else vectors[allowed]) @ question.vector
            best = np.argpartition(-scores, min(DEPTH, len(scores) - 1))[:DEPTH]
            rows: NDArray[np.int64] = allowed[best[np.argsort(-scores[best])]]
            return rows
        wanted = min(int(DEPTH / share), len(vectors))
        self._graphs[name].set_ef(max(effort, wanted))
        found: NDArray[np.int64] = (
            self._graphs[name].knn_query(question.vector, k=wanted, num_threads=1)[0][0].astype(np.int64)
        )
        sifted: NDArray[np.int64] = found[self._share_of[name][found] < question.share][:DEPTH]
        return sifted

    def _allowed_rows(self, name: str, share: int) -> NDArray[np.int64]:
        if (name, share) not in self._allowed:
            self._allowed[name, share] = np.flatnonzero(self._share_of[name] < share)
        return self._allowed[name, share]

    def _worded(self, index: Any, searcher: Any, question: Question) -> list[int]:
        tantivy = self._tantivy
        query, _ = index.parse_query_lenient(question.text, ["text"])
        if question.share < SHARES:
            kind = tantivy.FieldType.Integer
            shares = tantivy.Query.range_query(index.schema, "share", kind, 0, question.share - 1)
            filtered = tantivy.Query.const_score_query(shares, 0.0)
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, filtered)])
        hits = searcher.search(query, limit=DEPTH, count=False).hits
        videos: list[int] = searcher.fast_field_values("video", [address for _, address in hits])
        return videos


def _channels(corpus: Corpus) -> dict[str, Vectors]:
    return {"frames": corpus.frames, "speech": corpus.speech, "titles": corpus.titles}


def _schema(tantivy: Any) -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem")
    builder.add_integer_field("video", fast=True)
    builder.add_integer_field("share", fast=True, indexed=True)
    return builder.build()
