"""Quotes and exclusions: what they demand, and what is said by people who know nothing of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import pixr
from pixr.calibration import prepare
from pixr.operators import MOST_BYTES, MOST_WORDS, as_words, without_operators


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("a dog on the beach", "a dog on the beach"),
        ("a dog -beach", "a dog"),
        ('a dog -"on the beach" -surf at noon', "a dog at noon"),
        ('"a wooden boat" at sea', "a wooden boat at sea"),
        ("“solar”panel", "solar panel"),
        ('"-beach" means nothing here', "-beach means nothing here"),
        ('"boat"-beach', "boat"),
        ("wi-fi at -5 degrees - or so", "wi-fi at -5 degrees - or so"),
        ('12" pizza', "12 pizza"),
        ("-beach", ""),
    ],
)
def test_a_question_is_about_what_it_does_not_exclude(text: str, about: str) -> None:
    assert without_operators(text) == about


def said(tmp_path: Path, *spoken: str) -> pixr.Library:
    library = pixr.open(tmp_path / "films.pixr")
    rows = [{"video_id": f"v{at}", "start": 0.0, "end": 5.0, "speech.text": words} for at, words in enumerate(spoken)]
    library.add_segments(pa.RecordBatch.from_pylist(rows))
    return library


def ids(hits: pixr.Hits) -> list[str]:
    return [hit.video.id for hit in hits]


def test_what_is_excluded_is_not_looked_for_by_its_meaning(tmp_path: Path) -> None:
    """A question for "-beach" was encoded as it stands, so what came first was the beach."""
    pytest.importorskip("onnxruntime")
    with pixr.open(tmp_path / "films.pixr") as library:
        prepare(library._engine, library._encoders.loaded())
        vectors = library._encoders.loaded().text.encode_documents(["waves roll over the beach", "a dog barks"])
        rows = [
            {"video_id": id, "start": 0.0, "end": 5.0, "speech.vector": vector.tolist()}
            for id, vector in zip(("beach", "dog"), vectors, strict=True)
        ]
        library.add_segments(pa.RecordBatch.from_pylist(rows))
        assert ids(library.search("beach")) == ["beach"]
        none = library.search("-beach")
        assert ids(none) == []
        assert none.warnings == ("the question says nothing to look for",)
        whole, rest = (library.search(text, channels=["speech"], min_score=0.0) for text in ("dog -beach", "dog"))
        assert whole.items == rest.items
        assert ids(rest)[0] == "dog"


def test_more_like_what_is_said_demands_and_excludes_nothing(tmp_path: Path) -> None:
    """A dialogue's dashes excluded what they stood before, and what was quoted had to stand so everywhere."""
    library = said(
        tmp_path,
        '-Sail! -Where? -"To the harbour, at night."',
        "we sail to the harbour at night",
        "a harbour where many sail",
    )
    assert ids(library.search(like=("v0", 0.0, 5.0), channels=["speech"])) == ["v1", "v2"]


def test_more_like_what_is_said_takes_as_many_words_as_may_be_asked(tmp_path: Path) -> None:
    """It was "the query has 400 words and phrases", of a question that has none."""
    library = said(tmp_path, " ".join(f"word{at}" for at in range(400)), "word3 again", "太陽光" * 200)
    assert ids(library.search(like=("v0", 0.0, 5.0), channels=["speech"])) == ["v1"]
    assert ids(library.search(like=("v2", 0.0, 5.0), channels=["speech"])) == []


def test_words_are_no_more_than_the_engine_takes() -> None:
    assert len(as_words("word " * 1000).split()) == MOST_WORDS
    assert len(as_words("太" * 1000)) == MOST_WORDS
    assert len(as_words("x" * 50_000 + "é").encode()) <= MOST_BYTES
    assert as_words('-- "" *') == ""
