"""Chapters: where they begin, and what they are called."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from pixr.chapters import find_chapters

TOPICS = (
    ("closest concepts: tile roof", "we mount the solar panels on the roof"),
    ("closest concepts: frying pan", "now fry the onions in butter"),
    ("closest concepts: sailboat", "the sails are up and the harbour is behind us"),
)


def rows_of(
    shots_a_topic: int = 8, seconds: float = 5.0, *, sentence_over_the_cut: bool = False
) -> list[dict[str, Any]]:
    """Three topics, each with pictures and words of its own kind; the words pause between shots."""
    random = np.random.default_rng(3)
    centres = np.eye(12)[:3]
    rows: list[dict[str, Any]] = []
    for topic, (description, text) in enumerate(TOPICS):
        for shot in range(shots_a_topic):
            start = (topic * shots_a_topic + shot) * seconds
            vector = centres[topic] + 0.15 * random.normal(size=12)
            rows.append(
                {
                    "start": start,
                    "end": start + seconds,
                    "frame.vector": vector / np.linalg.norm(vector),
                    "frame.description": description,
                }
            )
            late = 1.0 if sentence_over_the_cut and shot == shots_a_topic - 1 else -0.5
            rows.append({"start": start + 0.5, "end": start + seconds + late, "speech.text": text})
    return rows


def test_chapters_begin_where_the_topic_changes_and_are_called_by_it() -> None:
    chapters = find_chapters(rows_of(), 120.0)
    assert [(chapter.start, chapter.end) for chapter in chapters] == [(0.0, 40.0), (40.0, 80.0), (80.0, 120.0)]
    for chapter, word in zip(chapters, ("roof", "onions", "harbour"), strict=True):
        assert word in f"{chapter.title} {chapter.words}".lower()
    assert [chapter.concepts[0] for chapter in chapters] == ["tile roof", "frying pan", "sailboat"]


def test_no_chapter_begins_within_a_sentence() -> None:
    chapters = find_chapters(rows_of(sentence_over_the_cut=True), 120.0)
    assert not {40.0, 80.0} & {chapter.start for chapter in chapters}


def test_chapters_are_the_whole_video_and_none_is_too_short() -> None:
    for least in (3.0, 12.0, 50.0, 500.0):
        chapters = find_chapters(rows_of(), 130.0, least_seconds=least)
        assert chapters[0].start == 0.0
        assert chapters[-1].end == 130.0
        assert all(one.end == other.start for one, other in pairwise(chapters))
        assert len(chapters) == 1 or min(one.end - one.start for one in chapters) >= least
    assert len(find_chapters(rows_of(), 120.0, least_seconds=3.0, most=2)) <= 2


def test_long_segments_are_compared_as_well() -> None:
    """Before a cut only what began within the window was looked at: one chapter, where a segment was longer than it."""
    pictures = [row for row in rows_of(shots_a_topic=4, seconds=60.0) if "frame.vector" in row]
    for least in (3.0, None):
        chapters = find_chapters(pictures, 720.0, least_seconds=least)
        assert {240.0, 480.0} <= {chapter.start for chapter in chapters}


def test_a_video_of_which_nothing_is_known_is_one_chapter() -> None:
    (chapter,) = find_chapters([], 30.0)
    assert (chapter.start, chapter.end, chapter.title) == (0.0, 30.0, "Chapter 1")
    assert find_chapters([], 0.0) == []
