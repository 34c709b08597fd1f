"""Queries as users ask them: three channels, fused, filtered, grouped by video, beside other ways to do it.

Truth is the exhaustive fused ranking: what Pixr answers in its exact mode. nDCG@10 counts each of its first ten videos
alike. Systems that fuse by ranks aim at another ranking, so a second figure sets them beside theirs: the same lists of
the same depth, made exhaustively. Times are of whole calls from Python, without encoding, one at a time on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.peers.figures import ndcg
from benches.peers.fused.corpus import DIMENSION
from benches.peers.fused.measure import SYSTEMS, Asked, FusedResult, Place, Run, ask, build, measure_clients
from benches.peers.fused.pixr import EXACT, Pixr
from benches.peers.fused.protocol import PLACES
from benches.peers.fused.report import fused_markdown
from benches.peers.install import Install
from benches.peers.measure import version_of
from benches.peers.turns import TURNS

OURS, BY_RANKS = "pixr", "by-hand-exhaustive"
ENOUGH = 0.98
"""The nDCG@10 at which Pixr is compared."""
PEERS = {"fused_vs_lancedb": "lancedb", "fused_vs_milvus": "milvus-lite"}


@dataclass(frozen=True)
class Settings:
    """How large a run is, and what takes part."""

    segments: int = 400_000
    queries: int = 300
    dimension: int = DIMENSION
    systems: tuple[str, ...] = tuple(SYSTEMS)

    @classmethod
    def quick(cls) -> Settings:
        """About two minutes."""
        return cls(segments=40_000, queries=100)


def systems_with(peers: Sequence[str]) -> list[str]:
    """The systems that these peers of the vector bench make."""
    parts = {"by-hand": "hnswlib", "by-hand-exhaustive": "hnswlib", "pixr-videos": "pixr"}
    return [name for name in SYSTEMS if parts.get(name, name) in peers]


def run(settings: Settings, about: dict[str, Any], work: Path, installing: Install) -> tuple[list[FusedResult], str]:
    """Measure all systems; returns what they did, and that as Markdown."""
    place = Place(work, settings.segments, settings.queries, settings.dimension)
    corpus = place.corpus()
    about = {**about, "segments": corpus.segment_count, "videos": corpus.video_count, "queries": len(corpus.queries)}
    about["dimension"] = corpus.frames.shape[1]
    failed = installing(package for name in settings.systems for package in SYSTEMS[name].packages)
    results = []
    for name in settings.systems:
        reasons = [failed[package] for package in SYSTEMS[name].packages if package in failed]
        version = version_of(SYSTEMS[name].packages)
        results.append(FusedResult(name, error=reasons[0]) if reasons else FusedResult(name, version=version))
    turns: dict[str, list[list[Asked]]] = {name: [] for name in settings.systems}

    def stage(what: str, work: Callable[[FusedResult], None]) -> None:
        for result in results:
            if result.error is None:
                print(f"fused: {result.name} on {settings.segments:,} segments, {what}", file=sys.stderr, flush=True)
                work(result)

    stage("built", lambda result: build(result, place))
    for turn in range(TURNS):
        stage(f"asked, turn {turn + 1}", lambda result: ask(result, place, turns[result.name]))
    _score(results)
    for result in results:
        if result.runs and result.error is None and result.name != BY_RANKS:
            print(f"fused: {result.name} asked by several threads", file=sys.stderr, flush=True)
            measure_clients(result, chosen(result).effort, place)
    return results, fused_markdown(results, about, {result.name: chosen(result) for result in results if result.runs})


def chosen(result: FusedResult, share: int = 100) -> Run:
    """What a system is compared by: of Pixr the least effort that reaches 0.98, of others the least there is."""
    runs = [run for run in result.runs if run.share == share]
    if not isinstance(SYSTEMS[result.name], Pixr):
        return runs[0]
    runs = [run for run in runs if run.effort != EXACT]
    reaching = [run for run in runs if run.ndcg >= ENOUGH]
    return min(reaching, key=lambda run: run.effort) if reaching else max(runs, key=lambda run: run.ndcg)


def ratios(results: Sequence[FusedResult]) -> dict[str, float | None]:
    """How many times as long the others take, at the median without a filter."""
    by_name = {result.name: result for result in results if result.runs and result.error is None}
    ours = by_name.get(OURS)
    found: dict[str, float | None] = {}
    for ratio, name in PEERS.items():
        peer = by_name.get(name)
        found[ratio] = round(chosen(peer).p50_ms / chosen(ours).p50_ms, 3) if ours and peer else None
    return found


def _score(results: Sequence[FusedResult]) -> None:
    """Fill in nDCG against both exhaustive rankings."""
    by_name = {result.name: result for result in results}
    fused = {run.share: run.found for run in by_name[OURS].runs if run.effort == EXACT} if OURS in by_name else {}
    ranked = {run.share: run.found for run in by_name[BY_RANKS].runs} if BY_RANKS in by_name else {}
    for result in results:
        for run in result.runs:
            run.ndcg = _mean_ndcg(run.found, fused.get(run.share, []))
            if not isinstance(SYSTEMS[result.name], Pixr) and run.share in ranked:
                run.ndcg_by_ranks = _mean_ndcg(run.found, ranked[run.share])


def _mean_ndcg(found: Sequence[Sequence[int]], truth: Sequence[Sequence[int]]) -> float:
    pairs = list(zip(found, truth, strict=False))
    total = sum(ndcg([str(one) for one in ours], dict.fromkeys(map(str, best), 1.0), PLACES) for ours, best in pairs)
    return total / len(pairs) if pairs else 0.0
