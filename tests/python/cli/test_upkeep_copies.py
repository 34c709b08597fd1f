"""`pixr backup`, `restore`, `repair`, `snapshot`, and waiting for another writer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pixr
from tests.python.cli.process import Run


def found(run: Run, library: str | Path, *options: str) -> list[str]:
    done = run("search", library, "solar", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [hit["videoId"] for hit in json.loads(done.stdout)["results"]]


def test_a_backup_taken_while_a_writer_is_at_work_is_restored(run: Run, library: Path) -> None:
    with pixr.open(library) as writer:
        first = json.loads(run("backup", library, "copy.pixr", "--json").stdout)
        writer.update("boat", title="Solar boat")
        second = json.loads(run("backup", library, "copy.pixr", "--json").stdout)
    assert first["keptFiles"] == 0
    assert second["copiedFiles"] < first["copiedFiles"]
    assert run("check", "copy.pixr").returncode == 0
    assert run("restore", "copy.pixr", "new.pixr").returncode == 0
    assert sorted(found(run, "new.pixr")) == ["boat", "roof"]
    again = run("restore", "copy.pixr", "new.pixr")
    assert again.returncode == 1
    assert "[library_exists]" in again.stderr


def test_a_snapshot_is_searched_listed_and_deleted(run: Run, library: Path) -> None:
    taken = json.loads(run("snapshot", "create", library, "monday", "--json").stdout)
    assert (taken["name"], taken["videos"]) == ("monday", 2)
    assert run("delete", library, "roof").returncode == 0
    assert json.loads(run("compact", library, "--json").stdout)["namedSnapshots"] == ["monday"]
    assert found(run, library) == []
    assert found(run, library, "--snapshot", "monday") == ["roof"]
    assert json.loads(run("info", library, "--snapshot", "monday", "--json").stdout)["videos"] == 2
    assert "monday" in run("snapshot", "list", library).stdout
    assert run("snapshot", "delete", library, "monday").returncode == 0
    assert json.loads(run("snapshot", "list", library, "--json").stdout) == {"snapshots": []}
    assert "[snapshot_not_found]" in run("search", library, "solar", "--snapshot", "monday").stderr


def test_repair_saves_the_rest_and_leaves_with_1(run: Run, library: Path, tmp_path: Path) -> None:
    assert run("compact", library).returncode == 0
    with pixr.open(library) as writer:
        writer.update("boat", title="Solar boat")
    damaged = min((library / "parts").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run("check", library).returncode == 1
    done = run("repair", library, "saved.pixr", "--json")
    assert done.returncode == 1
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["videos"], report["lostVideoCount"]) == (1, 1)
    assert damaged.name in report["damaged"][0]
    assert found(run, "saved.pixr") == ["boat"]
    assert run("repair", "saved.pixr", "whole.pixr").returncode == 0


def test_a_repair_that_was_killed_with_only_its_lock_made_begins_anew(run: Run, library: Path, tmp_path: Path) -> None:
    """What it left passed for a library, which could neither be opened nor repaired into."""
    (tmp_path / "saved.pixr").mkdir()
    (tmp_path / "saved.pixr" / "LOCK").write_text("4711\n")
    done = run("repair", library, "saved.pixr")
    assert done.returncode == 0, done.stderr
    assert found(run, "saved.pixr") == ["roof"]
    again = run("repair", library, "saved.pixr")
    assert "[library_exists]" in again.stderr


def test_a_second_writer_learns_which_process_writes_or_waits(run: Run, library: Path) -> None:
    with pixr.open(library):
        refused = run("delete", library, "roof")
        assert refused.returncode == 1
        assert f"(process {os.getpid()})" in refused.stderr
        assert "[library_locked]" in refused.stderr
        assert "[library_locked]" in run("compact", library, "--lock-timeout", "0.2").stderr
    assert run("delete", library, "roof", "--lock-timeout", "5").returncode == 0
