"""`kill -9` of a process that indexes clips with its decoder children: what it reported is there, no child stays.

Two rounds with every run of the tests; `PIXR_FAULTS=fast` tries 8 and `slow` 200, at moments that differ.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

import pixr
from tests.python.clips import make_clip

pytest.importorskip("av")
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes left behind in /proc")

ROUNDS = {"fast": 8, "slow": 200}.get(os.environ.get("PIXR_FAULTS", ""), 2)
MARK = "PIXR_TEST_MARK"

CHILD = """
import sys
import pixr

with pixr.open(sys.argv[1]) as library:
    print("opened", flush=True)
    for outcome in library.add_many(sys.argv[2:], jobs=2, speech=False):
        print("added", outcome.video.id, flush=True)
print("closed", flush=True)
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five short videos with captions."""
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / f"{at}.mp4", [f"clip {at}", "the end"]) for at in range(5)]


def _processes(mark: str) -> list[int]:
    """Processes that were started with this mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def _rows(library: pixr.Library) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    exported = library.path.with_suffix(".parquet")
    library.export(exported)
    rows: list[dict[str, Any]] = pq.read_table(exported).to_pylist()
    return sorted(rows, key=lambda row: (row["video_id"], row["start"], row["end"]))


def _index(path: Path, clips: list[Path], mark: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), *map(str, clips)]
    environment = {**os.environ, MARK: mark, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_kill_9_while_indexing_loses_nothing_that_was_reported(clips: list[Path], tmp_path: Path) -> None:
    whole = _index(tmp_path / "whole.pixr", clips, "none")
    assert whole.stdout is not None
    assert whole.stdout.readline() == "opened\n"
    began = time.monotonic()
    told = whole.communicate()[0].splitlines()
    took = time.monotonic() - began
    assert told[-1] == "closed"
    assert len(told) == len(clips) + 1
    with pixr.open(tmp_path / "whole.pixr", read_only=True) as library:
        expected = _rows(library)
    lots = random.Random(4)
    lost: list[str] = []
    for number in range(ROUNDS):
        path, mark = tmp_path / f"{number}.pixr", uuid.uuid4().hex
        process = _index(path, clips, mark)
        assert process.stdout is not None
        assert process.stdout.readline() == "opened\n"
        time.sleep(lots.uniform(0.0, took))
        process.kill()
        reported = {line.split()[1] for line in process.communicate()[0].splitlines() if line.startswith("added ")}
        with pixr.open(path, create=False) as library:
            damaged = library.check()["damaged"]
            lost += [f"round {number}: {id}" for id in reported - {video.id for video in library.videos()}]
            lost += [f"round {number}: {line}" for line in damaged]
            list(library.add_many(clips, jobs=2, speech=False))
            if _rows(library) != expected:
                lost.append(f"round {number}: indexing again does not complete it")
        for _ in range(100):
            if not _processes(mark):
                break
            time.sleep(0.1)
        assert _processes(mark) == [], "a decoder outlived its parent"
    if report := os.environ.get("PIXR_FAULTS_REPORT"):
        with Path(report).open("a") as file:
            file.write(
                json.dumps({"fault": "kill -9 of Python", "counts": {"kills": ROUNDS, "lost": len(lost)}}) + "\n"
            )
    assert lost == []
