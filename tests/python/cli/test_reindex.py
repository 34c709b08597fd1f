"""`pixr reindex`: other models for what is there, and what it says when a file is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.python.cli.process import Run
from tests.python.clips import make_clip

pytest.importorskip("av")


def test_reindex_says_what_changed_and_which_files_are_gone(run: Run, recorded: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "red.mp4", ["red"])
    assert run("index", "films.pixr", clip, "--no-speech", "--no-screen").returncode == 0
    words = run("reindex", "films.pixr", "--encoder", recorded / "sentence-mean", "--json")
    assert words.returncode == 0, words.stderr
    assert json.loads(words.stdout) == {
        "channels": ["metadata", "speech"],
        "encoded": 1,
        "failed": [],
        "complete": True,
    }
    clip.unlink()
    gone = run("reindex", "films.pixr", "--encoder", recorded / "clip")
    assert gone.returncode == 1
    assert "red.mp4" in gone.stderr
    assert "not there any more" in gone.stderr
    assert "nothing changed" in gone.stderr
    info = json.loads(run("info", "films.pixr", "--json").stdout)
    assert (info["spaces"]["frame"]["name"], info["spaces"]["speech"]["name"]) == ("concepts", "sentence-mean")
