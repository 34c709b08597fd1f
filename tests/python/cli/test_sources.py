"""FILE, DIR and URL arguments, and fetching over HTTP from a server in the test."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from pixr.cli.download import DownloadError, download
from pixr.cli.sources import expand
from tests.python.cli.process import Run
from tests.python.clips import make_clip


def test_a_folder_stands_for_the_videos_below_it(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MKV", "notes.txt", ".hidden.mp4", "deep/c.webm", ".git/d.mp4", "e.3g2", "f.TOD", "g.divx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to("deep")
    found = [str(Path(path).relative_to(tmp_path)) for path in expand([str(tmp_path)])]
    assert found == ["a.MKV", "b.mp4", "e.3g2", "f.TOD", "g.divx", "deep/c.webm"]


@pytest.mark.parametrize("suffix", ["MOD", "TOD", "trp", "tp", "dvr-ms", "VRO", "insv"])
def test_a_folder_has_what_cameras_and_receivers_record(tmp_path: Path, suffix: str) -> None:
    """Of a camcorder's card only the recordings in HD were indexed, and of a receiver's disk none, in silence."""
    (tmp_path / f"recorded.{suffix}").touch()
    assert expand([str(tmp_path)]) == [str(tmp_path / f"recorded.{suffix}")]


def test_a_folder_stands_for_no_pipe_or_socket_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "broken.mp4").symlink_to("nowhere")
    found = [Path(path).name for path in expand([str(tmp_path)])]
    assert found == ["broken.mp4", "clip.mp4"], "a broken link is told when it is indexed"


def test_a_folder_that_cannot_be_read_is_reported(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was passed over without a word, and the run said that all is well. Here its path is longer than any may be."""
    videos = tmp_path / "videos"
    (videos / "a").mkdir(parents=True)
    make_clip(videos / "a" / "one.mp4", ["one"])
    monkeypatch.chdir(videos)
    for _ in range(20):
        Path("z" * 250).mkdir()
        os.chdir("z" * 250)
    done = run("index", "films.pixr", videos, "--no-speech", "--no-screen")
    assert done.returncode == 1
    assert sorted(line.split("\t")[0] for line in done.stdout.splitlines()[1:]) == ["completed", "failed"]
    assert "File name too long" in done.stderr


def test_named_files_and_urls_are_taken_as_they_are_and_once(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    url = "https://example.com/x.mp4"
    assert expand(["what.ever", url, str(clip), str(tmp_path), url, "./what.ever"]) == ["what.ever", url, str(clip)]


BODY = bytes(range(256)) * 100


class Clips(BaseHTTPRequestHandler):
    """Serves one file well, and others badly."""

    def do_GET(self) -> None:
        if self.path.startswith("/good%20clip.mp4"):
            self._answer(200, len(BODY))
        elif self.path == "/short.mp4":
            self._answer(200, len(BODY) + 1)
        elif self.path == "/reset.mp4":
            self._answer(200, 1 << 30)
            time.sleep(0.3)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif self.path == "/to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            self.send_error(404)

    def _answer(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Clips)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url_is_fetched_under_its_own_name(tmp_path: Path, address: str) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(f"{address}/good%20clip.mp4?x=1", tmp_path, on_bytes=lambda done, of: seen.append((done, of)))
    assert path == tmp_path / "good clip.mp4"
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.mp4", "404"),
        ("short.mp4", "ended after 25600 of 25601"),
        ("reset.mp4", "reset.mp4: Connection reset by peer"),
        ("to-file", "not (http|allowed)"),
    ],
)
def test_what_cannot_be_fetched_says_why_and_leaves_nothing(
    tmp_path: Path, address: str, name: str, reason: str
) -> None:
    """A connection that was reset ended the whole run, and what had come of a file stayed on the disk until then."""
    with pytest.raises(DownloadError, match=reason):
        download(f"{address}/{name}", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_many_bytes_is_cut_to_what_a_disk_takes(tmp_path: Path, address: str) -> None:
    """The length was counted in characters: a long name that is not Latin ended the whole run."""
    path = download(f"{address}/good%20clip.mp4/{quote('映' * 110)}.mp4", tmp_path)
    assert path.name == f"{'映' * 38}.mp4"
    assert path.read_bytes() == BODY


def test_a_file_past_the_limit_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="at most 1000"):
        download(f"{address}/good%20clip.mp4", tmp_path, max_bytes=1000)


def test_no_server_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no connection"):
        download("http://127.0.0.1:1/clip.mp4", tmp_path, timeout_seconds=2)
