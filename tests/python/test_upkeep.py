"""What a library does as a whole, from Python; the engine's own tests go deeper."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

import pixr
from pixr.encoder_choice import Choice, recall, remember
from pixr.errors import (
    BackupMismatch,
    CursorExpired,
    InvalidCursor,
    InvalidName,
    InvalidQuery,
    LibraryClosed,
    LibraryExists,
    LibraryLocked,
    NotALibrary,
    ReadOnly,
    SnapshotExists,
    SnapshotNotFound,
    StorageError,
    VideoNotFound,
)
from tests.python.said import rows


def ids(library: pixr.Library) -> list[str]:
    return [video.id for video in library.videos()]


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    opened = pixr.open(tmp_path / "films.pixr")
    opened.add_segments(rows("a", "b", "c"))
    return opened


def test_a_relative_path_means_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `chdir` nothing could be committed, `check` found no file and so no damage, and another might be there."""
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    with pixr.open("films.pixr") as library, pixr.open(there / "films.pixr") as other:
        library.add_segments(rows("a"))
        other.take_snapshot("of-another")
        monkeypatch.chdir(there)
        library.commit()
        library.add_segments(rows("b"))
        assert library.check()["files"] > 1
        assert library.snapshots() == []
        library.take_snapshot("monday")
        library.backup(tmp_path / "backup.pixr")
        library.compact()
    assert library.path == tmp_path / "films.pixr"
    for path, snapshot in [("films.pixr", None), ("films.pixr", "monday"), ("backup.pixr", None)]:
        assert ids(pixr.open(tmp_path / path, read_only=True, snapshot=snapshot)) == ["a", "b"]


def test_an_empty_path_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="empty"):
        pixr.open("")
    assert list(tmp_path.iterdir()) == []


def test_a_handle_that_is_let_go_gives_up_the_lock(library: pixr.Library, tmp_path: Path) -> None:
    """It held itself, so the lock stayed with it until Python looked for circles."""
    library.close()

    def add(id: str) -> None:
        pixr.open(tmp_path / "films.pixr").add_segments(rows(id))

    gc.disable()
    try:
        add("d")
        add("e")
    finally:
        gc.enable()
    assert ids(pixr.open(tmp_path / "films.pixr", read_only=True)) == ["a", "b", "c", "d", "e"]


def test_the_holder_of_the_lock_is_named_at_once_or_after_the_time_given(library: pixr.Library) -> None:
    with pytest.raises(LibraryLocked) as refused:
        pixr.open(library.path)
    assert refused.value.holder == os.getpid()
    begun = time.monotonic()
    with pytest.raises(LibraryLocked):
        pixr.open(library.path, lock_timeout=0.2)
    assert time.monotonic() - begun >= 0.2
    closing = threading.Timer(0.2, library.close)
    closing.start()
    pixr.open(library.path, lock_timeout=30).close()
    closing.join()


def test_a_closed_handle_refuses_to_write_and_shows_what_there_was(library: pixr.Library) -> None:
    """As `close` says: a handle that wrote shows the library as it was, one that only reads as it is."""
    library.close()
    reader = pixr.open(library.path, read_only=True)
    reader.close()
    with pytest.raises(LibraryClosed):
        library.delete("a")
    with pixr.open(library.path) as other:
        other.delete("b")
        assert ids(library) == ["a", "b", "c"]
        time.sleep(0.1)
        assert ids(reader) == ["a", "c"]


def test_a_backup_is_restored_and_guards_itself(library: pixr.Library, tmp_path: Path) -> None:
    (library.path / "encoders.json").write_text('{"encoders": ["some"], "precision": "int8"}')
    receipt = library.backup(tmp_path / "backup")
    assert receipt["copied_files"] > 0
    library.delete("a")
    pixr.restore(tmp_path / "backup", tmp_path / "restored")
    assert recall(tmp_path / "restored") == Choice(("some",), "int8")
    with pixr.open(tmp_path / "restored") as restored:
        assert ids(restored) == ["a", "b", "c"]
    with pytest.raises(LibraryExists):
        pixr.restore(tmp_path / "backup", tmp_path / "restored")
    with pixr.open(tmp_path / "other.pixr") as other, pytest.raises(BackupMismatch):
        other.backup(tmp_path / "backup")
    with pytest.raises(StorageError, match="part of the library"):
        library.backup(library.path / "backup")
    assert not (library.path / "backup").exists()


def test_what_stands_in_the_way_of_a_repair_is_not_called_a_library(library: pixr.Library, tmp_path: Path) -> None:
    """A folder with a text in it was told to be a library already."""
    library.close()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    with pytest.raises(LibraryExists, match="saved is there already, and is not empty"):
        pixr.repair(library.path, tmp_path / "saved")
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["notes.txt"]


def test_what_was_read_before_a_restore_is_not_taken_for_what_came_after(library: pixr.Library, tmp_path: Path) -> None:
    """Snapshots are counted on from the backup's, so a cursor went on, and a reader too, in another library's rows."""
    library.commit()
    library.backup(tmp_path / "backup")
    library.add_segments(rows("old-1"))
    reader = pixr.open(library.path, read_only=True)
    page = reader.search("solar", limit=1)
    assert page.total == 4
    library.close()
    shutil.rmtree(library.path)
    pixr.restore(tmp_path / "backup", library.path)
    with pixr.open(library.path) as restored:
        for id in ("new-1", "new-2"):
            restored.add_segments(rows(id))
            time.sleep(0.06)  # readers look again after 50 ms
            assert ids(reader) == ids(restored)
            for handle in (reader, restored):
                with pytest.raises(InvalidCursor, match="from before a restore"):
                    handle.search("solar", limit=1, cursor=page.next_cursor)
        assert "new-2" in ids(reader)


def holding(library: pixr.Library, text: str) -> list[Path]:
    return [file for file in library.path.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_compact_gives_no_receipt_for_what_could_not_be_removed(library: pixr.Library) -> None:
    """It failed once and succeeded at the second call, with everything that was deleted still in its file."""
    library.add_segments(rows("to-be-deleted"))
    library.commit()
    in_the_way = library.path / "parts" / f"{0:016}.part"
    in_the_way.mkdir()
    library.delete("to-be-deleted")
    for _ in range(2):
        with pytest.raises(StorageError, match=in_the_way.name):
            library.compact()
    assert holding(library, "to-be-deleted") == []  # what can be removed is
    in_the_way.rmdir()
    library.compact()
    assert library.check()["damaged"] == []
    assert ids(library) == ["a", "b", "c"]


def test_the_receipt_counts_videos_that_were_deleted_before_they_were_in_a_part(library: pixr.Library) -> None:
    library.commit()
    library.add_segments(rows("d", "e"))
    library.add_segments(rows("e"))
    library.delete("a", "d", "e")
    assert holding(library, "solar panels") != []
    assert library.compact()["removed_videos"] == 3
    assert library.compact()["removed_videos"] == 0


def test_parts_of_two_spaces_are_mended_without_a_manifest(library: pixr.Library, tmp_path: Path) -> None:
    """Where a crash left the part before a change of spaces, nothing of the library was saved."""

    def vectors(count: int) -> pa.RecordBatch:
        columns = {"video_id": ["a", "d"], "start": [0.0] * 2, "end": [5.0] * 2}
        return pa.record_batch({**columns, "frame.vector": pa.array([[1.0] * count] * 2, pa.list_(pa.float32()))})

    library.add_segments(vectors(4))
    library.commit()
    before = {file: file.read_bytes() for file in (library.path / "parts").iterdir()}
    all_ids, number = library._engine.video_ids(), library.info()["snapshot"]
    library._engine.respace([("frame", "new", "1", 3, "{}")], all_ids, vectors(3), number)
    library.add_segments(rows("e"))
    library.close()
    for file, content in before.items():
        file.write_bytes(content)
    (library.path / "MANIFEST").unlink()
    report = pixr.repair(library.path, tmp_path / "mended")
    assert (report["videos"], report["incomplete_videos"], report["lost_video_count"]) == (5, [], 0)
    assert any("frame vectors are of another space" in line for line in report["damaged"])
    with pixr.open(tmp_path / "mended") as mended:
        assert ids(mended) == ["a", "b", "c", "d", "e"]
        assert mended.search(vectors={"frame": [1.0] * 3}, min_score=0.0).total == 2


def test_a_snapshot_stays_as_it_was(library: pixr.Library) -> None:
    library.take_snapshot("monday")
    library.delete("a")
    library.compact()
    with pixr.open(library.path, snapshot="monday") as monday:
        assert ids(monday) == ["a", "b", "c"]
        assert monday.search("solar").total == 3
        with pytest.raises(ReadOnly):
            monday.delete("a")
    assert library.search("solar").total == 2
    assert [one["name"] for one in library.snapshots()] == ["monday"]
    with pytest.raises(SnapshotExists):
        library.take_snapshot("monday")
    with pytest.raises(InvalidName):
        library.take_snapshot("a/b")
    library.delete_snapshot("monday")
    with pytest.raises(SnapshotNotFound):
        pixr.open(library.path, snapshot="monday")


def test_a_folder_of_someone_elses_in_a_deleted_snapshot_holds_nothing_up(library: pixr.Library) -> None:
    """File servers make one in every folder. The library could then no longer be opened to write."""
    library.take_snapshot("monday")
    (library.path / "snapshots" / "monday" / "@eaDir").mkdir()
    library.delete_snapshot("monday")
    assert library.snapshots() == []
    library.close()
    with pixr.open(library.path) as again:
        again.take_snapshot("monday")
        assert ids(pixr.open(library.path, snapshot="monday")) == ["a", "b", "c"]


def test_the_record_of_the_models_is_in_a_copy_that_failed_at_its_last_step(
    library: pixr.Library, tmp_path: Path
) -> None:
    """It was copied after the manifest: a restore that failed in between had none, and could not be made again."""
    choice = Choice(("clip",), "auto")
    remember(library.path, choice)
    in_the_way = tmp_path / "copy" / "MANIFEST.tmp"
    in_the_way.mkdir(parents=True)
    with pytest.raises(StorageError):
        library.backup(tmp_path / "copy")
    assert recall(tmp_path / "copy") == choice


def test_repair_makes_a_library_of_what_is_left(library: pixr.Library, tmp_path: Path) -> None:
    library.close()
    for part in (library.path / "parts").iterdir():
        part.unlink()
    report = pixr.repair(library.path, tmp_path / "saved")
    assert (report["videos"], report["lost_video_count"]) == (0, 3)
    assert len(report["damaged"]) == 1
    assert ids(pixr.open(tmp_path / "saved")) == []


def test_a_library_of_more_than_one_write_takes_is_repaired(tmp_path: Path) -> None:
    """Two hundred films, or one that grew in several writes, were put into one record, too long for the log."""
    with pixr.open(tmp_path / "films.pixr", sync="none") as library:
        for start in (0.0, 1.0, 2.0):
            told = {"start": [start], "end": [start + 1], "frame.description": ["x" * (90 << 20)]}
            library.add_segments(pa.record_batch({"video_id": ["long"], **told}))
        library.commit()
    report = pixr.repair(tmp_path / "films.pixr", tmp_path / "saved")
    assert (report["videos"], report["incomplete_videos"], report["damaged"]) == (1, [], [])
    with pixr.open(tmp_path / "saved", read_only=True) as saved:
        assert [segment.start for segment in saved.segments("long")] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("sync", ["always", "group", "none"])
def test_what_was_written_under_any_level_is_there_for_a_reader_at_once(tmp_path: Path, sync: pixr.Sync) -> None:
    with pixr.open(tmp_path / "films.pixr", sync=sync) as library:
        library.add_segments(rows("a"))
        with pixr.open(library.path, read_only=True) as reader:
            assert ids(reader) == ["a"]


def test_another_process_sees_what_is_written_without_opening_again(library: pixr.Library) -> None:
    code = """
import sys, time, pixr
reader = pixr.open(sys.argv[1], read_only=True)
print("open", flush=True)
until = time.monotonic() + 60
while "f" not in [video.id for video in reader.videos()] and time.monotonic() < until:
    time.sleep(0.02)
print(sorted(hit.video.id for hit in reader.search("solar")))
"""
    command = [sys.executable, "-c", code, str(library.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        library.add_segments(rows("d", "e"))
        library.delete("a")
        library.compact()
        library.add_segments(rows("f"))
        assert reader.stdout.readline() == "['b', 'c', 'd', 'e', 'f']\n"


def test_threads_write_and_search_one_library(library: pixr.Library) -> None:
    def write(number: int) -> None:
        for at in range(20):
            library.add_segments(rows(f"{number}-{at}"))
            assert library.search("solar").total > at

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert library.search("solar").total == 83


def test_cursors_expire_at_their_limit(tmp_path: Path) -> None:
    limits = pixr.Limits(cursor_seconds=0.05)
    with pixr.open(tmp_path / "films.pixr", limits=limits) as library:
        library.add_segments(rows("a", "b"))
        cursor = library.search("solar", limit=1).next_cursor
        library.delete("a")
        time.sleep(0.06)
        with pytest.raises(CursorExpired):
            library.search("solar", limit=1, cursor=cursor)


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidQuery, match="sync"):
        pixr.open(tmp_path / "x", sync="often")  # type: ignore[arg-type]
    with pytest.raises(InvalidQuery, match="lock_timeout"):
        pixr.open(tmp_path / "x", lock_timeout=-1)
    with pytest.raises(InvalidQuery, match="lock_timeout is inf, expected a number from 0 to 1,000,000,000"):
        pixr.open(tmp_path / "x", lock_timeout=float("inf"))
    with pytest.raises(InvalidQuery, match=r"limits is dict, pixr\.Limits is expected"):
        pixr.open(tmp_path / "x", limits={"parts": 3})  # type: ignore[arg-type]
    for limits in ({"parts": -1}, {"log_bytes": 1.5}, {"writer_memory": 1 << 80}, {"cursor_seconds": float("nan")}):
        (name,) = limits
        with pytest.raises(InvalidQuery, match=f"^{name} is "):
            pixr.Limits(**limits)
    assert not (tmp_path / "x").exists()


CALLS_BY_ID: dict[str, Callable[[pixr.Library, str], object]] = {
    "video": lambda library, id: library.video(id),
    "segments": lambda library, id: library.segments(id),
    "transcript": lambda library, id: library.transcript(id),
    "chapters": lambda library, id: library.chapters(id),
    "update": lambda library, id: library.update(id, title="x"),
    "delete": lambda library, id: library.delete("a", id),
}


@pytest.mark.parametrize("call", CALLS_BY_ID)
def test_an_id_that_is_no_text_is_no_videos(library: pixr.Library, call: str) -> None:
    """JSON and the command line may give half of a surrogate pair: a UnicodeEncodeError, which was told as a bug."""
    with pytest.raises(VideoNotFound, match="half of a surrogate pair"):
        CALLS_BY_ID[call](library, "\udcff")
    assert ids(library) == ["a", "b", "c"]


def test_a_name_that_is_no_text_is_no_snapshots(library: pixr.Library) -> None:
    for call in (library.take_snapshot, library.delete_snapshot, lambda name: pixr.open(library.path, snapshot=name)):
        with pytest.raises(InvalidName, match="half of a surrogate pair"):
            call("\udcff")
        with pytest.raises(InvalidName, match="3 is no name for a snapshot"):
            call(3)  # type: ignore[arg-type]


def test_a_writer_whose_directory_was_replaced_leaves_the_other_alone(library: pixr.Library, tmp_path: Path) -> None:
    """It wrote its parts and manifest over those of the library that was restored there, which no open read again."""
    library.backup(tmp_path / "backup")
    library.path.rename(tmp_path / "moved.pixr")
    pixr.restore(tmp_path / "backup", library.path)
    before = {file: file.read_bytes() for file in library.path.rglob("*") if file.is_file()}
    with pytest.raises(StorageError, match="another LOCK has taken the place"):
        library.add_segments(rows("late"))
    for call in (library.commit, library.compact, lambda: library.take_snapshot("monday"), library.close):
        with pytest.raises(StorageError, match="another LOCK has taken the place"):
            call()
    assert {file: file.read_bytes() for file in library.path.rglob("*") if file.is_file()} == before
    with pixr.open(library.path) as restored:
        assert ids(restored) == ["a", "b", "c"]
        assert restored.check()["damaged"] == []
    with pixr.open(tmp_path / "moved.pixr") as moved:
        assert ids(moved) == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["moved", "removed", "emptied"])
def test_nothing_is_acknowledged_where_the_library_is_gone(library: pixr.Library, tmp_path: Path, how: str) -> None:
    """What was added went to a file without a name, and was gone with the process; a commit said it, if one came."""
    if how == "moved":
        library.path.rename(tmp_path / "moved.pixr")
    else:
        shutil.rmtree(library.path)
    if how == "emptied":
        library.path.mkdir()
    for call in (
        lambda: library.add_segments(rows("late")),
        lambda: library.update("a", title="late"),
        lambda: library.delete("a"),
        lambda: library.take_snapshot("monday"),
        lambda: library.reindex("minilm"),
    ):
        with pytest.raises(StorageError, match=r"is not there any more"):
            call()
    assert ids(library) == ["a", "b", "c"]
    assert library.path.exists() == (how == "emptied")
    if how == "moved":
        (tmp_path / "moved.pixr").rename(library.path)
        library.add_segments(rows("d"))
        library.close()
        with pixr.open(library.path) as again:
            assert ids(again) == ["a", "b", "c", "d"]


def test_a_writer_whose_lock_was_removed_gives_way_to_the_next(library: pixr.Library) -> None:
    """Both wrote to one log, each over what the other was told to be there for good."""
    library.commit()
    (library.path / "LOCK").unlink()
    with pixr.open(library.path) as other:
        for call in (lambda: library.add_segments(rows("lost")), library.compact, lambda: library.take_snapshot("x")):
            with pytest.raises(StorageError, match="another LOCK has taken the place"):
                call()
        other.add_segments(rows("d"))
    with pixr.open(library.path) as again:
        assert ids(again) == ["a", "b", "c", "d"]


def test_a_repair_that_was_killed_leaves_no_library_and_is_run_again(library: pixr.Library, tmp_path: Path) -> None:
    """It left a library of a part of the videos, and the next run refused to replace it."""
    library.close()
    saved = tmp_path / "saved.pixr"
    with pixr.open(saved / "snapshots" / "repair") as half:  # as it is when the first video was saved
        half.add_segments(rows("half"))
    (saved / "UNFINISHED").touch()
    with pytest.raises(NotALibrary):
        pixr.open(saved)
    assert pixr.repair(library.path, saved)["videos"] == 3
    with pixr.open(saved) as repaired:
        assert ids(repaired) == ["a", "b", "c"]
        assert (repaired.check()["damaged"], repaired.snapshots()) == ([], [])
    assert not (saved / "snapshots").exists()
