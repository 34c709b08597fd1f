"""Clauses of a question: where it is cut, and what asking them apart finds."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

import pixr
from pixr.clauses import MAX_CLAUSES, split_clauses


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("a dog on a beach, waves crash", ["a dog on a beach", "waves crash"]),
        ("He says hello. Then he leaves!", ["He says hello", "Then he leaves"]),
        ("a red car — a blue house\ntwo men", ["a red car", "a blue house", "two men"]),
        ("a dog on a beach", []),
        ("a dog on a beach.", []),
        ("red, green and blue tiles", []),
        ("3.5 metres at 10:30, by the sea", ["3.5 metres at 10:30", "by the sea"]),
        ('a dog, "waves crash"', []),
        ("a dog on a beach, -waves in winter", []),
        ("一只狗在海滩上，海浪拍打着岸边", ["一只狗在海滩上", "海浪拍打着岸边"]),
        ("犬が浜辺を走る。波が打ち寄せる！", ["犬が浜辺を走る", "波が打ち寄せる"]),
        ("개가 해변을 달린다, 파도가 친다", ["개가 해변을 달린다", "파도가 친다"]),
        ("红色，绿色和蓝色的瓷砖", []),
        ("", []),
        (", ; .", []),
        ("，。", []),
    ],
)
def test_a_question_is_cut_where_a_clause_ends(text: str, clauses: list[str]) -> None:
    assert split_clauses(text) == clauses


@pytest.mark.parametrize("run", [" ", "\n", "\t \n", ".", ", ", "。"])
def test_a_long_run_of_spaces_or_marks_takes_no_time(run: str) -> None:
    """Each was tried from every character on: 8 KiB of spaces took three seconds, and held up all threads."""
    begun = time.process_time()
    split_clauses("solar" + run * (8000 // len(run)) + "panel")
    assert time.process_time() - begun < 0.5


def test_many_clauses_stay_with_the_last() -> None:
    clauses = split_clauses(". ".join(f"thing number {n}" for n in range(30)))
    assert len(clauses) == MAX_CLAUSES
    assert clauses[-1].endswith("thing number 29")


def test_what_is_said_and_what_is_written_may_be_asked_in_one_question(tmp_path: object) -> None:
    with pixr.open(f"{tmp_path}/films.pixr") as library:
        rows = {
            "both": ("waves crash over the wall", "lighthouse keeper wanted"),
            "said": ("waves crash over the wall", "fresh bread daily"),
            "written": ("the committee adjourned", "lighthouse keeper wanted"),
        }
        library.add_segments(
            pa.RecordBatch.from_pylist(
                [
                    {"video_id": video, "start": 0.0, "end": 4.0, "speech.text": said, "screen.text": written}
                    for video, (said, written) in rows.items()
                ]
            )
        )
        hits = library.search("lighthouse keeper wanted, waves crash over the wall", min_score=0.0)
        assert hits[0].video.id == "both"
        answered = {match.channel: match.clause for match in hits[0].moments[0].matches}
        assert answered == {"screen": "lighthouse keeper wanted", "speech": "waves crash over the wall"}
        one = library.search("waves crash over the wall", min_score=0.0)
        assert [match.clause for match in one[0].moments[0].matches] == [None]


def test_clauses_do_not_reach_channels_that_were_not_asked(tmp_path: object) -> None:
    with pixr.open(f"{tmp_path}/films.pixr") as library:
        batch = [
            {"video_id": "a", "start": 0.0, "end": 4.0, "speech.text": "waves crash", "screen.text": "waves crash"}
        ]
        library.add_segments(pa.RecordBatch.from_pylist(batch))
        hits = library.search("lighthouse keeper, waves crash", channels=["screen"], min_score=0.0)
        assert {match.channel for match in hits[0].moments[0].matches} == {"screen"}
        own = library.search(vectors={"frame": np.ones(3, np.float32)}, min_score=0.0)
        assert len(own) == 0
