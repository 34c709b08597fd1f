"""What the documents say of filters and facets is what the engine takes."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

import pixr

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    """One video with words on one channel; no model is needed to search it."""
    opened = pixr.open(tmp_path / "films.pixr")
    opened.add_segments(pa.record_batch({"video_id": ["a"], "start": [0.0], "end": [5.0], "speech": ["solar panels"]}))
    return opened


def test_the_readme_asks_for_the_versions_that_building_needs() -> None:
    """It asked for stable Rust, which a Debian has in a version that cargo refuses."""
    root = GUIDES.parents[1]
    (needed,) = re.findall(r'^rust-version = "(.*)"', (root / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    (python,) = re.findall(r'^requires-python = ">=(.*)"', (root / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert f"Python {python}+, Rust {needed}+" in (root / "README.md").read_text(encoding="utf-8")


def test_what_open_and_search_say_of_names_and_lengths_is_so(library: pixr.Library) -> None:
    """`open` named no InvalidName, and how long a question may be was in a refusal alone."""
    assert "InvalidName" in (inspect.getdoc(pixr.open) or "")
    library.take_snapshot("monday")
    with pytest.raises(pixr.errors.InvalidName):
        pixr.open(library.path, snapshot="a/b")
    ((size, words),) = re.findall(
        r"words, (\d+) KiB and (\d+) different ones", inspect.getdoc(pixr.Library.search) or ""
    )
    byte_len = int(size) << 10
    for most in (" ".join(f"w{number}" for number in range(int(words))), "x" * byte_len):
        library.search(most, modes=["audio"])
        with pytest.raises(pixr.errors.InvalidQuery):
            library.search(f"{most} zebra", modes=["audio"])


def test_the_error_of_a_question_that_is_too_long_says_how_long_one_may_be(library: pixr.Library) -> None:
    """Past 16 KiB it was told that 16 KiB were allowed, of which 8 were."""
    with pytest.raises(pixr.errors.InvalidQuery, match="20000 bytes, at most 8192 are allowed"):
        library.search("x" * 20_000, modes=["audio"])


def test_every_filter_of_the_guide_is_one(library: pixr.Library) -> None:
    """The guide named filters by duration, dates and the like, and no document said how they are written."""
    guide = (GUIDES / "searching.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)`.*? \| (.*) \|$", guide, re.MULTILINE)
    written = [(key, json.loads(value)) for key, told in rows for value in re.findall(r"`(\{.*?\})`", told)]
    assert {key for key, _ in written} == {"duration", "created", "tags", "metadata"}
    for key, value in written:
        library.search("solar", filters={"metadata": {"room": value}} if key == "metadata" else {key: value})


def test_what_reports_hold_is_what_their_docstrings_say(library: pixr.Library) -> None:
    """`info` said "counts, sizes, spaces", `backup` "the receipt": what one finds in them was to be guessed."""
    reports = {
        "info": library.info(),
        "check": library.check(),
        "compact": library.compact(),
        "backup": library.backup(library.path.with_name("copy.pixr")),
        "take_snapshot": library.take_snapshot("monday"),
    }
    library.close()
    reports["repair"] = pixr.repair(library.path, library.path.with_name("saved.pixr"))
    for name, report in reports.items():
        told = inspect.getdoc(getattr(pixr.Library, name, None) or getattr(pixr, name)) or ""
        assert not [key for key in report if f"`{key}`" not in told and f'"{key}"' not in told], name


def test_what_facets_count_is_what_the_documents_say(library: pixr.Library) -> None:
    """Which lengths, that a number of metadata is not counted, and that there is an end to values, was said nowhere."""
    told = " ".join((inspect.getdoc(pixr.Library.search) or "").split())
    row = pa.record_batch({"video_id": ["b"], "start": [0.0], "end": [5.0], "speech": ["solar"]})
    for video, tags in (("b", range(600)), ("c", range(500, 1100))):
        described = {"quality": "HD", "creator": {"id": "Ada"}, "created": "2020-12-31T23:30:00-02:00"}
        described |= {"tags": [str(tag) for tag in tags], "metadata": {"room": 12, "kind": "Tall", "open": True}}
        library.add_segments(row.set_column(0, "video_id", pa.array([video])), videos=[{"id": video, **described}])
    names = ["durations", "quality", "tags", "created", "creator", "metadata.room", "metadata.kind", "metadata.open"]
    facets = library.search("solar", modes=["audio"], facets=names).facets
    assert set(re.findall(r'"([\d-]+\+?)"', told.split("Durations are")[1].split(".")[0])) == set(facets["durations"])
    assert facets["created"] == {"2021": 2, "unknown": 1}
    assert (facets["quality"], facets["creator"]) == ({"hd": 2, "unknown": 1}, {"Ada": 2, "unknown": 1})
    (most,) = re.findall(r"more than ([\d,]+) values the most frequent", told)
    assert len(facets["tags"]) == int(most.replace(",", ""))
    assert facets["tags"]["550"] == 2
    counted = [facets[f"metadata.{key}"] for key in ("room", "kind", "open")]
    assert counted == [{}, {"Tall": 2}, {"true": 2}]
    assert "texts and booleans, no numbers" in told


def test_a_blend_has_as_many_parts_as_its_docstring_says(library: pixr.Library) -> None:
    """No document said that it has a bound, nor that a part with a weight above zero is needed."""
    (most,) = map(int, re.findall(r"at most (\d+) parts", inspect.getdoc(pixr.blend) or ""))
    library.search(pixr.blend("solar", *[("panels", -0.5)] * (most - 1)), modes=["audio"])
    with pytest.raises(pixr.errors.InvalidQuery):
        library.search(pixr.blend("solar", *[("panels", -0.5)] * most), modes=["audio"])
    with pytest.raises(pixr.errors.InvalidQuery):
        library.search(pixr.blend(("panels", -0.5)), modes=["audio"])


def test_every_facet_that_search_names_is_one(library: pixr.Library) -> None:
    """It named "a metadata key", which is refused without `metadata.` before it."""
    told = inspect.getdoc(pixr.Library.search) or ""
    (named,) = re.findall(r"facets: columns to count over all hits \((.*?)\)", told, re.DOTALL)
    names = re.findall(r'"([\w.]+)"', named)
    assert len(names) == 6
    assert set(library.search("solar", facets=names).facets) == set(names)
