"""The arithmetic of the bench: recall, nDCG, figures at a given recall, ratios.

A figure at a recall is read off an engine's frontier, the points that no other point beats in both recall and queries a
second, between its two neighbours there, in the logarithm of the figure. An engine whose least setting already
reaches the recall gets that setting's figure; one that never reaches it gets none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benches.peers.protocol import Rows

RECALLS = (0.95, 0.99)
EXACT, FLAT, REFERENCE = "pixr-exact", "faiss-flat", "hnswlib"
OURS = "pixr"
COMPARED = {
    **{f"qps_at_{wanted}": None for wanted in RECALLS},
    "build_vs_hnswlib": REFERENCE,
    "memory_vs_hnswlib": REFERENCE,
    "exact_vs_faiss_flat": FLAT,
}
"""The ratios, and the peer that one needs."""


@dataclass(frozen=True)
class Point:
    """One setting of a search parameter. Memory is what was resident after all its queries were asked."""

    parameter: int
    queries: int
    recall: float
    queries_per_second: float
    p50_ms: float
    p99_ms: float
    resident_mb: float = 0.0
    mapped_mb: float = 0.0


@dataclass
class Result:
    """What one engine did. A batch has no latencies."""

    name: str
    version: str = ""
    build_seconds: float = 0.0
    disk_mb: float = 0.0
    cold_ms: float = 0.0
    pages_dropped: bool = False
    points: list[Point] = field(default_factory=list)
    batches: list[Point] = field(default_factory=list)
    error: str | None = None

    @property
    def is_peer(self) -> bool:
        """Whether it is not Pixr."""
        return not self.name.startswith(OURS)


def recall(found: Sequence[Rows], truth: Sequence[Rows] | NDArray[np.int64]) -> float:
    """The part of the true rows that was found, over all queries."""
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} answers for {len(truth)} truths")
    hits = sum(len(set(map(int, rows)) & set(map(int, best))) for rows, best in zip(found, truth, strict=True))
    return hits / sum(len(best) for best in truth)


def ndcg(found: Sequence[str], gains: Mapping[str, float], places: int) -> float:
    """The nDCG of a ranking with linear gains; what `gains` does not name gains nothing.

    1 where the best ranking gains nothing: there was nothing to find.
    """
    discount = [1 / math.log2(place + 2) for place in range(places)]
    gained = sum(gains.get(one, 0.0) * weight for one, weight in zip(found[:places], discount, strict=False))
    ideal = sorted(gains.values(), reverse=True)[:places]
    best = sum(gain * weight for gain, weight in zip(ideal, discount, strict=False))
    return gained / best if best > 0 else 1.0


def frontier(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats in both recall and queries a second, by recall."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.recall, -point.queries_per_second)):
        if not kept or point.queries_per_second > kept[-1].queries_per_second:
            kept.append(point)
    return kept[::-1]


def at_recall(points: Sequence[Point], wanted: float, figure: str = "queries_per_second") -> float | None:
    """A figure at a recall; none where no point reaches it."""
    best = frontier(points)
    above = next((place for place, point in enumerate(best) if point.recall >= wanted), None)
    if above is None:
        return None
    high = getattr(best[above], figure)
    if above == 0:
        return float(high)
    below = best[above - 1]
    share = (wanted - below.recall) / (best[above].recall - below.recall)
    return math.exp((1 - share) * math.log(getattr(below, figure)) + share * math.log(high))


def memory_mb(result: Result) -> float | None:
    """Resident memory at the first setting that reaches the highest recall asked for, else at the best setting."""
    if not result.points:
        return None
    reaching = [point for point in result.points if point.recall >= RECALLS[-1]]
    return (
        min(reaching, key=lambda p: p.recall) if reaching else max(result.points, key=lambda p: p.recall)
    ).resident_mb


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Queries a second, and milliseconds at the median and at 99 %."""
    return {
        "queries_per_second": len(seconds) / sum(seconds),
        "p50_ms": float(np.percentile(seconds, 50) * 1e3),
        "p99_ms": float(np.percentile(seconds, 99) * 1e3),
    }


def ratios(results: Sequence[Result]) -> dict[str, float | None]:
    """Pixr to the best peer of this run; above 1 is quicker, of build and memory below 1 is less."""
    by_name = {result.name: result for result in results if result.error is None}
    ours, reference = by_name.get(OURS), by_name.get(REFERENCE)
    exact, flat = by_name.get(EXACT), by_name.get(FLAT)
    found: dict[str, float | None] = {}
    for wanted in RECALLS:
        theirs = [at_recall(result.points, wanted) for result in by_name.values() if result.is_peer]
        best = max((speed for speed in theirs if speed is not None), default=None)
        found[f"qps_at_{wanted}"] = _ratio(at_recall(ours.points, wanted) if ours else None, best)
    found["build_vs_hnswlib"] = _ratio(
        ours.build_seconds if ours else None, reference.build_seconds if reference else None
    )
    found["memory_vs_hnswlib"] = _ratio(memory_mb(ours) if ours else None, memory_mb(reference) if reference else None)
    found["exact_vs_faiss_flat"] = _ratio(
        exact.points[0].queries_per_second if exact else None, flat.points[0].queries_per_second if flat else None
    )
    return found


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return round(ours / theirs, 3) if ours and theirs else None
