"""`pixr index` on real files: what is broken is told, what is there is skipped, an interruption loses nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import pixr
from pixr.show.thumbnails import local_file
from pixr.wire import source_name
from tests.python.cli.process import COMMAND, Run, Screen
from tests.python.clips import make_clip
from tests.python.media.videos import cut_video, write_video

pytest.importorskip("av")

QUICK = ("--no-speech", "--no-screen")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_broken_file_is_reported_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    make_clip(tmp_path / "a good.mp4", ["one"])
    (tmp_path / "broken.mp4").write_bytes(b"this is no video at all")
    make_clip(tmp_path / "last.mp4", ["two", "three"])
    done = run("index", "films.pixr", ".", *QUICK, "--tag", "test", "--metadata", "room=12", "--json")
    assert done.returncode == 1
    rows = {os.path.basename(row["source"]): row for row in json.loads(done.stdout)["videos"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a good.mp4": "completed",
        "broken.mp4": "failed",
        "last.mp4": "completed",
    }
    assert rows["broken.mp4"]["error"]["code"] == "unreadable_video"
    assert rows["last.mp4"]["duration"] == pytest.approx(4.0, abs=0.2)
    assert rows["last.mp4"]["tags"] == ["test"]
    assert rows["last.mp4"]["metadata"] == {"room": 12}
    assert "broken.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    again = run("index", "films.pixr", "a good.mp4", "last.mp4", *QUICK, "--json")
    assert again.returncode == 0
    assert [row["status"] for row in json.loads(again.stdout)["videos"]] == ["skipped", "skipped"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["a good.mp4", "broken.mp4", "films.pixr", "last.mp4"], "no file of the user's is touched"


def test_bad_input_of_every_kind_is_reported_with_its_reason_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    whole = cut_video(tmp_path / "whole.mp4", [1, 2]).read_bytes()
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello, I am not a video")
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "codec.mp4").write_bytes(whole.replace(b"mp4v", b"zzzz").replace(b"esds", b"free"))
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")  # root may read any file but such a one
    pixel = [np.full((1, 1, 3), 200, np.uint8)] * 3
    write_video(tmp_path / "pixel.avi", pixel, codec="mjpeg", pixel_format="yuvj420p")
    done = run("index", "films.pixr", ".", *QUICK, "--jobs", "2", "--json")
    assert done.returncode == 1
    rows = {os.path.basename(row["source"]): row for row in json.loads(done.stdout)["videos"]}
    added = {name for name, row in rows.items() if row["status"] == "completed"}
    assert added == {"whole.mp4", "pixel.avi"}
    reasons = {name: row["error"]["detail"].rpartition(": ")[2] for name, row in rows.items() if name not in added}
    assert reasons == {
        "zero.mp4": "the file is empty",
        "text.mp4": "Invalid data found when processing input",
        "truncated.mp4": "Invalid data found when processing input",
        "codec.mp4": "no decoder for its video codec",
        "loop.mp4": "Too many levels of symbolic links",
    }
    told = done.stderr.splitlines()
    assert len(told) == len(reasons)
    assert all(line.startswith("pixr: failed: ") for line in told)
    with pixr.open(tmp_path / "films.pixr", read_only=True) as library:
        assert {source_name(video) for video in library.videos()} == added


def test_what_is_missing_of_a_video_is_reported(run: Run, tmp_path: Path) -> None:
    """Half a download and a video indexed without speech passed for whole: the warnings went nowhere."""
    cut_video(tmp_path / "half.mp4", list(range(8)), options={"movflags": "+faststart"})
    whole = (tmp_path / "half.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    done = run("index", "films.pixr", "half.mp4", *QUICK, "--json")
    assert done.returncode == 0
    [row] = json.loads(done.stdout)["videos"]
    assert row["status"] == "completed"
    [warning] = row["warnings"]
    assert "of 16.0 s: damaged or cut short" in warning
    assert f"warning: half.mp4: {warning}" in done.stderr


def test_files_that_are_no_videos_are_reported_and_make_no_library(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"this is no video at all")
    done = run("index", "films.pixr", "absent.mp4", "gone.mkv", "broken.mp4", "--json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)["videos"]
    assert [(row["source"], row["error"]["code"]) for row in rows] == [
        ("absent.mp4", "unreadable_video"),
        ("gone.mkv", "unreadable_video"),
        ("broken.mp4", "unreadable_video"),
    ]
    assert "failed: gone.mkv" in done.stderr
    assert all(line.endswith(" [unreadable_video]") for line in done.stderr.splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]
    make_clip(tmp_path / "good.mp4", ["one"])
    one = run("index", "films.pixr", "absent.mp4", "good.mp4", *QUICK, "--json")
    assert sorted(row["status"] for row in json.loads(one.stdout)["videos"]) == ["completed", "failed"]


def test_a_model_that_there_is_not_makes_no_library(run: Run, tmp_path: Path) -> None:
    """A misspelt name, or an extra that lacks, left an empty one."""
    make_clip(tmp_path / "clip.mp4", ["one"])
    done = run("index", "films.pixr", "clip.mp4", *QUICK, "--encoder", "no-such-model")
    assert done.returncode == 1
    assert done.stderr.startswith("pixr: error: no model named 'no-such-model'")
    assert done.stderr.endswith("[model_not_found]\n")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_language_that_the_speech_model_lacks_makes_no_library(run: Run, tmp_path: Path) -> None:
    """The videos were indexed without speech, and skipped when the right model was named afterwards."""
    make_clip(tmp_path / "clip.mp4", ["one"])
    done = run("index", "films.pixr", "clip.mp4", "--no-screen", "--language", "de")
    assert done.returncode == 1
    assert done.stderr.startswith("pixr: error: the speech model in ")
    assert done.stderr.endswith(
        "knows no 'de'; it knows en: name another model, such as whisper-small (--speech-model) [speech_unavailable]\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_language_that_no_recogniser_writes_makes_no_library(run: Run, tmp_path: Path) -> None:
    """An empty one was left, with the models of this run written down in it."""
    make_clip(tmp_path / "clip.mp4", ["one"])
    done = run("index", "films.pixr", "clip.mp4", "--no-speech", "--screen-language", "xx")
    assert done.returncode == 1
    assert done.stderr.startswith("pixr: error: words on screen in xx can't be asked for")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_warning_is_one_line_and_shown_once(run: Run, tmp_path: Path) -> None:
    """Each model had one of its own, with the place in the source where it was raised."""
    make_clip(tmp_path / "clip.mp4", ["one"])
    done = run("index", "films.pixr", "clip.mp4", *QUICK, "--provider", "abacus")
    assert done.returncode == 0
    assert re.fullmatch(r"pixr: execution provider abacus is not available [^\n]*\n", done.stderr)


def test_what_was_left_out_of_videos_is_shown_once_and_recorded_with_each(run: Run, tmp_path: Path) -> None:
    """A library was without speech, and neither the outcome nor standard error said so."""
    for name in ("one.mp4", "two.mp4"):
        cut_video(tmp_path / name, [len(name), ord(name[0])], sound=np.sin, sound_seconds=2.0)
    (tmp_path / "file").touch()  # so that the recogniser can't be kept in it
    asked = ("--no-screen", "--jobs", "1", "--json")
    done = run("index", "films.pixr", "one.mp4", "two.mp4", *asked, PIXR_CACHE_DIR=str(tmp_path / "file"))
    assert done.returncode == 0, done.stderr
    warning = "indexed without speech: the speech model can't be stored"
    for row in json.loads(done.stdout)["videos"]:
        assert (row["status"], len(row["warnings"])) == ("completed", 1)
        assert row["warnings"][0].startswith(warning)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pixr: warning: one.mp4: {warning}")


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("cv2", "pixr: warning: one.mp4: indexed without words on screen: rapidocr can't be loaded: "),
        ("onnxruntime", "pixr: error: onnxruntime can't be loaded: "),
        ("av", "pixr: error: av can't be loaded: "),
    ],
)
def test_a_package_that_cannot_be_loaded_says_why(run: Run, tmp_path: Path, lacking: str, told: str) -> None:
    """A package for which the system lacks a library was a bug that ended the run, or was said not to be installed."""
    pytest.importorskip("rapidocr")
    make_clip(tmp_path / "one.mp4", ["one"])
    package = tmp_path / "packages" / lacking
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise ImportError("libGL.so.1: cannot open shared object file")')
    done = run("index", "films.pixr", "one.mp4", "--no-speech", PYTHONPATH=str(tmp_path / "packages"))
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{told}libGL.so.1: cannot open shared object file")
    assert done.returncode == (0 if "warning" in told else 1)


@pytest.mark.parametrize("coloured", [True, False])
def test_a_terminal_shows_bars_and_the_outcome(
    run_on_terminal: Callable[..., Screen], tmp_path: Path, coloured: bool
) -> None:
    make_clip(tmp_path / "one.mp4", ["one"])
    shown = run_on_terminal("index", "films.pixr", "one.mp4", *QUICK, NO_COLOR="" if coloured else "1")
    assert shown.returncode == 0, shown.text
    assert "0/1" in shown.text, "a bar was drawn"
    assert "1 added, 0 there already, 0 failed" in shown.text
    colours = re.findall(r"\x1b\[(?:[0-9;]*;)?[34][0-9](?:;[0-9]+)*m", shown.text)
    assert bool(colours) == coloured


def test_a_url_is_fetched_and_remembered_as_the_source(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    make_clip(folder / "one.mp4", ["one"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/one.mp4"
        done = run("index", "films.pixr", url, url + ".missing", *QUICK, "--json")
        shutil.copy(folder / "one.mp4", tmp_path / "moved.mp4")
        assert run("index", "moved.pixr", "moved.mp4", *QUICK).returncode == 0
        (tmp_path / "moved.mp4").unlink()
        assert run("index", "moved.pixr", url, *QUICK).returncode == 0
        make_clip(folder / "one.mp4", ["another"])
        shutil.copytree(tmp_path / "films.pixr", tmp_path / "replaced.pixr")
        replaced = run("index", "replaced.pixr", url, *QUICK, "--json")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 1
    (row,) = json.loads(replaced.stdout)["videos"]
    assert ["indexed from here when the content was another" in warning for warning in row["warnings"]] == [True]
    statuses = {row["source"]: row["status"] for row in json.loads(done.stdout)["videos"]}
    assert statuses == {url: "completed", url + ".missing": "failed"}
    # Also of one that was there already, and whose file is not: it was said to be where it had been fetched to.
    for name in ("films.pixr", "moved.pixr"):
        with pixr.open(tmp_path / name, read_only=True) as library:
            assert [video.source for video in library.videos()] == [url]


def test_a_download_that_was_killed_is_removed_by_the_next_run(run: Run, tmp_path: Path) -> None:
    """It stayed in the temporary directory for good, gigabytes of it."""
    place, waits = tmp_path / "temporary", threading.Event()
    place.mkdir()

    class Slow(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            waits.wait(60)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/one.mp4"
        command = [*COMMAND, "index", "films.pixr", url, *QUICK]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"TMPDIR": str(place)}, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not list(place.glob("pixr-*/*")):
            assert time.monotonic() < deadline, "nothing is fetched"
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert list(place.glob("pixr-*/*"))
    finally:
        waits.set()
        server.shutdown()
        server.server_close()
        thread.join()
    make_clip(tmp_path / "one.mp4", ["one"])
    assert run("index", "films.pixr", "one.mp4", *QUICK, TMPDIR=str(place)).returncode == 0
    assert not list(place.glob("pixr-*"))


def test_an_interruption_keeps_what_was_added_and_the_same_command_goes_on(run: Run, tmp_path: Path) -> None:
    for number in range(12):
        make_clip(tmp_path / f"{number:02d}.mp4", [f"clip {number}"] * 3)
    process = _index_until_a_video_is_there(tmp_path)
    process.send_signal(signal.SIGINT)
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert "Traceback" not in complaint
    report = json.loads(out)
    added = [row["videoId"] for row in report["videos"] if row["status"] == "completed"]
    assert report["interrupted"]
    assert len(added) + report["left"] == 12
    with pixr.open(tmp_path / "films.pixr", read_only=True) as library:
        there = {video.id for video in library.videos()}
        assert set(added) <= there
        assert library.check()["damaged"] == []
    again = run("index", "films.pixr", ".", *QUICK, "--json")
    assert again.returncode == 0, again.stderr
    rows = json.loads(again.stdout)["videos"]
    assert len({row["videoId"] for row in rows}) == len(rows) == 12
    assert {row["videoId"] for row in rows if row["status"] == "skipped"} == there
    assert {row["status"] for row in rows} == {"skipped", "completed"}


def test_what_was_added_is_reported_where_the_library_fails_at_the_end(tmp_path: Path) -> None:
    """A disk that is full when the library is closed left one line of error, and nothing of what had become of what."""
    for number in range(6):
        make_clip(tmp_path / f"{number:02d}.mp4", [f"clip {number}"] * 3)
    process = _index_until_a_video_is_there(tmp_path)
    shutil.rmtree(tmp_path / "films.pixr" / "wal")
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "[io]" in complaint
    assert len(json.loads(out)["videos"]) == 6


def _index_until_a_video_is_there(folder: Path) -> subprocess.Popen[str]:
    """Begin to index what is in a folder, and come back while it goes on."""
    process = subprocess.Popen(
        [*COMMAND, "index", "films.pixr", ".", *QUICK, "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background hands down an interrupt that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be interrupted"
        try:
            with pixr.open(folder / "films.pixr", create=False, read_only=True) as opened:
                if any(True for _ in opened.videos()):
                    return process
        except pixr.errors.LibraryError:
            pass
        time.sleep(0.05)
    raise AssertionError("nothing was indexed within a minute")


@pytest.mark.parametrize(
    "arguments",
    [
        ("empty",),
        ("a.mp4", "--tag", ""),
        ("",),
        ("a.mp4", ""),
        ("a.mp4", "b.mp4", "--title", "T"),
        ("a.mp4", "--metadata", "x"),
        ("a.mp4", "--jobs", "0"),
    ],
)
def test_misuse_leaves_with_2_and_makes_no_library(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    done = run("index", "films.pixr", *arguments)
    assert done.returncode == 2
    assert not (tmp_path / "films.pixr").exists()


def test_a_file_whose_name_is_not_utf_8_is_indexed_and_found_again(run: Run, tmp_path: Path) -> None:
    """Such a name came back as "lone leading surrogate", after the video was decoded."""
    (tmp_path / "videos").mkdir()
    clip = Path(os.fsdecode(os.fsencode(tmp_path / "videos") + b"/caf\xe9.mp4"))
    try:
        make_clip(tmp_path / "clip.mp4", ["one"]).rename(clip)
    except OSError:
        pytest.skip("the file system takes no such name")
    done = run("index", "films.pixr", "videos", *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["videos"]
    assert (row["status"], row["title"]) == ("completed", "caf\N{REPLACEMENT CHARACTER}")
    with pixr.open(tmp_path / "films.pixr", read_only=True) as library:
        (video,) = library.videos()
    assert local_file(video) == clip
    assert source_name(video) == "caf\N{REPLACEMENT CHARACTER}.mp4"
    found = run("search", "films.pixr", "caf", "--min-score", "0", "--html", "found.html", "--clip", "cuts")
    assert found.returncode == 0, found.stderr
    assert "videos/caf%E9.mp4" in (tmp_path / "found.html").read_text(encoding="utf-8")
    assert list((tmp_path / "cuts").iterdir())
    shown = run("info", "films.pixr", "--videos")
    assert "caf\N{REPLACEMENT CHARACTER}" in shown.stdout, shown.stderr
    again = run("index", "films.pixr", "videos", *QUICK)
    assert (again.returncode, again.stderr) == (0, "")
