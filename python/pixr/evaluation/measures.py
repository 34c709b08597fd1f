"""Measures how good ranked moments are, against the spans that are right.

- R@k at an overlap: the share of questions for which one of the first k moments overlaps a right span by at least that
  much (intersection over union).
- mAP: the average precision of each question at overlaps of 0.5, 0.55, … 0.95, averaged. Each span counts once, and
  precision is interpolated, as in ActivityNet's and QVHighlights' own programs.
- MRR: the mean of 1 over the rank of the first right moment, at an overlap of 0.5.
- False accepts: the share of questions about nothing in the library that get an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pixr.evaluation.ground_truth import Span
from pixr.wire import report_to_dict

__all__ = ["DEPTH", "KS", "OVERLAPS", "Measures", "average_precision", "measure", "overlap", "rank_of_first"]

KS = (1, 5, 10)
OVERLAPS = (0.3, 0.5, 0.7)
MAP_OVERLAPS = tuple(at / 100 for at in range(50, 100, 5))
DEPTH = 20


@dataclass(frozen=True)
class Measures:
    """The figures of a set of questions. All but the counts are in [0, 1], or None if there are no such questions.

    `recall` is by overlap and k: `recall["0.5"]["1"]`.
    """

    questions: int
    about_nothing: int
    recall: Mapping[str, Mapping[str, float]] | None
    mean_average_precision: float | None
    mean_reciprocal_rank: float | None
    false_accepts: float | None

    def to_dict(self) -> dict[str, Any]:
        """The figures in the form of JSON."""
        return report_to_dict(asdict(self))


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two spans of time.

    Example:
        >>> overlap((0.0, 4.0), (2.0, 4.0))
        0.5
    """
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    union = max(one[1], other[1]) - min(one[0], other[0])
    return shared / union if union > 0 else 0.0


def rank_of_first(found: Sequence[Span], right: Sequence[Span], at: float) -> int | None:
    """The rank, from 1, of the first moment that is right at an overlap of `at`; None past `DEPTH`."""
    for rank, moment in enumerate(found[:DEPTH], start=1):
        if any(_overlap(moment, span) >= at for span in right):
            return rank
    return None


def average_precision(found: Sequence[Span], right: Sequence[Span], at: float) -> float:
    """Interpolated average precision of ranked moments at an overlap of `at`."""
    open_spans = list(right)
    hits: list[bool] = []
    for moment in found[:DEPTH]:
        best = max(open_spans, key=lambda span: _overlap(moment, span), default=None)
        is_hit = best is not None and _overlap(moment, best) >= at
        hits.append(is_hit)
        if is_hit and best is not None:
            open_spans.remove(best)
    precision, count = [], 0
    for rank, is_hit in enumerate(hits, start=1):
        count += is_hit
        precision.append(count / rank)
    total, ceiling = 0.0, 0.0
    for value, is_hit in zip(reversed(precision), reversed(hits), strict=True):
        ceiling = max(ceiling, value)
        total += ceiling * is_hit
    return total / len(right)


def measure(answered: Sequence[tuple[Sequence[Span], Sequence[Span]]]) -> Measures:
    """The figures of questions. Each is given by the moments found, best first, and the spans that are right."""
    asked = [(found, right) for found, right in answered if right]
    nothing = [found for found, right in answered if not right]
    recall = None
    mean_ap = reciprocal = None
    if asked:
        ranks = {at: [rank_of_first(found, right, at) for found, right in asked] for at in OVERLAPS}
        recall = {
            f"{at:g}": {str(k): sum(rank is not None and rank <= k for rank in of) / len(of) for k in KS}
            for at, of in ranks.items()
        }
        precisions = [
            sum(average_precision(found, right, at) for at in MAP_OVERLAPS) / len(MAP_OVERLAPS)
            for found, right in asked
        ]
        mean_ap = sum(precisions) / len(precisions)
        reciprocal = sum(1 / rank for rank in ranks[0.5] if rank) / len(asked)
    accepts = sum(bool(found) for found in nothing) / len(nothing) if nothing else None
    return Measures(len(answered), len(nothing), recall, mean_ap, reciprocal, accepts)


def _overlap(one: Span, other: Span) -> float:
    return overlap((one.start, one.end), (other.start, other.end)) if one.video == other.video else 0.0
