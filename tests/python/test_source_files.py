"""What a library remembers of a file leads back to it, whatever the bytes of its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixr.source_files import path_to_source, source_to_path, title_of


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
