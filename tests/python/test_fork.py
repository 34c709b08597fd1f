"""A library that was opened before a fork: nothing may be written, and nothing waited for, in the child."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pixr
from pixr.errors import LibraryClosed

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]

SECONDS = 60


def rows(video: str, count: int = 1, dimension: int = 8) -> pa.RecordBatch:
    vectors = np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32)
    return pa.record_batch(
        {
            "video_id": [video] * count,
            "start": [float(row) for row in range(count)],
            "end": [row + 1.0 for row in range(count)],
            "frame": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension),
        }
    )


def in_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child, or the code of the error that it raises."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def child() -> None:
        try:
            theirs.send(work())
        except pixr.PixrError as error:
            theirs.send(f"{error.code}: {error}")

    process = context.Process(target=child)
    process.start()
    theirs.close()
    try:
        assert ours.poll(SECONDS), "the child waits for ever"
        return str(ours.recv())
    finally:
        process.join(SECONDS)
        assert process.exitcode == 0


@pytest.mark.parametrize("call", ["add", "search", "commit"])
def test_the_error_in_a_fork_says_to_open_the_library_there(tmp_path: Path, call: str) -> None:
    with pixr.open(tmp_path / "films.pixr") as library:
        library.add_segments(rows("before", 5000))
        library.search(vectors={"frame": np.ones(8, np.float32)}, min_score=0.0)
        calls: dict[str, Callable[[], object]] = {
            "add": lambda: library.add_segments(rows("child")),
            "search": lambda: library.search(vectors={"frame": np.ones(8, np.float32)}, min_score=0.0),
            "commit": library.commit,
        }
        told = in_fork(lambda: str(calls[call]()))
        assert told.startswith(f"closed: process {os.getpid()} opened the library")
        assert "after forking" in told


def test_what_was_acknowledged_to_the_parent_is_there_after_a_fork(tmp_path: Path) -> None:
    with pixr.open(tmp_path / "films.pixr") as library:
        library.add_segments(rows("before"))

        def write() -> str:
            try:
                library.add_segments(rows("child"))
            except LibraryClosed:
                library.close()
            return "closed"

        assert in_fork(write) == "closed"
        library.add_segments(rows("after"))
    with pixr.open(tmp_path / "films.pixr", read_only=True) as library:
        assert [video.id for video in library.videos()] == ["after", "before"]


def test_a_fork_may_open_the_library_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "films.pixr"
    with pixr.open(path) as library:
        library.add_segments(rows("before"))
        library.commit()

        def read() -> str:
            with pixr.open(path, read_only=True) as own:
                return own.search(vectors={"frame": np.ones(8, np.float32)}, min_score=0.0)[0].video.id

        assert in_fork(read) == "before"


def test_a_fork_may_let_go_of_models_that_were_loaded_before(tmp_path: Path) -> None:
    """A session of onnxruntime, when it goes, waits for threads that only the parent has; the child did so for ever."""
    gc.collect()  # what other tests left behind, of packages that don't bear a fork either
    held = [pixr.open(tmp_path / "films.pixr")]
    held[0]._encoders.loaded().text.encode_text(["a dog on a beach"])

    def let_go() -> str:
        held.clear()
        gc.collect()
        return "gone"

    try:
        assert in_fork(let_go) == "gone"
    finally:
        held[0].close()


def test_a_child_uses_all_cores_for_a_library_of_its_own_after_its_parent_did(tmp_path: Path) -> None:
    """Threads don't come along with a fork: what both hand to other threads must not wait for those of the parent."""

    def add_and_search(path: Path) -> str:
        # So many rows are indexed and searched by several threads.
        with pixr.open(path) as library:
            library.add_segments(rows("a", 5000, dimension=64))
            library.commit()
            hits = library.search(vectors={"frame": np.ones(64, np.float32)}, min_score=0.0)
            return f"{hits[0].video.id} {hits[0].score:.6f}"

    found = add_and_search(tmp_path / "parent.pixr")
    assert in_fork(lambda: add_and_search(tmp_path / "child.pixr")) == found
    assert in_fork(lambda: in_fork(lambda: add_and_search(tmp_path / "grandchild.pixr"))) == found
