"""Makes utterances of words: one sentence each, with the span of time that a viewer would jump to.

A recogniser's sentences and times are rough: it joins sentences across a pause, and lets a word swallow the silence beside
it. The sound itself knows better, so the pauses found in it (`pixr.media.silence`) decide: a long one
separates utterances wherever punctuation stands, and words end where sound does. `align_to_shots` then moves edges
to a shot's boundaries where they are near: people cut where someone stops speaking, and a moment is the shot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_SENTENCE_END = (".", "?", "!", "…")
_CLOSING = "\"'”’)]"
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "jr.", "sr.", "prof.", "no.", "e.g.", "i.e."})

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Word:
    """One word as heard; `text` has no blanks around it. `confidence` is the recogniser's probability."""

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence, or what was said between two pauses. The span may be wider than its words: see `align_to_shots`."""

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float
    words: tuple[Word, ...] = ()


def split_utterances(
    words: Sequence[Word],
    pauses: Sequence[Span],
    cuts: Sequence[float] = (),
    *,
    pause_seconds: float = 0.45,
    longest_seconds: float = 15.0,
) -> list[Utterance]:
    """Group words, given in order, into utterances.

    A new one begins after the end of a sentence, across a pause of at least `pause_seconds`, across any pause that contains a
    cut of the picture, and where an utterance would last longer than `longest_seconds`.
    """
    fitted = [_fit(word, pauses) for word in words]
    groups: list[list[Word]] = []
    for word in fitted:
        if groups:
            last = groups[-1][-1]
            if (
                _ends_sentence(last.text)
                or _parted(last, word, pauses, cuts, pause_seconds)
                or word.end_seconds - groups[-1][0].start_seconds > longest_seconds
            ):
                groups.append([])
        else:
            groups.append([])
        groups[-1].append(word)
    return [_utterance(group) for group in groups]


def _ends_sentence(text: str) -> bool:
    bare = text.rstrip(_CLOSING)
    return bare.endswith(_SENTENCE_END) and bare.lower() not in _ABBREVIATIONS and not (len(bare) == 2 and bare[0].isupper())


def _fit(word: Word, pauses: Sequence[Span]) -> Word:
    """Take the silence at either end out of a word's span."""
    start, end = word.start_seconds, word.end_seconds
    for quiet_start, quiet_end in pauses:
        if quiet_end <= start:
            continue
        if quiet_start >= end:
            break
        if quiet_start <= start + 0.05 and quiet_end < end:
            start = quiet_end
        elif quiet_end >= end - 0.05 and quiet_start > start:
            end = quiet_start
        elif quiet_start > start and quiet_end < end:
            # Silence inside a word: it belongs to the longer side.
            if quiet_start - start >= end - quiet_end:
                end = quiet_start
            else:
                start = quiet_end
    return replace(word, start_seconds=start, end_seconds=max(start, end))


def _parted(left: Word, right: Word, pauses: Sequence[Span], cuts: Sequence[float], pause_seconds: float) -> bool:
    if right.start_seconds - left.end_seconds >= pause_seconds:
        return True
    middle_left = (left.start_seconds + left.end_seconds) / 2
    middle_right = (right.start_seconds + right.end_seconds) / 2
    for quiet_start, quiet_end in pauses:
        if quiet_end <= middle_left:
            continue
        if quiet_start >= middle_right:
            break
        if quiet_end - quiet_start >= pause_seconds:
            return True
        if any(quiet_start - 0.1 <= cut <= quiet_end + 0.1 for cut in cuts):
            return True
    return False


def _utterance(group: Sequence[Word]) -> Utterance:
    confidence = sum(word.confidence for word in group) / len(group)
    text = " ".join(word.text for word in group)
    return Utterance(group[0].start_seconds, group[-1].end_seconds, text, confidence, tuple(group))


def align_to_shots(
    utterances: Iterable[Utterance], shots: Sequence[Span], *, reach_seconds: float = 2.5, overhang_seconds: float = 0.6
) -> list[Utterance]:
    """Move the edges of utterances to the boundaries of the shot that holds them.

    An utterance belongs to a shot if it lies in it but for `overhang_seconds` at either end; then what hangs over is cut off, and an edge
    that is within `reach_seconds` of the shot's boundary moves there, unless another utterance of that shot is in between. One
    that spans shots keeps its own times. `shots` are in order and don't overlap; words keep their times.
    """
    said = sorted(utterances, key=lambda utterance: (utterance.start_seconds, utterance.end_seconds))
    starts = [start for start, _ in shots]
    homes: list[int | None] = []
    for utterance in said:
        index = bisect_right(starts, (utterance.start_seconds + utterance.end_seconds) / 2) - 1
        fits = (
            index >= 0
            and utterance.start_seconds >= shots[index][0] - overhang_seconds
            and utterance.end_seconds <= shots[index][1] + overhang_seconds
        )
        homes.append(index if fits else None)
    aligned = []
    for position, (utterance, home) in enumerate(zip(said, homes, strict=True)):
        if home is None:
            aligned.append(utterance)
            continue
        shot_start, shot_end = shots[home]
        before = said[position - 1].end_seconds if position > 0 and homes[position - 1] == home else shot_start
        after = said[position + 1].start_seconds if position + 1 < len(said) and homes[position + 1] == home else shot_end
        start, end = max(utterance.start_seconds, shot_start), min(utterance.end_seconds, shot_end)
        if start - shot_start <= reach_seconds and before <= shot_start:
            start = shot_start
        if shot_end - end <= reach_seconds and after >= shot_end:
            end = shot_end
        aligned.append(replace(utterance, start_seconds=start, end_seconds=end) if end > start else utterance)
    return aligned
