"""Scores moment retrieval against ground truth, family by family.

A result counts as right where a moment of it overlaps a relevant moment of the same video with an intersection over
union of at least `at`. Moments are ranked in the order given, video by video; past the twentieth they don't count, and
a query without an answer is a miss.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pixr.evaluation.measures import overlap

DEPTH = 20


@dataclass(frozen=True)
class Family:
    """How one family of queries fares. All but `queries` and `median_ms` are shares in [0, 1]."""

    queries: int
    video_at_1: float
    recall_at_1: float
    recall_at_5: float
    mean_reciprocal_rank: float
    median_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def rank_of_first(query: Mapping[str, Any], results: Iterable[Mapping[str, Any]], at: float = 0.5) -> int | None:
    """The rank, from 1, of the first moment that is relevant, or None."""
    rank = 0
    for result in results:
        relevance = result["relevance"]
        for moment in relevance.get("moments") or relevance["matches"]:
            rank += 1
            if rank > DEPTH:
                return None
            span = float(moment["timestamp"]), float(moment["timestamp"]) + float(moment["duration"])
            for wanted in query["relevant"]:
                same = wanted["video"] == result["source"]
                if same and overlap(span, (wanted["start"], wanted["end"])) >= at:
                    return rank
    return None


def score(
    queries: Sequence[Mapping[str, Any]], answers: Mapping[str, Mapping[str, Any]], at: float = 0.5
) -> dict[str, Family]:
    """Every family's figures; `answers` by the query's id, each with `results` and, where timed, `seconds`."""
    families: dict[str, list[tuple[bool, int | None, float | None]]] = defaultdict(list)
    for query in queries:
        answer = answers.get(query["id"], {"results": []})
        results = answer["results"]
        right = bool(results) and any(wanted["video"] == results[0]["source"] for wanted in query["relevant"])
        families[query["family"]].append((right, rank_of_first(query, results, at), answer.get("seconds")))
    return {name: _family(rows) for name, rows in sorted(families.items())}


def _family(rows: Sequence[tuple[bool, int | None, float | None]]) -> Family:
    ranks = [rank for _, rank, _ in rows]
    seconds = [took for _, _, took in rows if took is not None]
    return Family(
        queries=len(rows),
        video_at_1=sum(right for right, _, _ in rows) / len(rows),
        recall_at_1=sum(rank == 1 for rank in ranks) / len(rows),
        recall_at_5=sum(rank is not None and rank <= 5 for rank in ranks) / len(rows),
        mean_reciprocal_rank=sum(1 / rank for rank in ranks if rank) / len(rows),
        median_ms=1000 * statistics.median(seconds) if seconds else None,
    )
