"""What a run of fused queries found, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benches.peers.fused.measure import CLIENTS, SYSTEMS, FusedResult, Run
from benches.peers.fused.pixr import EXACT, Pixr
from benches.peers.report import about_machine

METHOD = (
    "One query at a time on one core, whole calls from Python, without encoding. nDCG@10 against the exhaustive fused "
    "ranking; by ranks, against the exhaustive ranking by ranks."
)


def fused_markdown(results: Sequence[FusedResult], about: Mapping[str, Any], chosen: Mapping[str, Run]) -> str:
    """Every filter and effort, then threads, then counting, then what was not measured."""
    lines = [
        f"# Fused queries: {about['segments']:,} segments in {about['videos']:,} videos",
        "",
        f"{about['dimension']} dimensions, up to {about['queries']} queries. {about_machine(dict(about))}",
        "",
        METHOD,
        "",
        "| system | filter | effort | nDCG@10 | by ranks | p50 (ms) | p99 (ms) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        for run in result.runs:
            by_ranks = "–" if run.ndcg_by_ranks is None else f"{run.ndcg_by_ranks:.3f}"
            effort = "exact" if isinstance(SYSTEMS[result.name], Pixr) and run.effort == EXACT else str(run.effort)
            lines.append(
                f"| {result.name} {result.version} | {run.share} % | {effort} | {run.ndcg:.3f} | {by_ranks} "
                f"| {run.p50_ms:.2f} | {run.p99_ms:.2f} |"
            )
    heads = " | ".join(f"{clients} clients" for clients in CLIENTS)
    lines += [
        "",
        f"| queries a second, no filter, all {about['cores']} cores | effort | {heads} | build (s) | disk (MB) |",
    ]
    lines.append("| --- | --- |" + " --- |" * (len(CLIENTS) + 2))
    for result in results:
        if result.clients:
            speeds = " | ".join(f"{result.clients[clients]:,.0f}" for clients in CLIENTS)
            effort = str(chosen[result.name].effort)
            lines.append(
                f"| {result.name} | {effort} | {speeds} | {result.build_seconds:.0f} | {result.disk_mb:,.0f} |"
            )
    lines += [_counting(result, chosen[result.name].effort) for result in results if result.counts]
    lines += [f"- {result.name}: {result.error}" for result in results if result.error is not None]
    return "\n".join(lines) + "\n"


def _counting(result: FusedResult, effort: int) -> str:
    counts = result.counts
    return (
        f"\nCounting ({result.name}, effort {effort}): a page takes {counts['page_p50_ms']:.2f} ms at the median, with "
        f"facets {counts['with_facets_p50_ms']:.2f} ms. Totals are the exact ones in {counts['totals_exact']:.0%} of "
        f"queries, facets in {counts['facets_exact']:.0%}."
    )
