"""Segments with vectors of one's own: what is refused leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest

import pixr
from pixr.encoders.protocol import Space
from pixr.errors import (
    DimensionMismatch,
    InvalidBatch,
    InvalidInput,
    InvalidQuery,
    InvalidVector,
    InvalidVideo,
    SpaceMismatch,
)
from pixr.inside import engine_of


def rows(*vectors: Sequence[float], channel: str = "frame", end: float = 1.0) -> pa.RecordBatch:
    count = len(vectors)
    return pa.record_batch(
        {
            "video_id": ["a"] * count,
            "start": [float(at) for at in range(count)],
            "end": [at + end for at in range(count)],
            channel: pa.array(vectors, pa.list_(pa.float32())),
        }
    )


REFUSED = {
    "no_number": (rows([1.0, float("nan"), 0.0]), {}, (), InvalidVector),
    "two_dimensions": (rows([1.0, 0.0, 0.0], [1.0, 0.0]), {}, (), DimensionMismatch),
    "another_dimension": (rows([1.0, 0.0, 0.0]), {"frame": Space("mine", "1", 2)}, (), DimensionMismatch),
    "ends_before_it_starts": (rows([1.0, 0.0, 0.0], end=-1.0), {}, (), InvalidInput),
    "no_such_channel": (rows([1.0, 0.0, 0.0]), {"smell": Space("mine", "1", 3)}, (), InvalidInput),
    "a_video_without_rows": (rows([1.0, 0.0, 0.0]), {}, ({"id": "other"},), InvalidBatch),
    "one_video_in_place_of_a_list": (rows([1.0, 0.0, 0.0]), {}, {"id": "a"}, InvalidInput),
    "a_misspelt_field": (rows([1.0, 0.0, 0.0]), {}, ({"id": "a", "titel": "A roof"},), InvalidInput),
    "a_video_that_is_none": (rows([1.0, 0.0, 0.0]), {}, ({"id": "a", "duration": "long"},), InvalidInput),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_first_batch_that_is_refused_fixes_no_space(tmp_path: Path, name: str) -> None:
    """The dimension of a batch with a NaN stayed: a good one of another dimension was refused for ever."""
    refused, spaces, videos, error = REFUSED[name]
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(error):
            library.add_segments(refused, spaces=spaces, videos=videos)  # type: ignore[arg-type]
        assert library.info()["spaces"] == {}
        assert library.info()["snapshot"] == 0
        assert library.add_segments(rows([1.0, 0.0, 0.0, 1.0])) == ["a"]
        assert library.info()["spaces"]["frame"]["dimension"] == 4


def test_a_space_that_is_refused_leaves_the_other_channels_without_one(tmp_path: Path) -> None:
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add_segments(rows([1.0, 0.0], channel="sound"))
        before = library.info()["spaces"]
        spaces = {"frame": Space("mine", "1", 3), "sound": Space("mine", "1", 2)}
        with pytest.raises(SpaceMismatch):
            library.add_segments(rows([1.0, 0.0, 0.0]), spaces=spaces)  # type: ignore[arg-type]
        assert library.info()["spaces"] == before
        assert list(before) == ["sound"]


def test_tensors_are_vectors(tmp_path: Path) -> None:
    """As pyarrow makes of a numpy array; the number of its components was asked of what has none."""
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.eye(3, dtype=np.float32))
    batch = pa.record_batch(
        {"video_id": ["a", "b", "c"], "start": [0.0] * 3, "end": [1.0] * 3, "frame": tensors},
    )
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(batch) == ["a", "b", "c"]
        assert library.search(vectors={"frame": [0.0, 1.0, 0.0]}, limit=1)[0].video.id == "b"


class Foreign:
    """A batch of another package: all that is known of it is that it speaks Arrow's C interface."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self._batch.__arrow_c_array__(requested_schema)


def test_batches_of_other_packages_are_taken(tmp_path: Path) -> None:
    """Their vectors were refused for having no space, and their dictionaries for not being strings."""
    batch = rows([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    batch = batch.set_column(0, "video_id", batch["video_id"].dictionary_encode())
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(Foreign(batch)) == ["a"]
        assert library.info()["spaces"]["frame"]["dimension"] == 3
        assert library.info()["segments"] == 2
        for other in (pa.array([1, 2]), [1, 2], None, batch.schema):
            with pytest.raises(InvalidBatch, match="is not an Arrow record batch"):
                library.add_segments(other)


def said(words: pa.Array, start: float = 0.0) -> pa.RecordBatch:
    return pa.record_batch({"video_id": ["a"], "start": [start], "end": [start + 1.0], "speech": words})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("column", ["speech", "video_id"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, kind: pa.DataType, column: str) -> None:
    """Arrow makes strings of any bytes. They were acknowledged, and no open read the log with them again."""
    of_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    none = pa.array([b"caf\xe9 and more than twelve bytes"], of_bytes[kind]).view(kind)
    good = said(pa.array(["good"]))
    bad = good.set_column(good.schema.get_field_index(column), column, none)
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add_segments(good)
        with pytest.raises(InvalidBatch, match=r"(?i)utf-?8"):
            library.add_segments(bad)
    with pixr.open(tmp_path / "l.pixr") as library:
        assert [video.id for video in library.videos()] == ["a"]
        assert [segment.texts for segment in library.segments("a")] == [{"speech": "good"}]


@pytest.mark.parametrize("names", [("speech", "speech"), ("speech", "speech.text"), ("speech.text", "speech")])
def test_two_columns_that_say_the_same_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """One of them was dropped without a word."""
    columns = [pa.array(["a"]), pa.array([0.0]), pa.array([1.0]), pa.array(["one"]), pa.array(["other"])]
    batch = pa.record_batch(columns, names=["video_id", "start", "end", *names])
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(InvalidBatch, match=names[1]):
            library.add_segments(batch)
        assert list(library.videos()) == []


def test_what_one_thread_says_of_a_new_video_stays_when_another_adds_rows(tmp_path: Path) -> None:
    """Whether a video was new was asked before its turn came, and a title that came meanwhile gave way to none."""
    with pixr.open(tmp_path / "l.pixr", sync="none") as library:
        for number in range(400):
            ready = threading.Barrier(2)
            batches = [
                pa.record_batch({"video_id": [str(number)], "start": [at], "end": [at + 1.0], "speech": ["words"]})
                for at in (0.0, 1.0)
            ]

            def add(
                batch: pa.RecordBatch, *titles: str, ready: threading.Barrier = ready, id: str = str(number)
            ) -> None:
                ready.wait()
                library.add_segments(batch, videos=[{"id": id, "title": title} for title in titles])

            threads = [
                threading.Thread(target=add, args=(batches[0], "Titled")),
                threading.Thread(target=add, args=(batches[1],)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert {video.title for video in library.videos()} == {"Titled"}
        assert library.info()["segments"] == 800


@pytest.mark.parametrize(
    "number",
    [1 << 64, -(1 << 63) - 1, (1 << 70) + 1, 10**400],
    ids=["one_above", "one_below", "71_bits", "longer_than_a_float"],
)
def test_whole_numbers_are_kept_as_they_are_or_refused(tmp_path: Path, number: int) -> None:
    """One of more than 64 bits came back as the float that is near to it: an id of another system was another's."""
    with pixr.open(tmp_path / "films.pixr") as library:
        for kept in ((1 << 64) - 1, -(1 << 63)):
            library.add_segments(rows([1.0, 0.0]), videos=[{"id": "a", "metadata": {"ids": [kept]}}])
            assert library.video("a").metadata == {"ids": [kept]}
        with pytest.raises(InvalidVideo, match=r'"a": metadata: a whole number .* more than 64 bits'):
            library.update("a", metadata={"ids": [number]})
        assert library.video("a").metadata == {"ids": [-(1 << 63)]}


class Stream:
    """Batches of another package, such as a frame of polars."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def test_streams_are_taken_as_one_batch(tmp_path: Path) -> None:
    """What other packages call a frame speaks only so: it was told to be no batch. A dataset was a traceback."""
    table = pa.Table.from_batches([rows([1.0, 0.0, 0.0]), rows([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])])
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(Stream(table.slice(0, 1))) == ["a"]
        assert library.info()["segments"] == 1
        assert library.add_segments(table.slice(1).to_reader()) == ["a"]
        assert library.info()["segments"] == 2
        with pytest.raises(InvalidBatch, match="InMemoryDataset is not an Arrow record batch"):
            library.add_segments(pyarrow.dataset.dataset(table))


def test_dictionaries_of_string_views_are_taken(tmp_path: Path) -> None:
    """What polars makes of categories, which pyarrow doesn't write out."""
    words = pa.DictionaryArray.from_arrays(pa.array([1], pa.uint32()), pa.array(["good", "w" * 30], pa.string_view()))
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(said(words)) == ["a"]
        assert [segment.texts for segment in library.segments("a")] == [{"speech": "w" * 30}]


class OwnVector(pa.ExtensionType):  # type: ignore[misc]
    """A type of another package, stored as a list whose length no type says."""

    def __init__(self) -> None:
        super().__init__(pa.list_(pa.float32()), "own.vector")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> OwnVector:
        return cls()


def test_vectors_of_a_type_of_ones_own_are_taken(tmp_path: Path) -> None:
    """The length of the first was asked of what has none: TypeError."""
    batch = rows([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    own = pa.ExtensionArray.from_storage(OwnVector(), batch["frame"])
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(batch.set_column(3, "frame", own)) == ["a"]
        assert library.info()["spaces"]["frame"]["dimension"] == 3


UNREADABLE = {
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["hello"])),
    "a_dictionary_of_runs": pa.DictionaryArray.from_arrays(
        pa.array([0]), pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["hello"]))
    ),
    "a_map": pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32())),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_columns_that_the_engine_does_not_read_are_refused_by_name(tmp_path: Path, name: str) -> None:
    """Some were a TypeError or an error of pyarrow, without a code."""
    with pixr.open(tmp_path / "l.pixr") as library, pytest.raises(InvalidBatch, match=r"column .speech. is"):
        library.add_segments(said(UNREADABLE[name]))


WRONG_FIELDS: dict[str, Any] = {
    "title": None,
    "description": 5,
    "tags": [["a"]],
    "duration": "12.5",
    "created": 2023,
    "quality": 720,
    "creator": "Ann",
    "source": Path("a.mp4"),
    "content_hash": True,
    "metadata": None,
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_a_field_of_a_wrong_type_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    """A column of the engine's JSON was told, not which of the fields was wrong."""
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add_segments(rows([1.0, 0.0]))
        with pytest.raises(InvalidVideo, match=rf'^invalid video "a": {name}') as refused:
            library.add_segments(rows([1.0, 0.0]), videos=[{"id": "a", name: WRONG_FIELDS[name]}])
        assert "column" not in str(refused.value)
        with pytest.raises(InvalidVideo, match=rf'^invalid video "a": {name}'):
            library.update("a", **{name: WRONG_FIELDS[name]})
        with pytest.raises(InvalidVideo, match="id is int, a text is expected"):
            library.add_segments(rows([1.0, 0.0]), videos=[{"id": 5}])
        with pytest.raises(InvalidVideo, match="it has no id"):
            library.add_segments(rows([1.0, 0.0]), videos=[{"title": "A roof"}])
        wrong: dict[str, Any] = {"id is int": 5, "name is nothing": None, "verified is int": 1}
        for told, value in wrong.items():
            creator: dict[str, Any] = {"id": "usr_1", told.partition(" ")[0]: value}
            with pytest.raises(InvalidVideo, match=rf'^invalid video "a": creator.{told}'):
                library.update("a", creator=pixr.Creator(**creator))


SPACES: dict[str, Any] = {
    "spaces is list": [Space("mine", "1", 2)],
    "spaces: no channel 5": {5: Space("mine", "1", 2)},
    "spaces: frame is dict, a Space is expected": {"frame": {"name": "mine", "version": "1", "dimension": 2}},
}


@pytest.mark.parametrize("reason", SPACES)
def test_what_is_no_spaces_by_channel_is_refused(tmp_path: Path, reason: str) -> None:
    """They were a TypeError of `dataclasses`, or of Python's own about mappings."""
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(InvalidQuery, match=reason):
            library.add_segments(rows([1.0, 0.0]), spaces=SPACES[reason])
        for videos in (3, pixr.Video("a")):
            with pytest.raises(InvalidBatch, match=f"videos is {type(videos).__name__}, a list of videos is expected"):
                library.add_segments(rows([1.0, 0.0]), videos=videos)  # type: ignore[arg-type]


def test_numbers_that_a_vector_can_not_hold_are_refused(tmp_path: Path) -> None:
    """Infinity was told, which nobody had given."""
    large = pa.record_batch({"video_id": ["b"], "start": [0.0], "end": [1.0], "frame": [[1.0, 1e300]]})
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add_segments(rows([1.0, 0.0]))
        with pytest.raises(InvalidVector, match="component 1 is 1e300, more than a 32-bit float holds"):
            library.add_segments(large)
        with pytest.raises(InvalidQuery, match="frame has a number that is more than a 32-bit float holds"):
            library.search(vectors={"frame": [1.0, 1e300]})


class Held:
    """The engine, which lets another thread do something before it takes an update."""

    def __init__(self, engine: Any, meanwhile: Callable[[], object]) -> None:
        self._engine = engine
        self._other = threading.Thread(target=meanwhile)

    def update(self, *arguments: Any) -> None:
        self._other.start()
        self._other.join(0.3)
        self._engine.update(*arguments)

    def wait(self) -> None:
        self._other.join()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def test_what_rows_say_of_a_video_stays_when_another_thread_updates_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update wrote back what it had read before them."""
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add_segments(rows([1.0, 0.0]))
        said = pixr.Video("a", description="A roof", quality="sd", duration=1.0)
        held = Held(engine_of(library), lambda: library.add_segments(rows([1.0, 0.0]), videos=[said]))
        monkeypatch.setattr(library, "_engine", held)
        library.update("a", quality="hd")
        held.wait()
        assert library.video("a") == said


def test_whole_numbers_are_filtered_exactly(tmp_path: Path) -> None:
    """Asked for the post of one number, those came whose numbers are as near as a float tells."""
    post = 1_234_567_890_123_456_789
    with pixr.open(tmp_path / "l.pixr") as library:
        for id, number in (("a", post), ("b", post + 1)):
            batch = pa.record_batch({"video_id": [id], "start": [0.0], "end": [1.0], "speech": ["solar panels"]})
            library.add_segments(batch, videos=[{"id": id, "metadata": {"post": number}}])
        for number, expected in ((post, ["a"]), (post + 1, ["b"]), (post + 2, [])):
            hits = library.search("solar", channels=["speech"], filters={"metadata": {"post": number}})
            assert [hit.video.id for hit in hits] == expected


def test_the_error_of_a_view_of_lists_says_what_is_expected(tmp_path: Path) -> None:
    """Vectors in a layout that the engine does not read were told to be a string."""
    view = pa.array([[1.0, 0.0]], pa.list_view(pa.float32()))
    expected = pytest.raises(InvalidBatch, match="expected a string or a list of floats")
    with pixr.open(tmp_path / "l.pixr") as library, expected:
        library.add_segments(said(view))


@pytest.mark.parametrize("column", ["speech", "speech.text", "speech.vector", "frame", "frame.description"])
def test_a_column_in_which_no_row_has_anything_is_no_evidence(tmp_path: Path, column: str) -> None:
    """Arrow makes such a column of a list of None: of many batches the one without words was refused."""
    batch = said(pa.array(["words"])).append_column("sound", pa.array(["rain"]))
    batch = batch.rename_columns(["video_id", "start", "end", column, "sound"])
    with pixr.open(tmp_path / "l.pixr") as library:
        assert library.add_segments(batch.set_column(3, column, pa.array([None]))) == ["a"]
        assert [segment.texts for segment in library.segments("a")] == [{"sound": "rain"}]
        with pytest.raises(InvalidBatch, match="smell"):
            library.add_segments(batch.set_column(3, "smell", pa.array([None])))


def test_whole_numbers_are_ids_and_seconds(tmp_path: Path) -> None:
    """Frames often have such columns, and the user was told to make floats of them."""
    batch = pa.table({"video_id": [7, 7], "start": [0, 5], "end": [5, 10], "speech": ["one", "two"]})
    with pixr.open(tmp_path / "whole.pixr") as library:
        assert library.add_segments(batch) == ["7"]
        assert [(segment.start, segment.end) for segment in library.segments("7")] == [(0.0, 5.0), (5.0, 10.0)]
        too_large = batch.set_column(2, "end", pa.array([5, 2**53 + 1]))
        with pytest.raises(InvalidBatch, match="column 'end' is int64"):
            library.add_segments(too_large)
