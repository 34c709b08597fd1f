"""A changed title is found by what it means, and the former one no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pixr
from pixr.errors import ModelNotFound
from tests.python.clips import make_clip

pytest.importorskip("av")
pytest.importorskip("onnxruntime")

OLD, NEW = "Confidential merger meeting with lawyers", "Chocolate cake recipe"
OLD_MEANING, NEW_MEANING = "attorneys discussing an acquisition", "baking a dessert"
ADDED = pa.record_batch({"video_id": ["clip"], "start": [7.0], "end": [8.0], "speech": ["a word of another"]})


@pytest.fixture
def library(tmp_path: Path) -> Any:
    clip = make_clip(tmp_path / "clip.mp4", ["first", "second"])
    with pixr.open(tmp_path / "films.pixr") as library:
        library.add(clip, id="clip", title=OLD, speech=False)
        yield library


def found(library: pixr.Library, text: str) -> list[str]:
    return [hit.video.id for hit in library.search(text, channels=["metadata"])]


def evidence(library: pixr.Library) -> list[dict[str, Any]]:
    """All rows but the metadata's vector."""
    rows: list[dict[str, Any]] = pa.record_batch(library._engine.segments(["clip"])).to_pylist()
    kept = ({name: value for name, value in row.items() if name not in ("metadata.vector", "video")} for row in rows)
    plain = ("video_id", "video", "start", "end")
    return [row for row in kept if any(value is not None for name, value in row.items() if name not in plain)]


def test_a_new_title_is_found_by_its_meaning_and_the_old_one_no_more(library: pixr.Library) -> None:
    before = evidence(library)
    assert found(library, OLD_MEANING) == ["clip"]
    assert found(library, NEW_MEANING) == []
    assert library.update("clip", title=NEW).title == NEW
    assert found(library, OLD_MEANING) == []
    assert found(library, NEW_MEANING) == ["clip"]
    assert evidence(library) == before
    assert before


def test_what_the_words_do_not_say_leaves_the_vector_alone(library: pixr.Library) -> None:
    def vectors() -> list[Any]:
        rows: list[Any] = pa.record_batch(library._engine.segments(["clip"])).column("metadata.vector").to_pylist()
        return rows

    before = vectors()
    library.update("clip", quality="hd", metadata={"views": 3})
    assert vectors() == before
    assert any(before)


def test_a_source_that_moves_makes_no_title_of_its_name(tmp_path: Path) -> None:
    """A video that went to a URL got a vector for its file's name, which was none of its title before."""
    clip = make_clip(tmp_path / "chocolate cake recipe.mp4", ["first", "second"])
    with pixr.open(tmp_path / "films.pixr") as library:
        library.add(clip, id="clip", speech=False)
        before = library.info()["channels"]
        assert library.update("clip", source="https://example.com/chocolate%20cake%20recipe.mp4").title == clip.stem
        assert library.info()["channels"] == before


def test_a_title_that_goes_takes_its_vector_and_one_that_comes_brings_one(library: pixr.Library) -> None:
    before = evidence(library)
    library.update("clip", title="")
    assert found(library, OLD_MEANING) == []
    library.update("clip", description=NEW)
    assert found(library, NEW_MEANING) == ["clip"]
    assert evidence(library) == before


def test_without_the_encoder_the_old_vector_goes(library: pixr.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise ModelNotFound("the model is gone")

    monkeypatch.setattr(library._encoders, "loaded", missing)
    with pytest.warns(RuntimeWarning, match="found by its new words, not by their meaning: the model is gone"):
        library.update("clip", title=NEW)
    monkeypatch.undo()
    assert found(library, OLD_MEANING) == []
    assert found(library, "chocolate") == ["clip"]


def while_models_load(library: pixr.Library, monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Lets another thread do something at the instant at which an update has to load models."""
    load = library._encoders.loaded

    def slowly() -> Any:
        other()
        return load()

    monkeypatch.setattr(library._encoders, "loaded", slowly)


def test_rows_that_are_added_meanwhile_stay(library: pixr.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    while_models_load(library, monkeypatch, lambda: library.add_segments(ADDED))
    library.update("clip", title=NEW)
    monkeypatch.undo()
    assert found(library, NEW_MEANING) == ["clip"]
    assert found(library, OLD_MEANING) == []
    assert [row["start"] for row in evidence(library) if row.get("speech.text")] == [7.0]


def test_what_is_said_of_a_video_meanwhile_stays(library: pixr.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    described = [replace(library.video("clip"), quality="4k")]
    while_models_load(library, monkeypatch, lambda: library.add_segments(ADDED, videos=described))
    library.update("clip", title=NEW)
    assert (library.video("clip").title, library.video("clip").quality) == (NEW, "4k")


def test_rows_that_are_added_while_a_title_goes_stay(library: pixr.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    while_models_load(library, monkeypatch, lambda: library.add_segments(ADDED))
    library.update("clip", title="", description="", tags=[])
    monkeypatch.undo()
    assert found(library, OLD_MEANING) == []
    assert [row["start"] for row in evidence(library) if row.get("speech.text")] == [7.0]


def test_vectors_of_ones_own_stay(tmp_path: Path) -> None:
    vector = np.eye(8, dtype=np.float32)[:1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vector.ravel()), 8)
    with pixr.open(tmp_path / "own.pixr") as library:
        library.add_segments(
            pa.record_batch({"video_id": ["a"], "start": [0.0], "end": [1.0], "metadata.vector": column}),
            videos=[{"id": "a", "title": OLD}],
        )
        library.update("a", title=NEW)
        hits = library.search(vectors={"metadata": vector[0]}, min_score=0.0)
        assert hits[0].moments[0].matches[0].cosine == pytest.approx(1.0, abs=1e-3)


def test_threads_that_change_different_fields_lose_nothing(library: pixr.Library) -> None:
    def change(field: str) -> None:
        for number in range(40):
            library.update("clip", **{field: f"{field}{number}"})

    threads = [threading.Thread(target=change, args=(field,)) for field in ("quality", "source")]
    threads.append(threading.Thread(target=lambda: [library.update("clip", tags=[str(tag)]) for tag in range(40)]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    video = library.video("clip")
    assert (video.quality, video.source, video.tags) == ("quality39", "source39", ("39",))
