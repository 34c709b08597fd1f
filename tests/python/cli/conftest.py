"""The command as people run it: a process, its exit code and what it prints, in a pipe or on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import pixr
from tests.python.cli.process import COMMAND, Run, Screen


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `pixr` in a pipe, in the test's folder."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def run_on_terminal(tmp_path: Path) -> Callable[..., Screen]:
    """Run `pixr` on a terminal of 120 columns, in the test's folder."""

    def run(*arguments: str | Path, **environment: str) -> Screen:
        ours, theirs = pty.openpty()
        settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], cwd=tmp_path, env=settings, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 120
        try:
            while time.monotonic() < deadline:
                if select.select([ours], [], [], 0.2)[0]:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # Linux says EIO where the other end is closed
                        break
                elif process.poll() is not None:
                    break
            return Screen(process.wait(timeout=10), shown.decode())
        finally:
            os.close(ours)
            process.kill()
            process.wait()

    return run


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Two videos with words on three channels; no model is needed to search them."""
    batch = pa.record_batch(
        {
            "video_id": ["roof", "roof", "boat"],
            "start": [0.0, 5.0, 0.0],
            "end": [5.0, 10.0, 8.0],
            "speech": ["we mount the solar panels", "now the cables", "the harbour at dawn"],
            "screen": ["Solar panels", None, "Harbour"],
        },
        schema=pa.schema(
            [
                ("video_id", pa.string()),
                ("start", pa.float64()),
                ("end", pa.float64()),
                ("speech", pa.string()),
                ("screen", pa.string()),
            ]
        ),
    )
    path = tmp_path / "films.pixr"
    with pixr.open(path) as opened:
        opened.add_segments(
            batch,
            videos=[
                {
                    "id": "roof",
                    "title": "Solar install",
                    "duration": 10.0,
                    "tags": ["diy"],
                    "source": "/films/roof.mp4",
                },
                {"id": "boat", "title": "Sailing", "duration": 8.0, "tags": ["sea"], "metadata": {"year": 2020}},
            ],
        )
    return path
