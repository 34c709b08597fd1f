"""Approximate answers: asked for by `effort`, given only where the library is large."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import pixr
from pixr.errors import InvalidQuery
from pixr.types import Channel

ROWS, DIMENSION, VIDEOS = 40_000, 64, 2_000


def clustered(count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Vectors around 200 centres, the same for every seed: a query resembles what is there."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(200, DIMENSION))
    return (centres[random.integers(200, size=count)] + 0.7 * random.normal(size=(count, DIMENSION))).astype(np.float32)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of one part that is large enough for a graph."""
    vectors = clustered(ROWS, seed=3)
    of_video = ROWS // VIDEOS
    starts = np.tile(np.arange(of_video, dtype=np.float64), VIDEOS)
    batch = pa.record_batch(
        {
            "video_id": [f"v{row // of_video:05d}" for row in range(ROWS)],
            "start": starts,
            "end": starts + 1.0,
            "frame": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
        }
    )
    path = tmp_path_factory.mktemp("effort") / "large.pixr"
    with pixr.open(path) as library:
        library.add_segments(batch)
    return path


@pytest.fixture
def walked(large: Path) -> Iterator[pixr.Library]:
    """The library, once its graph was read: until then answers are by the codes."""
    query = clustered(1, seed=9)[0]
    with pixr.open(large, read_only=True) as library:
        begun = time.monotonic()
        while library.search(vectors={"frame": query}, effort=20).plan["frame"] != "approximate":
            assert time.monotonic() - begun < 30
            time.sleep(0.01)
        yield library


def test_effort_finds_nearly_what_exact_search_finds(walked: pixr.Library) -> None:
    same = 0
    for query in clustered(20, seed=4):
        exact = walked.search(vectors={"frame": query}, limit=10)
        near = walked.search(vectors={"frame": query}, limit=10, effort=100)
        assert (exact.total_relation, near.total_relation) == ("exact", "exact")
        assert exact.total == near.total == VIDEOS
        assert (exact.plan, near.plan) == ({"frame": "exact"}, {"frame": "approximate"})
        scores = {hit.video.id: hit.score for hit in exact}
        found = {hit.video.id: hit.score for hit in near}
        shared = scores.keys() & found.keys()
        assert all(scores[video] == found[video] for video in shared), "scores are exact"
        same += len(shared)
    assert same >= 190, f"{same} of 200"


def test_the_first_answer_after_opening_is_by_the_codes(large: Path) -> None:
    query: Mapping[Channel, NDArray[np.float32]] = {"frame": clustered(1, seed=7)[0]}
    with pixr.open(large, read_only=True) as library:
        first = library.search(vectors=query, limit=10, effort=20)
        assert first.plan == {"frame": "codes"}
        exact = {hit.video.id: hit.score for hit in library.search(vectors=query, limit=10)}
        found = {hit.video.id: hit.score for hit in first}
        assert len(exact.keys() & found.keys()) >= 8
        assert all(exact[video] == found[video] for video in exact.keys() & found.keys()), "scores are exact"


def test_what_was_found_can_be_counted_instead(walked: pixr.Library) -> None:
    near = walked.search(vectors={"frame": clustered(1, seed=5)[0]}, effort=100, total="found", limit=10)
    assert near.total_relation == "estimated"
    assert 10 <= near.total <= 100


def test_a_least_score_is_counted_by_an_exact_answer(walked: pixr.Library) -> None:
    query: Mapping[Channel, NDArray[np.float32]] = {"frame": clustered(1, seed=6)[0]}
    exact = walked.search(vectors=query, min_score=0.6, limit=5)
    near = walked.search(vectors=query, min_score=0.6, limit=5, effort=100)
    assert (near.total, near.total_relation, near.plan) == (exact.total, "exact", {"frame": "exact"})
    found = walked.search(vectors=query, min_score=0.6, limit=5, effort=100, total="found")
    assert found.plan == {"frame": "approximate"}
    assert found.total <= exact.total


def test_a_small_library_answers_exactly_whatever_the_effort(tmp_path: Path) -> None:
    with pixr.open(tmp_path / "small.pixr") as library:
        batch = [{"video_id": "a", "start": 0.0, "end": 4.0, "frame": [1.0, 0.0]}]
        library.add_segments(pa.RecordBatch.from_pylist(batch))
        assert library.search(vectors={"frame": np.ones(2, np.float32)}, effort=1).total_relation == "exact"
        with pytest.raises(InvalidQuery, match="effort"):
            library.search(vectors={"frame": np.ones(2, np.float32)}, effort=0)
