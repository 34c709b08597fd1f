"""Cuts a stream of pictures into segments, the spans that are indexed.

A segment never crosses a shot boundary and never lasts longer than `longest_seconds`. A shot begins with its first
picture, even if that is one which the detector was not shown. Segments of one video touch: each ends where the next
begins, and the last at the end of the video. A shot that is too long is split so that no crumb is left at its end.
Each segment has at least one frame.

Memory: the frames of one open segment, at most `1.25 × longest_seconds × frames_per_second` + 2 pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixr.media.frames import SampledFrame
from pixr.media.near_duplicates import DuplicateFilter
from pixr.media.shots import ShotDetector, first_of_shot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Pictures = Iterable[tuple[float, NDArray[np.uint8]]]

_CRUMB_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class CutOptions:
    """How to cut. Frames are sampled at `frames_per_second` from the start of each shot, which always gives one."""

    frames_per_second: float = 1.0
    longest_seconds: float = 10.0
    short_side_pixels: int = 480
    analysis_rate: float = 12.5

    def __post_init__(self) -> None:
        for name in ("frames_per_second", "longest_seconds", "short_side_pixels", "analysis_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above zero, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class CutSegment:
    """A span `[start, end)` of one shot, with its sampled frames in order of time.

    `shot` counts shots from zero; `shot_start_seconds` is where the shot begins, which for a split shot is earlier than
    the segment does. `skipped_frame_count` is how many near-duplicates were left out.
    """

    shot: int
    start_seconds: float
    end_seconds: float
    shot_start_seconds: float
    frames: tuple[SampledFrame, ...]
    skipped_frame_count: int = 0


class SegmentCutter:
    """Turns pictures in order of time into segments. One use per video.

    `between` returns the pictures after one time and before another, latest first, that were not handed to `cut`.
    """

    def __init__(self, options: CutOptions, between: Callable[[float, float], Pictures] = lambda *_: ()) -> None:
        self._options = options
        self._between = between
        self._detector = ShotDetector()
        self._duplicates = DuplicateFilter()
        self._shot = -1
        self._shot_start = 0.0
        self._start = 0.0
        self._next_sample = 0.0
        self._sampled: list[SampledFrame] = []
        self._before: tuple[float, NDArray[np.uint8]] | None = None
        self._waiting: tuple[float, NDArray[np.uint8]] | None = None
        self._last_image: NDArray[np.uint8] | None = None

    def cut(self, pictures: Pictures) -> Iterator[CutSegment]:
        """Yield the segments whose end is known. Call `finish` for the last ones."""
        for timestamp, image in pictures:
            begins = self._detector.push(image)
            if begins is not None and self._waiting is not None:
                yield from self._take(*self._waiting, begins=begins)
            self._before, self._waiting = self._waiting, (timestamp, image)

    def finish(self, end_seconds: float) -> Iterator[CutSegment]:
        """Yield the last segments; the video ends at `end_seconds`."""
        begins = self._detector.finish()
        if begins is not None and self._waiting is not None:
            yield from self._take(*self._waiting, begins=begins)
            yield from self._close_shot(max(end_seconds, self._waiting[0]))
            self._waiting = None

    def _take(self, timestamp: float, image: NDArray[np.uint8], *, begins: bool) -> Iterator[CutSegment]:
        if begins and self._before is not None:
            before, seen = self._before
            earlier = first_of_shot(seen, image, self._between(before, timestamp))
            if earlier is not None:
                yield from self._take_one(*earlier, begins=True)
                begins = False
        yield from self._take_one(timestamp, image, begins=begins)

    def _take_one(self, timestamp: float, image: NDArray[np.uint8], *, begins: bool) -> Iterator[CutSegment]:
        if begins:
            if self._shot >= 0:
                yield from self._close_shot(timestamp)
            self._shot += 1
            self._shot_start = self._start = self._next_sample = timestamp
        yield from self._split(timestamp)
        if timestamp >= self._next_sample - 1e-3:
            self._sampled.append(SampledFrame(timestamp, image))
            period = 1.0 / self._options.frames_per_second
            # Stay on the grid that began with the shot, however late this picture came.
            self._next_sample += period * (int((timestamp + 1e-3 - self._next_sample) / period) + 1)

    def _split(self, until_seconds: float) -> Iterator[CutSegment]:
        """Close segments of the longest length for as long as more than one of them and a crumb is left."""
        longest = self._options.longest_seconds
        while until_seconds - self._start > longest * (1 + _CRUMB_SHARE):
            yield self._close(self._start + longest)

    def _close_shot(self, end_seconds: float) -> Iterator[CutSegment]:
        yield from self._split(end_seconds)
        if end_seconds - self._start > self._options.longest_seconds:
            yield self._close((self._start + end_seconds) / 2)
        yield self._close(end_seconds)

    def _close(self, end_seconds: float) -> CutSegment:
        inside = [frame for frame in self._sampled if frame.timestamp_seconds < end_seconds]
        later = self._sampled[len(inside) :]
        if not inside and self._last_image is not None:
            # No new picture appeared in this span, so the last one is still shown.
            inside = [SampledFrame(self._start, self._last_image)]
        kept: list[SampledFrame] = []
        for frame in inside:
            repeats = self._duplicates.repeats(frame.image)
            if not repeats or not kept:
                kept.append(SampledFrame(frame.timestamp_seconds, frame.image, repeats))
        self._last_image = inside[-1].image
        segment = CutSegment(
            self._shot, self._start, end_seconds, self._shot_start, tuple(kept), len(inside) - len(kept)
        )
        self._sampled = later
        self._start = end_seconds
        return segment
