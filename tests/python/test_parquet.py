"""A library goes into a Parquet file and comes back; what is not such a file leaves a library as it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixr
from pixr import parquet
from pixr.encoder_choice import Choice, recall, remember
from pixr.errors import InvalidBatch, InvalidQuery, InvalidVector, SpaceMismatch, StorageError
from tests.python.said import rows


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    opened = pixr.open(tmp_path / "films.pixr")
    opened.add_segments(rows("a", "b", "c"))
    return opened


def test_a_library_that_comes_back_is_equal_in_all_that_it_holds(tmp_path: Path) -> None:
    vectors = [[0.6, 0.8, 0.0], None, [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]
    batch = pa.record_batch(
        {
            "video_id": ["b", "b", "a/ä", "b"],
            "start": [0.0, 5.0, 0.1, 10.0],
            "end": [5.0, 10.0, 0.3, 10.5],
            "frame": pa.array(vectors, pa.list_(pa.float32(), 3)),
            "frame.description": ["a roof", None, None, ""],
            "speech.text": ["solar panels", None, "of all", "panels"],
            "speech.vector": pa.array([None, [1.0, 0.0], None, [0.6, -0.8]], pa.list_(pa.float32(), 2)),
            "screen": [None, "ROOF", None, None],
        }
    )
    described = pixr.Video(
        "b",
        title="Über den Dächern",
        description="two\nlines",
        tags=("diy", "roof"),
        duration=60.5,
        created="2024-01-31T12:00:00Z",
        quality="hd",
        creator=pixr.Creator("u1", "Ann"),
        source="/films/b.mp4",
        metadata={"year": 2024, "nested": {"list": [1, None, "x"]}},
    )
    spaces = {"frame": pixr.Space("mine", "2", 3)}
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    with pixr.open(tmp_path / "films.pixr") as library, pixr.open(tmp_path / "copy.pixr") as copy:
        library.add_segments(batch, videos=[described], spaces=spaces)  # type: ignore[arg-type]
        library._engine.put(json.dumps({"id": "no segments", "duration": 1.0}))
        library.export(one)
        assert copy.load(one) == 3
        copy.export(other)
        assert copy.info()["spaces"] == library.info()["spaces"]
        assert list(copy.videos()) == list(library.videos())
        assert copy.video("b") == described
        for id in ("b", "a/ä", "no segments"):
            assert list(copy.segments(id)) == list(library.segments(id))
        asked: dict[str, Any] = {"vectors": {"frame": [0.6, 0.8, 0.1], "speech": [1.0, 0.5]}, "facets": True}
        asks = [
            library.search("roof panels", **asked, min_score=0.0),
            copy.search("roof panels", **asked, min_score=0.0),
        ]
        assert list(asks[0]) == list(asks[1]) != []
        assert asks[0].facets == asks[1].facets
    first, second = pq.read_table(one), pq.read_table(other)
    assert first.equals(second)
    assert first.schema.equals(second.schema, check_metadata=True)
    kept = {(row["video_id"], row["start"]): row["frame.vector"] for row in first.to_pylist() if row["frame.vector"]}
    assert kept[("b", 0.0)] == pytest.approx([0.6, 0.8, 0.0], abs=1e-3)
    assert len(kept) == 3


class Interrupted:
    """An engine that does something else after the first rows were read of it."""

    def __init__(self, library: pixr.Library, meanwhile: Callable[[], None]) -> None:
        self._engine = library._engine
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


def with_vectors(library: pixr.Library) -> pixr.Library:
    vector = pa.array([[0.6, 0.8, 0.0]], pa.list_(pa.float32(), 3))
    library.add_segments(pa.record_batch({"video_id": ["a"], "start": [0.0], "end": [5.0], "frame": vector}))
    return library


def state(library: pixr.Library) -> tuple[int, object, list[Path]]:
    info = library.info()
    return info["snapshot"], info["spaces"], sorted(library.path.rglob("encoders.json"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    with parquet.Exported.open(path) as exported:
        return [row for batch in exported.batches() for row in batch.to_pylist()]


def test_the_error_of_a_damaged_page_names_the_file_and_nothing_is_left(library: pixr.Library, tmp_path: Path) -> None:
    """The reader's own error came out, without a name or a code, or other rows than were written were loaded."""
    out = tmp_path / "films.parquet"
    with_vectors(library).export(out)
    whole, expected = out.read_bytes(), rows_of(out)
    refused = []
    end_of_pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in range(4, end_of_pages, 5):
        out.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert rows_of(out) == expected  # what was damaged is read by nobody, such as the least value of a page
        except InvalidBatch:
            refused.append(out.read_bytes())
    assert len(refused) > 100
    with pixr.open(tmp_path / "new.pixr") as new:
        for damaged in refused[::20]:
            out.write_bytes(damaged)
            with pytest.raises(InvalidBatch, match=r"films\.parquet is "):
                new.load(out)
        assert state(new) == (0, {}, [])
        out.write_bytes(whole)
        assert new.load(out) == 3


SETTINGS = {
    "no_json": b"{",
    "no_object": b"[1]",
    "no_utf8": b"\xff",
    "a_space_without_a_name": b'{"spaces": {"frame": {"version": "1", "dimension": 3}}}',
    "a_space_that_is_a_word": b'{"spaces": {"frame": "clip"}}',
    "no_dimension": b'{"spaces": {"frame": {"name": "clip", "version": "1", "dimension": 0}}}',
    "no_such_channel": b'{"spaces": {"smell": {"name": "clip", "version": "1", "dimension": 3}}}',
    "no_calibration": b'{"calibrations": {"frame": 3}}',
    "nested_too_deeply": b"[" * 100_000,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_error_of_damaged_settings_names_the_file(library: pixr.Library, tmp_path: Path, name: str) -> None:
    out = tmp_path / "films.parquet"
    library.export(out)
    table = pq.read_table(out)
    encoders = SETTINGS[name] if name == "nested_too_deeply" else b"{}"
    for key, value in ((b"pixr.settings", SETTINGS[name]), (b"pixr.encoders", encoders)):
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, key: value}), out)
        with pixr.open(tmp_path / "new.pixr") as new:
            with pytest.raises(InvalidBatch, match=r"films\.parquet is damaged"):
                new.load(out)
            assert state(new) == (0, {}, [])


def test_the_error_of_a_column_whose_name_is_damaged_names_the_file(library: pixr.Library, tmp_path: Path) -> None:
    """The reader's own error came out, without a name or a code."""
    out = tmp_path / "films.parquet"
    library.export(out)
    out.write_bytes(out.read_bytes().replace(b"speech.text", b"speech\xfftext"))
    with pytest.raises(InvalidBatch, match=r"films\.parquet is not a Parquet file, or is damaged"):
        library.load(out)


def test_words_that_another_program_keeps_in_a_dictionary_are_read(library: pixr.Library, tmp_path: Path) -> None:
    """A file was refused that had passed through pandas or polars as categories, which `add_segments` takes."""
    out = tmp_path / "films.parquet"
    library.export(out)
    table = pq.read_table(out)
    for place, name in enumerate(table.column_names):
        if name in ("video_id", "speech.text"):
            table = table.set_column(place, name, table[name].dictionary_encode())
    for rows_kept in (0, 3):
        pq.write_table(table.slice(0, rows_kept), out)
        with pixr.open(tmp_path / f"{rows_kept}.pixr") as new:
            assert new.load(out) == rows_kept
            assert list(new.videos()) == list(library.videos())[:rows_kept]
            for video in new.videos():
                assert list(new.segments(video.id)) == list(library.segments(video.id)) != []


def test_rows_that_are_refused_leave_no_space_behind(library: pixr.Library, tmp_path: Path) -> None:
    out = tmp_path / "films.parquet"
    with_vectors(library).export(out)
    table = pq.read_table(out)
    frame = pa.array([[float("nan"), 0.0, 0.0]] * len(table), pa.list_(pa.float32()))
    pq.write_table(table.set_column(table.schema.get_field_index("frame.vector"), "frame.vector", frame), out)
    with pixr.open(tmp_path / "new.pixr") as new:
        with pytest.raises(InvalidVector):
            new.load(out)
        assert state(new) == (0, {}, [])
    library.export(out)
    with pixr.open(tmp_path / "other.pixr") as other:
        vector = pa.array([[1.0, 0.0]], pa.list_(pa.float32()))
        other.add_segments(pa.record_batch({"video_id": ["x"], "start": [0.0], "end": [1.0], "frame": vector}))
        before = state(other)
        with pytest.raises(SpaceMismatch):
            other.load(out)
        assert state(other) == before


def test_rows_that_are_more_than_one_write_takes_are_read(library: pixr.Library, tmp_path: Path) -> None:
    """What was exported of wide vectors was refused: 9,000 rows with two of 8,192 components are 295 MB."""
    out = tmp_path / "films.parquet"
    library.export(out)
    table = pq.read_table(out)
    told = pa.array(["x" * (90 << 20)] * len(table))
    column = table.schema.get_field_index("speech.description")
    pq.write_table(table.set_column(column, "speech.description", told), out)
    with pixr.open(tmp_path / "new.pixr", sync="none") as new:
        assert new.load(out) == len(table) == 3
        assert [video.id for video in new.videos()] == ["a", "b", "c"]


def foreign(**columns: Any) -> pa.Table:
    """As another program writes it: no settings, and names of its own."""
    vectors = pa.array([[0.0, 2.0], [3.0, 0.0], None], pa.list_(pa.float64()))
    span = {"from": [0, 5, 0], "to": [5, 10, 8]}
    return pa.table({"clip": [7, 7, 8], **span, "embedding": vectors, "said": ["a", "b", "c"], **columns})


OURS = {"video_id": "clip", "start": "from", "end": "to", "frame": "embedding", "speech": "said"}


def test_the_file_of_another_program_is_read_by_the_names_that_it_has(tmp_path: Path) -> None:
    pq.write_table(foreign(when=pa.array([0, 1, 2], pa.timestamp("us", "UTC"))), tmp_path / "clips.parquet")
    with pixr.open(tmp_path / "new.pixr") as new:
        assert new.load(tmp_path / "clips.parquet", columns=OURS) == 2
        assert [(one.start, one.end) for one in new.segments("7")] == [(0.0, 5.0), (5.0, 10.0)]
        assert new.info()["spaces"]["frame"] == {"name": "custom", "version": "1", "dimension": 2}
        (hit,) = new.search(vectors={"frame": [1.0, 0.0]}, limit=1)
        assert (hit.video.id, hit.moments[0].start) == ("7", 5.0)
        (hit,) = new.search('"c"', modes=["audio"])
        assert hit.video.id == "8"


@pytest.mark.parametrize("list_of", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_vectors_of_another_program_need_no_space(
    tmp_path: Path, list_of: Callable[[pa.DataType], pa.DataType], kind: pa.DataType
) -> None:
    """The library had no space for them, and the user was told that `pixr reindex` changes it."""
    vectors = pa.array([[np.float16(0.0), np.float16(1.0)]], list_of(kind))
    batch = pa.table({"video_id": ["a"], "start": [0.0], "end": [5.0], "frame.vector": vectors})
    pq.write_table(batch, tmp_path / "a.parquet")
    with pixr.open(tmp_path / "new.pixr") as new:
        assert new.load(tmp_path / "a.parquet") == 1
        assert [hit.video.id for hit in new.search(vectors={"frame": [0.0, 1.0]})] == ["a"]


def test_vectors_may_begin_in_any_row(tmp_path: Path) -> None:
    rows_before = parquet._ROWS_PER_READ + 1
    vectors = pa.array([None] * rows_before + [[1.0, 0.0]], pa.list_(pa.float32()))
    span = {"start": np.zeros(len(vectors)), "end": np.ones(len(vectors))}
    batch = pa.table({"video_id": [f"v{number}" for number in range(len(vectors))], **span, "frame": vectors})
    pq.write_table(batch, tmp_path / "a.parquet")
    with pixr.open(tmp_path / "new.pixr", sync="none") as new:
        assert new.load(tmp_path / "a.parquet") == len(vectors)
        (hit,) = new.search(vectors={"frame": [1.0, 0.0]}, limit=1)
        assert hit.video.id == f"v{rows_before}"


def test_what_is_expected_and_what_is_there_is_said_of_columns_that_are_refused(tmp_path: Path) -> None:
    """The user was told a name that is missing, or that a type is wrong, one by one."""
    file = tmp_path / "clips.parquet"
    pq.write_table(foreign(nested=pa.array([{"a": 1}] * 3)), file)
    when = pa.array([0, 1, 2], pa.timestamp("us", "UTC"))
    with pixr.open(tmp_path / "new.pixr") as new:
        refused: list[tuple[dict[str, str] | None, str]] = [
            (None, 'no column "video_id"'),
            ({"video_id": "clip"}, 'no column "start"'),
            ({**OURS, "frame": "absent"}, "no column is called 'absent'"),
            ({**OURS, "smell": "said"}, 'column "smell" is none of'),
            ({**OURS, "screen": "nested"}, 'column "screen" is Struct'),
        ]
        for columns, what in refused:
            with pytest.raises(InvalidBatch) as raised:
                new.load(file, columns=columns)
            told = str(raised.value)
            assert told.startswith(f"{file}: {what}")
            assert "video_id (text), start and end (seconds)" in told
            assert "the file has clip (int64), from (int64), to (int64), embedding (list<" in told
            assert "--column video_id=NAME" in told
        pq.write_table(foreign().set_column(1, "from", when), file)
        with pytest.raises(InvalidBatch, match=r'column "start" is Timestamp.* from \(timestamp\[us, tz=UTC\]\)'):
            new.load(file, columns=OURS)
        pq.write_table(foreign().rename_columns(["clip", "to", "to", "embedding", "said"]), file)
        with pytest.raises(InvalidBatch, match="several columns are called 'to'"):
            new.load(file, columns={**OURS, "start": "clip"})
        for no_names in (["clip"], {"video_id": 3}):
            with pytest.raises(InvalidQuery, match="columns"):
                new.load(file, columns=no_names)  # type: ignore[arg-type]
        assert state(new) == (0, {}, [])


def test_an_empty_library_goes_and_comes_back(tmp_path: Path) -> None:
    with pixr.open(tmp_path / "empty.pixr") as library, pixr.open(tmp_path / "new.pixr") as new:
        assert library.export(tmp_path / "empty.parquet") == 0
        assert new.load(tmp_path / "empty.parquet") == 0


def test_a_file_that_is_not_there_is_an_error(library: pixr.Library, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"absent\.parquet"):
        library.load(tmp_path / "absent.parquet")


@pytest.mark.parametrize("name", ["at 12:30.parquet", "file:films.parquet", "monday:films.parquet", "films.parquet"])
def test_a_file_may_have_any_name(
    library: pixr.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Arrow took a name with a colon for an address: a traceback of its own, and for some the process died."""
    monkeypatch.chdir(tmp_path)
    assert library.export(name) == 3
    with pixr.open("other.pixr") as other:
        assert other.load(name) == 3


def test_two_exports_to_one_file_at_once_leave_one_that_is_whole(library: pixr.Library, tmp_path: Path) -> None:
    """They wrote into one file: the first was told that all is well, and what was left was damaged."""
    large = pixr.open(tmp_path / "large.pixr", sync="none")
    large.add_segments(rows(*(f"{number} of many" for number in range(2000))))
    file = tmp_path / "films.parquet"
    for number in range(4):
        with ThreadPoolExecutor() as pool:
            counts = [export.result() for export in [pool.submit(one.export, file) for one in (library, large)]]
        assert counts == [3, 2000]
        with pixr.open(tmp_path / f"other{number}.pixr") as other:
            assert other.load(file) in counts
    assert list(tmp_path.glob("films.parquet*")) == [file]


def test_a_name_that_no_file_can_have_is_an_error(library: pixr.Library) -> None:
    with pytest.raises(StorageError):
        library.export(".")


def test_what_is_exported_is_read_by_programs_that_do_not_know_arrow(library: pixr.Library, tmp_path: Path) -> None:
    """Arrow's own schema stood beside that of Parquet, and with it pyarrow before 26 told a damaged file.

    It made lists of one length of the vectors, which it could not read where a row has none.
    """
    with_vectors(library).export(tmp_path / "films.parquet")
    told = pq.read_metadata(tmp_path / "films.parquet").metadata
    assert b"pixr.settings" in told
    assert b"ARROW:schema" not in told
    assert pa.types.is_list(pq.read_schema(tmp_path / "films.parquet").field("frame.vector").type)


def test_a_row_without_a_vector_is_written_without_room_for_one(
    library: pixr.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room was kept for each, which pyarrow before 25 refuses to write where a row between others has none.

    Whoever had such a pyarrow was told that this is not supported, and had no export.
    """
    vectors = pa.array([[1.0, 0.0], None, [0.0, 1.0]], pa.list_(pa.float32()))
    span = {"start": [0.0, 5.0, 10.0], "end": [5.0, 10.0, 15.0]}
    library.add_segments(pa.record_batch({"video_id": ["a"] * 3, **span, "frame": vectors}))
    given: list[pa.RecordBatch] = []
    write_batch = pq.ParquetWriter.write_batch

    def watch(writer: pq.ParquetWriter, batch: pa.RecordBatch) -> None:
        given.append(batch)
        write_batch(writer, batch)

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", watch)
    library.export(tmp_path / "films.parquet")
    (batch,) = given
    frames = batch.column("frame.vector")
    assert [None if vector is None else len(vector) for vector in frames.to_pylist()] == [2, None, 2, None, None]
    assert len(frames.values) == 4
    assert [row["frame.vector"] for row in rows_of(tmp_path / "films.parquet")] == frames.to_pylist()
