"""Pixr, through its public interface, with vectors of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import pixr
from benches.peers.fused.corpus import SEGMENT_SECONDS, Corpus
from benches.peers.fused.protocol import PLACES, Question, Searcher, System
from benches.peers.protocol import Vectors
from pixr.types import Hits

VIDEOS_A_CALL = 1000
EXACT = 0
"""The effort that stands for an exact answer."""
MOMENTS = 5
"""Of each video, where nothing else is said."""
TAGS = {10: "tenth", 1: "hundredth"}


class Pixr(System):
    """One library; titles are metadata of videos, with a vector that spans the whole video."""

    def __init__(self, name: str, *, moments: int = MOMENTS) -> None:
        """`moments` are told of each video at most; with none, the answer is what the other systems give."""
        super().__init__(name, module="pixr", packages=(), efforts=(EXACT, 10, 25, 35, 50, 100, 150, 200, 400))
        self.index = "pixr"
        self._moments = moments

    def build(self, corpus: Corpus, directory: Path) -> None:
        """A thousand videos a call, then all in one part."""
        with pixr.open(directory / "films.pixr") as library:
            for video in range(0, corpus.video_count, VIDEOS_A_CALL):
                videos = range(video, min(video + VIDEOS_A_CALL, corpus.video_count))
                library.add_segments(_batch(corpus, videos), videos=[_video(corpus, number) for number in videos])
            library.commit()
            library.compact()

    def open(self, corpus: Corpus, directory: Path) -> PixrSearcher:
        """For reading."""
        return PixrSearcher(pixr.open(directory / "films.pixr", read_only=True), self._moments)


class PixrSearcher(Searcher):
    """Also counts: facets, and totals."""

    def __init__(self, library: pixr.Library, moments: int) -> None:
        self._library = library
        self._moments = moments

    def search(self, question: Question, effort: int) -> list[int]:
        return [int(hit.video.id) for hit in self.hits(question, effort)]

    def hits(self, question: Question, effort: int, *, facets: bool = False) -> Hits:
        """The page itself."""
        return self._library.search(
            question.text,
            vectors=dict.fromkeys(("frame", "speech", "metadata"), question.vector),
            channels=["frame", "speech", "metadata"],
            filters={"tags": [TAGS[question.share]]} if question.share in TAGS else None,
            limit=PLACES,
            effort=effort or None,
            facets=facets,
            moments=self._moments,
        )


def _video(corpus: Corpus, video: int) -> dict[str, Any]:
    share = int(corpus.share_of[video])
    length = int(corpus.first_of[video + 1] - corpus.first_of[video])
    return {
        "id": str(video),
        "title": corpus.title_texts[video],
        "duration": length * SEGMENT_SECONDS,
        "tags": [f"share-{share // 5}", *(tag for least, tag in TAGS.items() if share < least)],
    }


def _batch(corpus: Corpus, videos: range) -> pa.RecordBatch:
    """The segments of some videos, then a row for the title of each."""
    first, last = int(corpus.first_of[videos.start]), int(corpus.first_of[videos.stop])
    here = slice(videos.start, videos.stop)
    starts = (np.arange(first, last) - corpus.first_of[corpus.video_of[first:last]]) * SEGMENT_SECONDS
    lengths = np.diff(corpus.first_of[videos.start : videos.stop + 1]) * SEGMENT_SECONDS
    ids = [str(video) for video in corpus.video_of[first:last]] + [str(video) for video in videos]
    before, after = last - first, len(videos)
    return pa.record_batch(
        {
            "video_id": ids,
            "start": np.concatenate([starts, np.zeros(after)]),
            "end": np.concatenate([starts + SEGMENT_SECONDS, lengths]),
            "frame": _column(corpus.frames[first:last], 0, after),
            "speech.vector": _column(corpus.speech[first:last], 0, after),
            "speech.text": corpus.speech_texts[first:last] + [None] * after,
            "metadata.vector": _column(corpus.titles[here], before, 0),
        }
    )


def _column(vectors: Vectors, before: int, after: int) -> pa.FixedSizeListArray:
    """Vectors with so many empty rows before and after them."""
    padded = np.pad(vectors, ((before, after), (0, 0)))
    empty = np.repeat([True, False, True], [before, len(vectors), after])
    return pa.FixedSizeListArray.from_arrays(pa.array(padded.reshape(-1)), vectors.shape[1], mask=pa.array(empty))
