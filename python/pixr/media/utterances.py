"""Makes utterances of words: one sentence each, with the span of time that a viewer would jump to.

A recogniser's sentences and times are rough: it joins sentences across a pause, and lets a word swallow the silence
beside it. The sound itself knows better, so the pauses found in it (`pixr.media.silence`) decide: a long one
separates utterances wherever punctuation stands, and words end where sound does. `align_to_shots` then moves edges to
a shot's boundaries where they are near: people cut where someone stops speaking, and a moment is the shot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_SENTENCE_END = (".", "?", "!", "…")
_CLOSING = "\"'”’)]"
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "jr.", "sr.", "prof.", "no.", "e.g.", "i.e."})

_FARTHEST_SECONDS = 2.0
_SHORT_WORD_SECONDS = 0.2

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

    A new one begins after the end of a sentence, across a pause of at least `pause_seconds`, across any pause that
    contains a cut of the picture, and where an utterance would last longer than `longest_seconds`.
    """
    if not words:
        return []
    telling = [
        (start, end)
        for start, end in pauses
        if end - start >= pause_seconds or any(start - 0.1 <= cut <= end + 0.1 for cut in cuts)
    ]
    bounds: dict[int, Span] = {}
    for pause in telling:
        boundary = _boundary_at(words, pause)
        if boundary is not None and (boundary not in bounds or _length(pause) > _length(bounds[boundary])):
            bounds[boundary] = pause
    groups: list[list[Word]] = [[]]
    for index, word in enumerate(words):
        group = groups[-1]
        too_long = bool(group) and word.end_seconds - group[0].start_seconds > longest_seconds
        if group and (index in bounds or too_long or _ends_sentence(group[-1].text)):
            groups.append([])
        groups[-1].append(_outside_pauses(word, bounds.get(index), bounds.get(index + 1)))
    return [_utterance(group) for group in groups]


def _length(span: Span) -> float:
    return span[1] - span[0]


def _ends_sentence(text: str) -> bool:
    bare = text.rstrip(_CLOSING)
    initial = len(bare) == 2 and bare[0].isupper()
    return bare.endswith(_SENTENCE_END) and bare.lower() not in _ABBREVIATIONS and not initial


def _boundary_at(words: Sequence[Word], pause: Span) -> int | None:
    """The index of the word that follows a pause; `len(words)` after the last one, None if no boundary is near.

    The recogniser's times may be off by a word, so a boundary that looks like the end of a sentence draws the pause.
    """
    best, best_cost = None, _FARTHEST_SECONDS
    for index in range(len(words) + 1):
        left = words[index - 1] if index > 0 else None
        right = words[index] if index < len(words) else None
        earliest = left.end_seconds if left is not None else float("-inf")
        latest = right.start_seconds if right is not None else float("inf")
        # How far the nearer of the two words would have to give way.
        cost = max(0.0, pause[0] - latest, earliest - pause[1])
        cost += 0.5 * (max(0.0, earliest - pause[0]) + max(0.0, pause[1] - latest))
        if left is not None and right is not None and not _ends_sentence(left.text):
            cost += 0.3
            if not right.text[:1].isupper():
                cost += 0.2
        if cost < best_cost:
            best, best_cost = index, cost
    return best


def _outside_pauses(word: Word, before: Span | None, after: Span | None) -> Word:
    """Take the silence at either end out of a word's span."""
    start, end = word.start_seconds, word.end_seconds
    if before is not None:
        start = max(start, before[1])
    if after is not None:
        end = min(end, after[0])
    if end <= start:
        # The recogniser put the whole word into the silence: it is heard right beside it.
        if after is not None:
            start, end = after[0] - _SHORT_WORD_SECONDS, after[0]
        else:
            end = start + _SHORT_WORD_SECONDS
    return replace(word, start_seconds=max(0.0, start), end_seconds=end)


def _utterance(group: Sequence[Word]) -> Utterance:
    confidence = sum(word.confidence for word in group) / len(group)
    text = " ".join(word.text for word in group)
    end = max(word.end_seconds for word in group)
    return Utterance(min(word.start_seconds for word in group), end, text, confidence, tuple(group))


def join_simultaneous(utterances: Iterable[Utterance]) -> list[Utterance]:
    """Make one utterance of those with the same times, in their order: a library holds one text a span and channel."""
    joined: dict[Span, Utterance] = {}
    for one in utterances:
        span = one.start_seconds, one.end_seconds
        before = joined.get(span)
        if before is not None:
            sure = min(before.confidence, one.confidence)
            one = replace(before, text=f"{before.text} {one.text}", confidence=sure, words=before.words + one.words)
        joined[span] = one
    return list(joined.values())


def align_to_shots(
    utterances: Iterable[Utterance],
    shots: Sequence[Span],
    *,
    reach_seconds: float = 2.5,
    overhang_seconds: float = 0.6,
    short_shot_seconds: float = 6.0,
) -> list[Utterance]:
    """Move the edges of utterances to the boundaries of the shot that holds them.

    An utterance belongs to a shot if it lies in it but for `overhang_seconds` at either end; then what hangs over is
    cut off, and an edge that is within `reach_seconds` of the shot's boundary moves there, unless another utterance
    of that shot is in between; in a shot of at most `short_shot_seconds` it moves however far. One that spans shots
    keeps its own times. `shots` are in order and don't overlap; words keep their times.
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
        after = (
            said[position + 1].start_seconds if position + 1 < len(said) and homes[position + 1] == home else shot_end
        )
        start, end = max(utterance.start_seconds, shot_start), min(utterance.end_seconds, shot_end)
        reach = float("inf") if shot_end - shot_start <= short_shot_seconds else reach_seconds
        if start - shot_start <= reach and before <= shot_start:
            start = shot_start
        if shot_end - end <= reach and after >= shot_end:
            end = shot_end
        aligned.append(replace(utterance, start_seconds=start, end_seconds=end) if end > start else utterance)
    return aligned
