"""What a run found, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benches.peers.figures import RECALLS, Point, Result, at_recall, memory_mb
from benches.peers.protocol import K

Column = tuple[str, Callable[[Result], str]]


def about_machine(about: dict[str, Any]) -> str:
    """Where, when and how a run was taken."""
    return (
        f"`{about['command']}` at {about['commit']} on {about['date']}; {about['cores']} cores of {about['cpu']} "
        f"({about['cpu_family']}; {', '.join(about['simd'])}), {about['memory_gib']} GiB, {about['system']}."
    )


def vectors_markdown(results: Sequence[Result], about: dict[str, Any]) -> str:
    """One query at a time, then batches, then what was not measured."""
    measured = [result for result in results if result.error is None and result.points]
    lines = [
        f"# {about['rows']:,} rows of {about['dimension']} dimensions",
        "",
        f"{about['source']}. {about_machine(about)}",
        "",
        _method(about, dropped=all(result.pages_dropped for result in measured)),
        "",
        *_table(measured, _columns()),
    ]
    if any(result.batches for result in measured):
        batched = [result for result in measured if result.batches]
        lines += ["", f"All queries in one call, on {about['cores']} cores:", ""]
        lines += _table(batched, _batch_columns())
    if len(measured) < len(results):
        lines += ["", "Not measured:", ""]
    lines += [f"- {result.name}: {result.error or 'not yet asked'}" for result in results if result not in measured]
    return "\n".join(lines) + "\n"


def _method(about: dict[str, Any], *, dropped: bool) -> str:
    return (
        f"One query at a time on one core, recall@{K} over up to {about['queries']:,} queries; q/s and p99 are "
        "interpolated at the recall. Build: all cores, from rows in memory to an index on disk. Memory: what the "
        f"process grew by from before opening to having asked at {RECALLS[-1]} (or its best), touched pages of mapped "
        "files included. Cold: from opening to the first answer"
        + ("." if dropped else "; pages of files could not be dropped.")
    )


def _columns() -> list[Column]:
    before: list[Column] = [
        ("engine", lambda result: f"{result.name} {result.version}".strip()),
        ("build (s)", lambda result: f"{result.build_seconds:.1f}"),
        ("memory (MB)", lambda result: _number(memory_mb(result))),
        ("disk (MB)", lambda result: f"{result.disk_mb:,.0f}"),
        ("cold (ms)", lambda result: _number(result.cold_ms)),
    ]
    figures = (("q/s at", "queries_per_second"), ("p99 (ms) at", "p99_ms"))
    at: list[Column] = [(f"{label} {wanted}", _at(wanted, figure)) for wanted in RECALLS for label, figure in figures]
    return [*before, *at, ("best recall", lambda result: _best(result.points))]


def _batch_columns() -> list[Column]:
    at: list[Column] = [(f"q/s at {wanted}", _batch_at(wanted)) for wanted in RECALLS]
    return [("engine", lambda result: result.name), *at, ("best recall", lambda result: _best(result.batches))]


def _at(wanted: float, figure: str) -> Callable[[Result], str]:
    return lambda result: _number(at_recall(result.points, wanted, figure))


def _batch_at(wanted: float) -> Callable[[Result], str]:
    return lambda result: _number(at_recall(result.batches, wanted))


def _best(points: Sequence[Point]) -> str:
    best = max(points, key=lambda point: (point.recall, point.queries_per_second))
    return f"{best.recall:.4f} at {_number(best.queries_per_second)} q/s"


def _table(results: Sequence[Result], columns: Sequence[Column]) -> list[str]:
    rows = [[show(result) for _, show in columns] for result in results]
    heads = [head for head, _ in columns]
    return ["| " + " | ".join(cells) + " |" for cells in [heads, ["---"] * len(heads), *rows]]


def _number(value: float | None) -> str:
    """Three digits are enough."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
