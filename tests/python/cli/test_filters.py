"""`--filter` and `--metadata` on the command line."""

from __future__ import annotations

import pytest

from pixr.cli.filters import parse_filters, parse_metadata


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["duration=60..300"], {"duration": {"min": 60.0, "max": 300.0}}),
        (["duration=60.."], {"duration": {"min": 60.0}}),
        (["duration=..300"], {"duration": {"max": 300.0}}),
        (["duration=80"], {"duration": {"min": 80.0, "max": 80.0}}),
        (["created=2023-01-01.."], {"created": {"after": "2023-01-01"}}),
        (["created=2023-01-01..2024-01-01"], {"created": {"after": "2023-01-01", "before": "2024-01-01"}}),
        (["tags=diy,roof"], {"tags": ["diy", "roof"]}),
        (["quality=hd", "tags=diy"], {"quality": ["hd"], "tags": ["diy"]}),
        (["metadata.room=12"], {"metadata": {"room": 12}}),
        (["metadata.room=blue = sky"], {"metadata": {"room": "blue = sky"}}),
        (["metadata.room=1..5"], {"metadata": {"room": {"min": 1.0, "max": 5.0}}}),
        (["metadata.room=a,b"], {"metadata": {"room": ["a", "b"]}}),
        (['metadata.room="1..5, or so"'], {"metadata": {"room": "1..5, or so"}}),
        (['metadata.room=["a, b", 3]'], {"metadata": {"room": ["a, b", 3]}}),
        (['creator="Smith, John"'], {"creator": ["Smith, John"]}),
        (['tags=["a,b", "c"]'], {"tags": ["a,b", "c"]}),
        (['tags="a,b'], {"tags": ['"a', "b"]}),
        (["metadata.room=[draft]"], {"metadata": {"room": "[draft]"}}),
        (["tags=a", "tags=b"], {"and": [{"tags": ["a"]}, {"tags": ["b"]}]}),
        ([], {}),
    ],
)
def test_a_filter_reads_as_the_search_api_has_it(arguments: list[str], expected: dict[str, object]) -> None:
    assert parse_filters(arguments) == expected


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("tags", "KEY=VALUE"),
        ("tags=", "KEY=VALUE"),
        ("colour=red", "not a filter"),
        ("duration=long", "not a number"),
        ("duration=nan..2", "not a finite number"),
        ("duration=..", "no end"),
        ("created=2023", "range"),
        ("metadata.=1", "not a filter"),
        ("metadata.room=a..b", "quotation marks"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why(argument: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_filters([argument])


def test_metadata_keeps_numbers_and_text() -> None:
    assert parse_metadata(["year=2024", "ok=true", "name=a=b", "odd=NaN"]) == {
        "year": 2024,
        "ok": True,
        "name": "a=b",
        "odd": "NaN",
    }


def test_metadata_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_metadata(["a=1", "a=2"])
