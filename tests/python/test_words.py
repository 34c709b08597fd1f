"""How words are found, and what is told of where they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import pixr


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("カ\u3099", "ガ"),
        ("мои\u0306", "мой"),
        ("de l'eau", "eau"),
        ("dell’arte", "arte"),
        ("eau", "l'eau"),
        ("ＰＡＮＥＬＳ", "panel"),
        ("𝐩𝐚𝐧𝐞𝐥𝐬", "panels"),
        ("ﬁshing", "fishing"),
        ("STRASSE", "Straße"),
        ("ΛΌΓΟΣ", "λόγος"),
        ("so\u00adlar", "solar"),
        ("\u0bae\u0bc6\u0bbe\u0bb4\u0bbf", "\u0bae\u0bca\u0bb4\u0bbf"),
        ("ल\u095cका", "ल\u0921\u093cका"),
    ],
)
def test_a_word_is_found_however_it_is_written(tmp_path: Path, written: str, asked: str) -> None:
    """Decomposed letters made other words, and so did what is elided before a word, and letters drawn otherwise."""
    with pixr.open(tmp_path / "l.pixr") as library:
        rows = [{"video_id": "a", "start": 0.0, "end": 1.0, "speech.text": f"x {written} y"}]
        library.add_segments(pa.RecordBatch.from_pylist(rows))
        for text in (asked, f'"{asked}"'):
            (hit,) = library.search(text, channels=["speech"], min_score=0.0)
            match = hit.moments[0].matches[0]
            assert match.description == f"x {written} y"
            ((start, end),) = match.highlights
            assert written.endswith(match.description[start:end])
        assert library.search(f"{asked} -none", channels=["speech"], min_score=0.0)


def test_the_description_of_a_match_is_short_even_if_no_word_was_asked(tmp_path: Path) -> None:
    with pixr.open(tmp_path / "l.pixr") as library:
        row = {"video_id": "a", "start": 0.0, "end": 1.0, "speech.text": "word " * 5000, "speech.vector": [1.0, 0.0]}
        library.add_segments(pa.RecordBatch.from_pylist([row]))
        match = library.search(vectors={"speech": [1.0, 0.0]})[0].moments[0].matches[0]
        assert match.description is not None
        assert match.description.startswith("word word")
        assert 200 < len(match.description) <= 240
        assert match.description.endswith("…")
        assert match.highlights == ()
