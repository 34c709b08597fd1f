"""What a library remembers of a file leads back to it, whatever the bytes of its name."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

import pixr
from pixr.source_files import is_title_of, path_to_source, source_to_path, title_of
from tests.python.clips import make_clip


@pytest.mark.parametrize("name", [b"plain.mp4", "café #1?.mp4".encode(), "café.mp4".encode("latin-1"), b"%41\xff.mp4"])
def test_a_source_leads_back_to_its_file(name: bytes) -> None:
    path = Path("/films") / os.fsdecode(name)
    source = path_to_source(path)
    source.encode()
    assert source_to_path(source) == path


def test_only_a_name_that_is_not_utf_8_becomes_a_url() -> None:
    assert path_to_source("/films/a b.mp4") == "/films/a b.mp4"
    assert path_to_source(os.fsdecode(b"/films/a \xff.mp4")) == "file:///films/a%20%FF.mp4"
    assert path_to_source("a.mp4") == f"{os.getcwd()}/a.mp4"


def test_what_is_on_the_network_is_no_file() -> None:
    assert source_to_path("https://example.com/a.mp4") is None


def test_a_title_shows_where_bytes_are_no_text() -> None:
    assert title_of(os.fsdecode(b"/films/caf\xe9.old.mp4")) == "caf\N{REPLACEMENT CHARACTER}.old"


@pytest.mark.parametrize("name", ["한국 여행", "чай ёлка", "がっこう"])
def test_a_file_is_found_by_its_name_as_people_type_it(tmp_path: Path, name: str) -> None:
    """On a Mac the letters of a name may stand apart from what is above them: as words they were others."""
    pytest.importorskip("av")
    path = make_clip(tmp_path / f"{unicodedata.normalize('NFD', name)}.mp4", ["one"])
    with pixr.open(tmp_path / "films.pixr") as library:
        video = library.add(path, speech=False, screen=False)
        assert video.title == name
        assert [hit.video.id for hit in library.search(name.split()[0], channels=["metadata"])] == [video.id]
        assert source_to_path(video.source or "") == path
    assert is_title_of(path.stem, path)
    assert is_title_of(name, path)
    assert not is_title_of(f"{name} 2", path)
