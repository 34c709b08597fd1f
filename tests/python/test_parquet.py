"""A library goes into a Parquet file and comes back; what is not such a file leaves a library as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixr
from pixr import parquet
from pixr.encoder_choice import Choice, recall, remember
from pixr.errors import StorageError


def rows(*ids: str) -> pa.RecordBatch:
    count = len(ids)
    return pa.record_batch(
        {"video_id": list(ids), "start": [0.0] * count, "end": [5.0] * count, "speech": ["solar panels"] * count}
    )


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    opened = pixr.open(tmp_path / "films.pixr")
    opened.add_segments(rows("a", "b", "c"))
    return opened


class Interrupted:
    """An engine that does something else after the first rows were read of it."""

    def __init__(self, library: pixr.Library, meanwhile: Callable[[], None]) -> None:
        self._engine = library.engine
        self._meanwhile: list[Callable[[], None]] = [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def segments(self, ids: list[str]) -> Any:
        read = self._engine.segments(ids)
        if ids and self._meanwhile:
            self._meanwhile.pop()()
        return read


def titles(path: Path) -> dict[str, str]:
    videos = [json.loads(video) for video in pq.read_table(path)["video"].to_pylist() if video is not None]
    return {video["id"]: video.get("title", "") for video in videos}


@pytest.mark.parametrize("read_only", [False, True])
def test_an_export_is_of_one_moment_while_another_writes(
    library: pixr.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    """Ids were read once and rows later: the export failed at a video deleted meanwhile, or mixed two states."""
    monkeypatch.setattr(parquet, "_VIDEOS_PER_BATCH", 1)
    exporting = pixr.open(library.path, read_only=True) if read_only else library

    def write() -> None:
        for id in ("a", "b"):
            library.update(id, title="later")
        time.sleep(0.06)  # a reader looks for what others wrote every 50 ms

    out = tmp_path / "films.parquet"
    assert parquet.export(Interrupted(exporting, write), out, None) == 3  # type: ignore[arg-type]
    assert titles(out) == {"a": "later", "b": "later", "c": ""}

    def delete() -> None:
        library.delete("c")
        time.sleep(0.06)

    assert parquet.export(Interrupted(exporting, delete), out, None) == 2  # type: ignore[arg-type]
    assert titles(out) == {"a": "later", "b": "later"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.parquet", "films.pixr"]


def test_an_export_that_is_interrupted_leaves_what_was_there(library: pixr.Library, tmp_path: Path) -> None:
    out = tmp_path / "films.parquet"
    library.export(out)
    before = out.read_bytes()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parquet.export(Interrupted(library, interrupt), out, None)  # type: ignore[arg-type]
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.parquet", "films.pixr"]
    with pytest.raises(StorageError, match=r"absent/films\.parquet"):
        library.export(tmp_path / "absent" / "films.parquet")


def test_which_encoders_a_library_speaks_goes_with_it_where_none_are_on_record(
    library: pixr.Library, tmp_path: Path
) -> None:
    out = tmp_path / "films.parquet"
    remember(library.path, Choice(("clip", "/models/clap"), "int8"))
    library.take_snapshot("monday")
    remember(library.path, Choice(("siglip",), "auto"))
    library.export(out)
    with pixr.open(tmp_path / "new.pixr") as new:
        new.load(out)
        assert recall(new.path) == Choice(("siglip",), "auto")
        with pixr.open(library.path, snapshot="monday") as monday:
            monday.export(out)
        new.load(out)
        assert recall(new.path) == Choice(("siglip",), "auto")
    with pixr.open(tmp_path / "monday.pixr") as new:
        new.load(out)
        assert recall(new.path) == Choice(("clip", "/models/clap"), "int8")
