"""Cuts a video into chapters, from what is stored of it: no media is read.

A chapter begins at a cut where nobody is in the middle of a sentence, and where what is shown and said after it is
unlike what was before. How unlike both sides are is told by the cosine of their mean vectors, compared with the
video's other cuts, and by the length of the pause in speech. The strongest boundaries win, if no other is nearer than
the least length of a chapter. A title is made of the words that are said and written in a chapter more than in the
others, or of what it shows. `benches/eval/chapters.py` measures the boundaries.

Time is linear in the segments, but for sorting.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.common_words import COMMON_WORDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Chapter", "find_chapters"]

TITLE_WORDS = 3
PAUSE_WORTH = 0.05  # what a long pause adds to unlikeness, in standard deviations
WORDS_WORTH = 0.3  # what words weigh beside the pictures' 1: a sentence says little of what it is about
LONG_PAUSE_SECONDS = 2.0
STANDS_OUT = 0.5  # standard deviations above the mean from which unlikeness is a boundary
CHAPTERS_A_VIDEO = 20  # how many chapters of the least length fill a video, within the two bounds below
LEAST_SECONDS, MOST_LEAST_SECONDS = 10.0, 120.0
WINDOW_CHAPTERS, LEAST_WINDOW_SECONDS = 1.5, 8.0  # how much of either side of a cut is compared
SENTENCE_SLACK_SECONDS = 0.2  # how far a sentence may reach over a cut
_WORD = re.compile(r"[^\W\d_][\w'’-]{2,}")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of a video about one thing, from `start` to `end` in seconds.

    `words` are said or written in it more than elsewhere in the video; `concepts` are what it shows.
    """

    start: float
    end: float
    title: str
    words: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Track:
    """The vectors of one channel in order of time, as running sums, from which the mean of any run is quickly made."""

    starts: list[float]
    ends: list[float]
    sums: Floats
    weight: float

    def mean(self, begins: float, ends: float) -> Floats | None:
        """The mean direction of what begins in this span, or of what still goes on in it if nothing begins there.

        None if there is neither.
        """
        import numpy as np

        first, last = bisect_left(self.starts, begins), bisect_left(self.starts, ends)
        if first >= last:
            first = last - 1
            if first < 0 or self.ends[first] <= begins:
                return None
        mean = self.sums[last] - self.sums[first]
        length = float(np.linalg.norm(mean))
        return mean / length if length > 0 else None


def find_chapters(
    rows: Sequence[dict[str, Any]], duration: float, *, least_seconds: float | None = None, most: int = 30
) -> list[Chapter]:
    """The chapters of a video, which together cover all of it.

    Args:
        rows: its segments as the engine exports them: `start`, `end`, `frame.vector`, `frame.description`,
            `speech.text`, ….
        duration: of the video, in seconds.
        least_seconds: the shortest chapter; by default a twentieth of the video, but 10 to 120 seconds.
        most: the most chapters.
    """
    rows = sorted((row for row in rows if row["start"] is not None), key=lambda row: (row["start"], row["end"]))
    duration = max([duration, *(row["end"] for row in rows)])
    if duration <= 0:
        return []
    usual = min(max(duration / CHAPTERS_A_VIDEO, LEAST_SECONDS), MOST_LEAST_SECONDS)
    least = least_seconds if least_seconds is not None else usual
    said = [(row["start"], row["end"]) for row in rows if row.get("speech.text")]
    tracks = [track for channel in ("frame", "speech") if (track := _track(rows, channel)) is not None]
    cuts = sorted({row["start"] for row in rows if row.get("frame.vector") is not None})
    if not cuts:
        cuts = sorted({start for start, _ in said})
    scored = _score(cuts, said, tracks, duration, least)
    bounds = _choose(scored, duration, least, most)
    spans = list(zip([0.0, *bounds], [*bounds, duration], strict=True))
    return _titled(spans, rows)


def _track(rows: Sequence[dict[str, Any]], channel: str) -> _Track | None:
    import numpy as np

    held = [row for row in rows if row.get(f"{channel}.vector") is not None]
    if not held:
        return None
    vectors = np.array([row[f"{channel}.vector"] for row in held], np.float64)
    sums = np.vstack([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0)])
    weight = 1.0 if channel == "frame" else WORDS_WORTH
    return _Track([row["start"] for row in held], [row["end"] for row in held], sums, weight)


def _score(
    cuts: Sequence[float], said: Sequence[tuple[float, float]], tracks: Sequence[_Track], duration: float, least: float
) -> list[tuple[float, float]]:
    """How much of a boundary each cut is, and when it is. Cuts within a sentence are left out."""
    import numpy as np

    starts = [start for start, _ in said]
    latest: list[float] = []
    for _, end in said:
        latest.append(max(end, latest[-1] if latest else 0.0))
    window = max(WINDOW_CHAPTERS * least, LEAST_WINDOW_SECONDS)
    instants: list[float] = []
    unlike: list[list[float]] = []
    pauses: list[float] = []
    for cut in cuts:
        if not 0.0 < cut < duration:
            continue
        at = bisect_right(starts, cut - SENTENCE_SLACK_SECONDS)
        before = latest[at - 1] if at else 0.0
        if before > cut + SENTENCE_SLACK_SECONDS:
            continue  # in the middle of a sentence
        sides = [(track.mean(cut - window, cut), track.mean(cut, cut + window)) for track in tracks]
        if all(one is None or other is None for one, other in sides):
            continue
        instants.append(cut)
        unlike.append([math.nan if one is None or other is None else 1.0 - float(one @ other) for one, other in sides])
        following = starts[at] if at < len(starts) else duration
        pauses.append(min(max(0.0, following - before) / LONG_PAUSE_SECONDS, 1.0) if said else 0.0)
    if not instants:
        return []
    weights = np.array([track.weight for track in tracks])
    values = np.array(unlike)
    known = ~np.isnan(values)
    # Compared with the other cuts of this video, since a channel's cosines may all lie close together.
    count = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0.0).sum(axis=0) / count
    away = np.where(known, values - means, 0.0)
    spread = np.sqrt((away**2).sum(axis=0) / count) + 1e-9
    worth = (away / spread * weights).sum(axis=1) / (known * weights).sum(axis=1) + PAUSE_WORTH * np.array(pauses)
    return list(zip(worth.tolist(), instants, strict=True))


def _choose(scored: Sequence[tuple[float, float]], duration: float, least: float, most: int) -> list[float]:
    """The cuts at which chapters begin, in order of time: the best first, none too near to another or to an end."""
    if not scored:
        return []
    worths = [worth for worth, _ in scored]
    mean = sum(worths) / len(worths)
    spread = math.sqrt(sum((worth - mean) ** 2 for worth in worths) / len(worths))
    chosen: list[float] = []
    for worth, cut in sorted(scored, key=lambda one: (-one[0], one[1])):
        if worth < mean + STANDS_OUT * spread or len(chosen) >= most - 1:
            break
        at = bisect_left(chosen, cut)
        near = [*chosen[max(0, at - 1) : at + 1], 0.0, duration]
        if all(abs(cut - other) >= least for other in near):
            chosen.insert(at, cut)
    return chosen


def _titled(spans: Sequence[tuple[float, float]], rows: Sequence[dict[str, Any]]) -> list[Chapter]:
    """The spans as chapters, each with what is said, written and shown in it more than in the others."""
    words: list[Counter[str]] = [Counter() for _ in spans]
    shown: list[Counter[str]] = [Counter() for _ in spans]
    spelled: dict[str, str] = {}
    starts = [start for start, _ in spans]
    for row in rows:
        middle = (row["start"] + row["end"]) / 2
        at = max(0, bisect_right(starts, middle) - 1)
        for channel in ("speech", "screen"):
            for word in _WORD.findall(row.get(f"{channel}.text") or ""):
                key = word.lower().replace("’", "'")
                if key not in COMMON_WORDS:
                    words[at][key] += 1
                    spelled.setdefault(key, word)
        concepts = (row.get("frame.description") or "").partition(": ")[2]
        shown[at].update(name for name in concepts.split(", ") if name)
    in_chapters = Counter(word for counted in words for word in counted)
    shown_in = Counter(name for counted in shown for name in counted)
    chapters = []
    for number, (start, end) in enumerate(spans):
        told = _distinctive(words[number], in_chapters, len(spans))
        seen = _distinctive(shown[number], shown_in, len(spans))
        parts = [spelled[word] for word in told] or list(seen)
        title = ", ".join(parts[:TITLE_WORDS]) or f"Chapter {number + 1}"
        title = title[:1].upper() + title[1:]
        chapters.append(Chapter(start, end, title, tuple(told), tuple(seen)))
    return chapters


def _distinctive(counted: Counter[str], in_chapters: Counter[str], chapter_count: int) -> list[str]:
    """Up to three words that occur here more than elsewhere, the most distinctive first."""
    worth = {word: times * math.log((1 + chapter_count) / in_chapters[word]) for word, times in counted.items()}
    return sorted(worth, key=lambda word: (-worth[word], word))[:TITLE_WORDS]
