"""Quotes and exclusions: what they demand, and what is said by people who know nothing of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import pixr
from pixr.calibration import prepare
from pixr.operators import wanted


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
    assert wanted(text) == about


def ids(hits: pixr.Hits) -> list[str]:
    return [hit.video.id for hit in hits]


def test_what_is_excluded_is_not_looked_for_by_its_meaning(tmp_path: Path) -> None:
    """A question for "-beach" was encoded as it stands, so what came first was the beach."""
    pytest.importorskip("onnxruntime")
    with pixr.open(tmp_path / "films.pixr") as library:
        prepare(library.engine, library.encoders())
        vectors = library.encoders().text.encode_documents(["waves roll over the beach", "a dog barks"])
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
