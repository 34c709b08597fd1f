"""Re-embedding: the old space serves until the new one is complete; an interruption loses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixr
from pixr import reindex as reindex_module
from pixr.encoders import EncoderOptions
from pixr.progress import Progress
from pixr.types import Channel
from tests.python.clips import make_clip

pytest.importorskip("av")

OPTIONS = EncoderOptions(threads=1, batch_size=4)

# Re-embeds the library slowly enough to be killed between two videos.
CHILD = """
import sys, time
import pixr
from pixr.encoders import EncoderOptions

def told(step):
    print("done", flush=True)
    time.sleep(0.3)

with pixr.open(sys.argv[1]) as library:
    options = EncoderOptions(threads=1, batch_size=4)
    print(library.reindex(sys.argv[2:], encoder_options=options, on_progress=told).complete, flush=True)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / f"{at}.mp4", ["red", "green", str(at)]) for at in range(3)]


def index(path: Path, clips: list[Path], encoder: Any) -> None:
    with pixr.open(path, encoder=encoder, encoder_options=OPTIONS) as library:
        for clip in clips:
            library.add(clip, title=f"clip {clip.stem}", speech=False, screen=False)


@pytest.fixture(scope="module")
def indexed(recorded: Path, clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indexed") / "l.pixr"
    index(path, clips, recorded / "clip")
    return path


@pytest.fixture
def library(indexed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(indexed, tmp_path / "l.pixr"))


def vectors(path: Path, channel: Channel = "frame") -> dict[tuple[str, float, float], Any]:
    with pixr.open(path, read_only=True) as library:
        return {
            (video.id, row["start"], row["end"]): row[f"{channel}.vector"]
            for video in library.videos()
            for row in library._rows(video.id)
            if row.get(f"{channel}.vector") is not None
        }


def space(path: Path) -> str:
    with pixr.open(path, read_only=True) as library:
        return str(library.info()["spaces"]["frame"]["name"])


def test_a_reindexed_library_equals_one_that_was_indexed_so(
    library: Path, recorded: Path, clips: list[Path], tmp_path: Path
) -> None:
    with pixr.open(library) as opened:
        report = opened.reindex([recorded / "siglip", recorded / "sentence-mean"], encoder_options=OPTIONS)
    assert report.complete
    assert report.channels == ("frame", "metadata", "speech")
    assert report.encoded == 3
    index(tmp_path / "new.pixr", clips, [recorded / "siglip", recorded / "sentence-mean"])
    channel: Channel
    for channel in ("frame", "metadata"):
        got, wanted = vectors(library, channel), vectors(tmp_path / "new.pixr", channel)
        assert got.keys() == wanted.keys()
        for key, vector in got.items():
            np.testing.assert_allclose(vector, wanted[key], atol=2e-3)  # stored as f16
    assert not (library / "reindex").exists()
    with pixr.open(library, read_only=True, encoder_options=OPTIONS) as opened:
        hits = opened.search("green", min_score=0.0)
        assert (len(hits), hits.warnings) == (3, ())
        assert opened.check()["damaged"] == []


def test_the_old_space_serves_meanwhile_and_an_interrupted_run_goes_on(library: Path, recorded: Path) -> None:
    served: list[tuple[str, int]] = []

    def interrupt(step: Progress) -> None:
        with pixr.open(library, read_only=True, encoder_options=OPTIONS) as reader:
            served.append((space(library), len(reader.search("red", min_score=0.0))))
        if step.seconds_done == 2:
            raise KeyboardInterrupt

    with pixr.open(library) as opened, pytest.raises(KeyboardInterrupt):
        opened.reindex(recorded / "siglip", encoder_options=OPTIONS, on_progress=interrupt)
    assert served == [("clip", 3), ("clip", 3)]
    with pixr.open(library) as opened:
        report = opened.reindex(recorded / "siglip", encoder_options=OPTIONS)
        assert (report.encoded, report.complete) == (1, True)
        assert len(opened.search("red", min_score=0.0)) == 3  # this handle asks with the new model at once
    assert space(library) == "siglip"


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
@pytest.mark.parametrize("videos", [1, 3])
def test_a_killed_run_leaves_the_old_space_whole_and_goes_on(library: Path, recorded: Path, videos: int) -> None:
    """Killed after so many videos; with three, somewhere about the change itself."""
    before = vectors(library)
    command = [sys.executable, "-c", CHILD, str(library), str(recorded / "siglip")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        for _ in range(videos):
            assert child.stdout.readline() == "done\n"
        if videos == 3:
            time.sleep(0.32)  # the pause that the child makes, and a little
        child.kill()
    with pixr.open(library, encoder_options=OPTIONS) as opened:
        changed = opened.info()["spaces"]["frame"]["name"] == "siglip"
        assert opened.check()["damaged"] == []
        assert videos == 3 or not changed
        if not changed:
            assert vectors(library) == before
            assert len(opened.search("red", min_score=0.0)) == 3
        report = opened.reindex(recorded / "siglip", encoder_options=OPTIONS)
        assert report.complete
        assert report.encoded <= 3 - videos
        assert len(opened.search("red", min_score=0.0)) == 3
    assert space(library) == "siglip"
    assert not (library / "reindex").exists()


@pytest.mark.parametrize("removed", [1, 3])
def test_a_kill_while_what_was_staged_is_removed_costs_nothing(
    library: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    """It left a manifest without its files in `reindex/`, and every later run said that a file was missing."""

    def interrupt(step: Progress) -> None:
        raise KeyboardInterrupt

    gone: list[object] = []
    unlink = os.unlink

    def killed(*path: Any, **of: Any) -> None:
        if len(gone) == removed:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(*path, **of)

    with pixr.open(library) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.reindex(recorded / "siglip", encoder_options=OPTIONS, on_progress=interrupt)
        monkeypatch.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            opened.reindex(recorded / "sentence-mean", encoder_options=OPTIONS)
        monkeypatch.undo()
        assert len(gone) == removed
        assert opened.reindex(recorded / "sentence-mean", encoder_options=OPTIONS).complete
    assert not list(library.glob("reindex*"))


def test_what_an_interrupted_run_staged_of_a_deleted_video_is_gone_after_compact(library: Path, recorded: Path) -> None:
    """Its id and new vectors stayed in `reindex/`, and the receipt of `compact` said that they were in no file."""

    def interrupt(step: Progress) -> None:
        if step.seconds_done == 2:
            raise KeyboardInterrupt

    def holding(id: str) -> list[Path]:
        return [file for file in library.rglob("*") if file.is_file() and id.encode() in file.read_bytes()]

    with pixr.open(library) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.reindex(recorded / "siglip", encoder_options=OPTIONS, on_progress=interrupt)
        first = next(opened.videos()).id
        assert [file for file in holding(first) if "reindex" in file.parts]
        opened.delete(first)
        opened.compact()
        assert holding(first) == []
        assert opened.reindex(recorded / "siglip", encoder_options=OPTIONS).encoded == 1


@pytest.mark.parametrize("file", ["MANIFEST", "parts/*", "wal/*"])
@pytest.mark.parametrize("compacts", [True, False])
def test_what_was_staged_and_damaged_since_is_made_anew(
    library: Path, recorded: Path, file: str, compacts: bool
) -> None:
    """Neither a reindexing nor `compact` ended any more, until somebody removed `reindex/`."""

    def interrupt(step: Progress) -> None:
        if step.seconds_done == 2:
            raise KeyboardInterrupt

    with pixr.open(library) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.reindex(recorded / "siglip", encoder_options=OPTIONS, on_progress=interrupt)
        damaged = max((library / "reindex").glob(file), key=lambda path: path.stat().st_size)
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 0x55
        damaged.write_bytes(content)
        if compacts:
            opened.compact()
        report = opened.reindex(recorded / "siglip", encoder_options=OPTIONS)
        assert (report.encoded, report.complete) == (3, True)
        assert len(opened.search("red", min_score=0.0)) == 3


def test_readers_that_stay_open_go_over_with_the_library(library: Path, recorded: Path) -> None:
    with pixr.open(library, read_only=True, encoder_options=OPTIONS) as reader:
        assert len(reader.search("red", modes=["visual"], min_score=0.0)) == 3
        with pixr.open(library) as opened:
            opened.reindex(recorded / "siglip", encoder_options=OPTIONS)
        time.sleep(0.06)  # readers look again after 50 ms
        hits = reader.search("red", modes=["visual"], min_score=0.0)
        assert (len(hits), hits.warnings) == (3, ())


def test_others_write_while_a_reading_handle_reindexes(
    library: Path, recorded: Path, clips: list[Path], tmp_path: Path
) -> None:
    late = make_clip(tmp_path / "late.mp4", ["late"])
    written: list[str] = []

    def write(step: Progress) -> None:
        if not written:
            with pixr.open(library, encoder_options=OPTIONS) as other:
                written.append(other.add(late, title="late", speech=False, screen=False).id)
                other.update(next(id for id, _, _ in vectors(library) if id != written[0]), title="renamed")

    with pixr.open(library, read_only=True) as opened:
        report = opened.reindex(recorded / "siglip", encoder_options=OPTIONS, on_progress=write)
    assert (report.complete, report.encoded) == (True, 5)  # three, the late one, and the renamed one once more
    assert written[0] in {id for id, _, _ in vectors(library)}
    assert {len(vector) for vector in vectors(library).values()} == {
        pixr.open(library, read_only=True).info()["spaces"]["frame"]["dimension"]
    }


def test_a_file_that_is_another_one_now_is_not_read(recorded: Path, clips: list[Path], tmp_path: Path) -> None:
    copy = Path(shutil.copy(clips[0], tmp_path / "clip.mp4"))
    index(tmp_path / "l.pixr", [copy], recorded / "clip")
    shutil.copy(clips[1], copy)
    with pixr.open(tmp_path / "l.pixr") as library:
        report = library.reindex(recorded / "siglip", encoder_options=OPTIONS)
    assert not report.complete
    assert "not the file that was indexed" in report.failed[0][1]


def test_what_changed_since_an_interrupted_run_is_done_again(library: Path, recorded: Path) -> None:
    def interrupt(step: Progress) -> None:
        raise KeyboardInterrupt

    with pixr.open(library) as opened:
        with pytest.raises(KeyboardInterrupt):
            opened.reindex(recorded / "sentence-mean", encoder_options=OPTIONS, on_progress=interrupt)
        first = next(opened.videos())
        opened.update(first.id, title="another title")
        report = opened.reindex(recorded / "sentence-mean", encoder_options=OPTIONS)
        assert (report.encoded, report.channels) == (3, ("metadata", "speech"))


def test_a_video_whose_source_is_gone_holds_the_change_up_unless_it_is_left_out(
    recorded: Path, clips: list[Path], tmp_path: Path
) -> None:
    copies = [Path(shutil.copy(clip, tmp_path)) for clip in clips]
    path = tmp_path / "l.pixr"
    index(path, copies, recorded / "clip")
    copies[1].unlink()
    with pixr.open(path) as library:
        report = library.reindex(recorded / "siglip", encoder_options=OPTIONS)
        assert (report.complete, report.encoded, len(report.failed)) == (False, 2, 1)
        assert "not there any more" in report.failed[0][1]
    assert space(path) == "clip"
    with pixr.open(path) as library:
        report = library.reindex(recorded / "siglip", encoder_options=OPTIONS, leave_out_failed=True)
        assert (report.complete, report.encoded) == (True, 0)
        gone = report.failed[0][0]
    assert space(path) == "siglip"
    assert gone.id not in {id for id, _, _ in vectors(path)}
    assert gone.id in {id for id, _, _ in vectors(path, "metadata")}  # other channels keep theirs


def test_a_crash_right_after_the_change_keeps_it(
    library: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(reindex_module, "remember", crash)
    opened = pixr.open(library)
    with pytest.raises(MemoryError):
        opened.reindex(recorded / "siglip", encoder_options=OPTIONS)
    crashed = Path(shutil.copytree(library, library.with_name("crashed.pixr")))
    opened.close()
    assert space(crashed) == "siglip"
    monkeypatch.undo()
    with pixr.open(crashed, encoder_options=OPTIONS) as again:
        assert again.reindex(recorded / "siglip", encoder_options=OPTIONS).complete
        assert len(again.search("red", min_score=0.0)) == 3


def test_back_to_the_embedded_models(library: Path) -> None:
    with pixr.open(library) as opened:
        report = opened.reindex("embedded", encoder_options=OPTIONS)
        assert (report.complete, report.channels) == (True, ("frame",))
        assert opened.reindex("embedded", encoder_options=OPTIONS).channels == ()
    assert space(library) == "concepts"
