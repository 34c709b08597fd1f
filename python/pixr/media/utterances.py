"""Groups words into utterances: one sentence each, with the span of time that a viewer would jump to.

A recogniser's sentences and times are rough: it joins sentences across a pause, and stretches a word over the silence
beside it. So the pauses found in the sound itself (`pixr.media.silence`) decide: a long one separates utterances,
whatever the punctuation says, and words end where the sound does. `align_to_shots` then moves edges to the boundaries
of a shot if they are near, because videos are cut where someone stops speaking, and a moment is a shot.
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
# How far a cut of the picture may be from a pause and still belong to it.
_CUT_SLACK_SECONDS = 0.1
# A boundary that does not look like the end of a sentence counts as this much farther away; more before a small letter.
_NO_SENTENCE_END_SECONDS, _SMALL_LETTER_SECONDS = 0.3, 0.2

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

    A new one begins after the end of a sentence, after a pause of at least `pause_seconds`, after any pause with a cut
    of the picture in it, and where an utterance would last longer than `longest_seconds`.
    """
    if not words:
        return []
    separating = [pause for pause in pauses if _length(pause) >= pause_seconds or _holds_cut(pause, cuts)]
    bounds: dict[int, Span] = {}
    for pause in separating:
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


def _holds_cut(pause: Span, cuts: Sequence[float]) -> bool:
    start, end = pause
    return any(start - _CUT_SLACK_SECONDS <= cut <= end + _CUT_SLACK_SECONDS for cut in cuts)


def _ends_sentence(text: str) -> bool:
    bare = text.rstrip(_CLOSING)
    initial = len(bare) == 2 and bare[0].isupper()
    return bare.endswith(_SENTENCE_END) and bare.lower() not in _ABBREVIATIONS and not initial


def _boundary_at(words: Sequence[Word], pause: Span) -> int | None:
    """The index of the word that follows a pause: `len(words)` after the last one, None if no boundary is near.

    The recogniser's times may be off by a word, so a boundary that looks like the end of a sentence is preferred.
    """
    best, best_cost = None, _FARTHEST_SECONDS
    for index in range(len(words) + 1):
        left = words[index - 1] if index > 0 else None
        right = words[index] if index < len(words) else None
        earliest = left.end_seconds if left is not None else float("-inf")
        latest = right.start_seconds if right is not None else float("inf")
        # How far the nearer of the two words would have to move.
        cost = max(0.0, pause[0] - latest, earliest - pause[1])
        cost += 0.5 * (max(0.0, earliest - pause[0]) + max(0.0, pause[1] - latest))
        if left is not None and right is not None and not _ends_sentence(left.text):
            cost += _NO_SENTENCE_END_SECONDS
            if not right.text[:1].isupper():
                cost += _SMALL_LETTER_SECONDS
        if cost < best_cost:
            best, best_cost = index, cost
    return best


def _outside_pauses(word: Word, before: Span | None, after: Span | None) -> Word:
    """Cut the silence at either end off a word's span."""
    start, end = word.start_seconds, word.end_seconds
    if before is not None:
        start = max(start, before[1])
    if after is not None:
        end = min(end, after[0])
    if end <= start:
        # The recogniser put the whole word into the silence, but it is heard right beside it.
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
    """Join utterances with the same times, in order: a library holds one text for each span and channel."""
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
    """Move the edges of utterances to the boundaries of the shots that hold them.

    An utterance belongs to a shot if it lies in it, give or take `overhang_seconds` at either end. What hangs over is
    cut off. An edge within `reach_seconds` of the shot's boundary moves there, unless another utterance of that shot
    lies in between; in a shot of at most `short_shot_seconds` it moves however far. An utterance that spans several
    shots keeps its times, and so do words. `shots` must be in order and must not overlap.
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
