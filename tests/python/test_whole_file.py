"""What is written appears whole or not at all, and what is no file stays what it is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pixr
from pixr.encoder_choice import FILE_NAME, Choice, remember
from pixr.whole_file import whole_file


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a") as partial:
        partial.with_name("half").rename(partial)
    assert (tmp_path / "a").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="syncs folders")
def test_bytes_are_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name could be first: a power cut then left an empty file where the export before had been."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(file: int) -> None:
        done.append("sync names" if stat.S_ISDIR(os.fstat(file).st_mode) else f"sync {os.fstat(file).st_size}")
        sync(file)

    def renamed(*paths: Path) -> None:
        done.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with whole_file(tmp_path / "a") as partial:
        partial.write_text("all of it")
    assert done == ["sync 9", "rename", "sync names"]
    done.clear()
    remember(tmp_path, Choice(("some",), "int8"))
    assert done == [f"sync {(tmp_path / FILE_NAME).stat().st_size}", "rename", "sync names"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/a")
    for text in ("first", "second"):
        with whole_file(tmp_path / "link") as partial:
            partial.write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "a").read_text() == text


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    """`--out /dev/stdout` put a file in the place of the device, for every program of the machine where root asked."""
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    with whole_file(tmp_path / "pipe") as out:
        out.write_text("all of it")
    reader.join(timeout=10)
    assert read == ["all of it"]
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_a_folder_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dot was a `ValueError` about an empty name, told as a bug."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError, match="'\\.'"), whole_file(Path()):
        pass
    with pixr.open(tmp_path / "films.pixr") as library, pytest.raises(pixr.errors.StorageError, match="directory"):
        library.export(".")


@pytest.mark.parametrize("folder", ["missing", "a.txt"])
def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, folder: str) -> None:
    """It named the one beside it that is written first, `.sheet.png.6b6598d2.partial`, which nobody had asked for."""
    (tmp_path / "a.txt").write_text("no folder")
    asked = tmp_path / folder / "sheet.png"
    with pytest.raises(OSError, match="sheet") as caught, whole_file(asked) as partial:
        partial.write_text("")
    assert str(caught.value).endswith(f": '{asked}'")


def test_an_error_of_what_takes_the_place_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """Another program made a folder there meanwhile."""
    asked = tmp_path / "sheet.png"
    with pytest.raises(OSError, match="sheet") as caught, whole_file(asked) as partial:  # noqa: PT012 - in between
        partial.write_text("")
        asked.mkdir()
    assert str(caught.value).endswith(f": '{asked}'")
    assert os.listdir(tmp_path) == ["sheet.png"]


def test_a_record_of_the_models_that_cannot_be_written_is_an_error_with_a_code(tmp_path: Path) -> None:
    """On a full disk it was a plain `OSError` without the file's name, which no list of Pixr's errors has."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(pixr.errors.StorageError, match=FILE_NAME):
        remember(tmp_path, Choice(("some",), "int8"))


@pytest.mark.parametrize("busy", [False, True])
def test_what_an_export_that_was_killed_left_is_removed_by_the_next(tmp_path: Path, busy: bool) -> None:
    """It stayed for good. What another export is still writing is left to it.

    While others write, the library is copied first, and the copy is as large as the library.
    """
    killed = """
import os, signal, sys
import pixr
from pixr import parquet

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def changed(*_):
    parquet._write = die
    raise parquet._Changed

parquet._write = changed if sys.argv[3] == "True" else die
with pixr.open(sys.argv[1]) as library:
    library.export(sys.argv[2])
"""
    file, other = tmp_path / "films.parquet", tmp_path / "films.parquet.2.parquet"
    with pixr.open(tmp_path / "films.pixr"):
        pass
    with whole_file(file) as at_work, whole_file(other) as elsewhere:
        at_work.write_text("half")
        command = [sys.executable, "-c", killed, str(tmp_path / "films.pixr"), str(file), str(busy)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        left = [path for path in tmp_path.glob(".films.parquet.*") if path not in (at_work, elsewhere)]
        assert len(left) == 1 + busy
        with pixr.open(tmp_path / "films.pixr") as library:
            library.export(file)
        assert set(tmp_path.glob(".films.parquet.*")) == {at_work, elsewhere}
        elsewhere.touch()
    assert file.read_text() == "half"
    assert not list(tmp_path.glob(".films.parquet.*"))
