"""What the server fetches is on disk before it is said to be there."""

from __future__ import annotations

import os
import stat
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import pytest

from pixr.server.processing.fetch import fetch


def test_what_was_fetched_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was synced: a video that was told to be complete could be an empty file after a power cut."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "roof.mp4").write_bytes(b"x" * 100_000)
    (tmp_path / "here").mkdir()
    done: list[int | str] = []
    sync = os.fsync

    def synced(file: int) -> None:
        told = os.fstat(file)
        done.append("names" if stat.S_ISDIR(told.st_mode) else told.st_size)
        sync(file)

    monkeypatch.setattr(os, "fsync", synced)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "there"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/roof.mp4"
            got = fetch(
                url,
                tmp_path / "here" / "file",
                most_bytes=1 << 20,
                seconds=30,
                allowed=[ip_network("127.0.0.0/8")],
                on_bytes=lambda *_: None,
            )
        finally:
            server.shutdown()
    assert got == 100_000
    assert done == [100_000, "names"]
