"""Cuts are found to the picture; motion, flashes and noise are not cuts; segments tile the video."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixr.media import CutOptions, CutSegment, open_segments
from pixr.media.near_duplicates import DuplicateFilter
from pixr.media.segments import SegmentCutter
from pixr.media.shots import ShotDetector, first_of_shot
from tests.python.media.videos import cut_video, textured, write_video


def shot_starts(pictures: list[np.ndarray]) -> list[int]:
    detector = ShotDetector()
    answers = [*[detector.push(picture) for picture in pictures][1:], detector.finish()]
    return [index for index, begins in enumerate(answers) if begins]


def pan(seed: int, count: int, step: int = 4) -> list[np.ndarray]:
    wide = textured(seed, 160 + step * count, 120)
    return [wide[:, step * index : step * index + 160] for index in range(count)]


def test_hard_cuts_are_found_to_the_picture(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "cuts.mp4", [1, 2, 3, 4])
    with open_segments(path) as stream:
        starts = [segment.start_seconds for segment in stream]
    assert starts == pytest.approx([0.0, 2.0, 4.0, 6.0], abs=0.001)


def test_a_pan_is_not_a_cut() -> None:
    assert shot_starts(pan(1, 40) + pan(2, 40)) == [0, 40]


def test_a_flash_is_not_a_cut() -> None:
    pictures = pan(1, 30)
    pictures[12] = np.full_like(pictures[12], 255)
    assert shot_starts(pictures) == [0]


def test_noise_is_not_a_cut() -> None:
    noise = np.random.default_rng(0)
    still = textured(3, 160, 120).astype(int)
    noisy = [np.clip(still + noise.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    assert shot_starts(noisy) == [0]


def segments_of(shot_seconds: list[float], longest: float) -> tuple[list[CutSegment], float]:
    pictures, time = [], 0.0
    for seed, seconds in enumerate(shot_seconds):
        picture = textured(seed, 32, 24)
        for _ in range(max(2, round(seconds * 5))):
            pictures.append((time, picture))
            time += 0.2
    cutter = SegmentCutter(CutOptions(longest_seconds=longest))
    return [*cutter.cut(pictures), *cutter.finish(time)], time


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.4, 40), min_size=1, max_size=4), st.floats(2, 15))
def test_segments_touch_and_none_is_too_long(shot_seconds: list[float], longest: float) -> None:
    segments, end = segments_of(shot_seconds, longest)
    assert segments[0].start_seconds == 0.0
    assert segments[-1].end_seconds == pytest.approx(end)
    for left, right in itertools.pairwise(segments):
        assert left.end_seconds == right.start_seconds
        assert left.shot in (right.shot, right.shot - 1)
    for segment in segments:
        assert 0 < segment.end_seconds - segment.start_seconds <= longest + 0.21
        assert segment.frames
        assert all(segment.start_seconds <= f.timestamp_seconds < segment.end_seconds for f in segment.frames)


def test_pictures_that_stand_for_minutes_are_split_as_well() -> None:
    """Of a recording that has a picture only where something changes, segments lasted half as long as each stood."""
    cutter = SegmentCutter(CutOptions(longest_seconds=10.0))
    slides = [(start, textured(seed, 32, 24)) for seed, start in enumerate((0.0, 60.0, 150.0))]
    segments = [*cutter.cut(slides), *cutter.finish(300.0)]
    assert max(segment.end_seconds - segment.start_seconds for segment in segments) <= 10.0
    assert [segment.start_seconds for segment in segments if segment.start_seconds == segment.shot_start_seconds] == [
        0.0,
        60.0,
        150.0,
    ]
    assert all(one.end_seconds == other.start_seconds for one, other in itertools.pairwise(segments))
    assert [len(segment.frames) for segment in segments] == [1] * len(segments)


def test_a_long_shot_is_split_without_a_crumb() -> None:
    segments, _ = segments_of([21.0], 10.0)
    assert [round(segment.end_seconds - segment.start_seconds, 1) for segment in segments] == [10.0, 5.5, 5.5]


def test_a_still_picture_is_kept_once_in_each_segment() -> None:
    segments, _ = segments_of([25.0], 10.0)
    assert [len(segment.frames) for segment in segments] == [1] * len(segments)
    assert [segment.frames[0].repeats_previous for segment in segments] == [False] + [True] * (len(segments) - 1)
    assert sum(segment.skipped_frame_count for segment in segments) > 15


def test_a_changed_line_of_a_slide_is_not_a_duplicate() -> None:
    slide = np.full((480, 640, 3), 245, np.uint8)
    other = slide.copy()
    other[200:216:2, 100:300] = 20
    duplicates = DuplicateFilter()
    assert [duplicates.repeats(picture) for picture in (slide, slide, other, other)] == [False, True, False, True]


def test_slow_drift_adds_up() -> None:
    duplicates = DuplicateFilter()
    answers = [duplicates.repeats(np.full((48, 64, 3), level, np.uint8)) for level in range(100, 120)]
    assert answers.count(False) > 5
    assert answers.count(True) > 5


def test_options_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="frames_per_second must be above zero, got 0"):
        CutOptions(frames_per_second=0)


@pytest.mark.parametrize(("rate", "cuts"), [(25, (17, 34)), (60, (31, 63, 94)), (50, (23, 41)), (10, (7, 12))])
def test_a_shot_begins_with_its_first_picture(tmp_path: Path, rate: int, cuts: tuple[int, ...]) -> None:
    """Only every second to fifth picture is looked at: a shot began as many pictures late."""
    edges = [0, *cuts, cuts[-1] + 12]
    pictures = [textured(shot, 160, 120) for shot, (a, b) in enumerate(itertools.pairwise(edges)) for _ in range(a, b)]
    path = write_video(tmp_path / "a.mp4", pictures, rate=rate)
    with open_segments(path) as stream:
        segments = list(stream)
    assert [round(segment.start_seconds * rate, 3) for segment in segments] == [0, *cuts]
    for shot, segment in enumerate(segments):
        first = segment.frames[0]
        assert first.timestamp_seconds == segment.start_seconds
        shown = first.image[::8, ::8].astype(int)
        unlike = [np.abs(shown - textured(seed, 160, 120)[::8, ::8]).mean() for seed in range(len(segments))]
        assert unlike.index(min(unlike)) == shot


def test_a_flash_before_a_cut_begins_no_shot() -> None:
    """Of the pictures between, those count from which on all are like the new shot."""
    old, new, white = textured(1, 160, 120), textured(2, 160, 120), np.full((120, 160, 3), 255, np.uint8)
    between = [(0.4, new), (0.3, new), (0.2, white), (0.1, new)]
    first = first_of_shot(old, new, between)
    assert first is not None
    assert first[0] == 0.3
    assert first_of_shot(old, new, [(0.2, old), (0.1, new)]) is None
