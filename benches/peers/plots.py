"""What a run found, as pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benches.peers.figures import OURS, Result, frontier, memory_mb
from benches.peers.protocol import K

COLOURS = ("#4477aa", "#ee7733", "#228833", "#aa3377", "#66ccee", "#bbbb00", "#999999", "#994455", "#004488", "#44bb99")

WIDTH_OF_TITLE = 90
"""In letters."""


def draw(results: Sequence[Result], about: dict[str, Any], directory: Path) -> list[Path]:
    """One picture a question; returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    measured = [result for result in results if result.error is None]
    title = titled(about)
    paths = [
        _curves(measured, title, "queries_per_second", "queries a second, one core", directory / "recall-qps.png"),
        _curves(measured, title, "p99_ms", "p99 (ms), one core", directory / "recall-p99.png"),
    ]
    bars: dict[str, tuple[str, Callable[[Result], float | None]]] = {
        "build.png": ("build (s), all cores", lambda result: result.build_seconds),
        "memory.png": ("resident memory (MB)", memory_mb),
        "disk.png": ("on disk (MB)", lambda result: result.disk_mb),
        "cold.png": ("opening to first answer, cold (ms)", lambda result: result.cold_ms),
    }
    for name, (label, figure) in bars.items():
        heights = [(result.name, float(figure(result) or 0.0)) for result in measured]
        paths.append(_bars(heights, title, label, directory / name))
    return paths


def titled(about: dict[str, Any]) -> str:
    """What a picture says of its run: rows, date, commit, machine, and the command."""
    what = f"{about['rows']:,} × {about['dimension']}, {about['date']}, {about['commit']}, {about['cpu']}"
    return what + "\n" + textwrap.fill(about["command"], WIDTH_OF_TITLE)


def _curves(results: Sequence[Result], title: str, figure: str, label: str, path: Path) -> Path:
    from matplotlib import pyplot as plt

    plot, axes = plt.subplots(figsize=(7, 4.5))
    swept = [result for result in results if len(result.points) > 1]
    for place, result in enumerate(swept):
        points = frontier(result.points)
        ours = result.name == OURS
        axes.plot(
            [point.recall for point in points],
            [getattr(point, figure) for point in points],
            marker="o",
            markersize=3,
            label=result.name,
            color="black" if ours else COLOURS[place % len(COLOURS)],
            linewidth=2.5 if ours else 1.1,
            linestyle="--" if place > len(COLOURS) else "-",
        )
    axes.set(xlabel=f"recall@{K}", ylabel=label, yscale="log", xlim=(0.85, 1.002))
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.grid(visible=True, which="both", alpha=0.25)
    if swept:
        axes.legend(fontsize=7, ncols=2)
    return _save(plot, path)


def _bars(heights: Sequence[tuple[str, float]], title: str, label: str, path: Path) -> Path:
    from matplotlib import pyplot as plt

    ordered = sorted(heights, key=lambda one: one[1], reverse=True)
    plot, axes = plt.subplots(figsize=(6, 0.6 + 0.25 * len(ordered)))
    colours = ["black" if name.startswith(OURS) else COLOURS[0] for name, _ in ordered]
    drawn = axes.barh([name for name, _ in ordered], [height for _, height in ordered], color=colours)
    axes.bar_label(drawn, fmt="%.4g", fontsize=7, padding=2)
    axes.set_xlabel(label, fontsize=8)
    if max((height for _, height in ordered), default=0) > 20 * min((h for _, h in ordered if h > 0), default=1):
        axes.set_xscale("log")
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    return _save(plot, path)


def _save(plot: Any, path: Path) -> Path:
    from matplotlib import pyplot as plt

    plot.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(plot)
    return path
