"""The report as Markdown, and the machine it was made on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

# What the first milestone asks for: recall at 1 and at 5.
BARS = {"caption": (0.96, None), "speech": (0.96, None), "visual": (0.60, 0.82), "fused": (0.90, None)}


def machine() -> dict[str, Any]:
    """Processor, cores, versions and the time."""
    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "pixr": version("pixr"),
        "onnxruntime": version("onnxruntime"),
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def write(found: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    corpus, where = found["corpus"], found["machine"]
    versions = f"Python {where['python']}, pixr {where['pixr']}, onnxruntime {where['onnxruntime']}"
    size = f"{corpus['videos']} videos, {corpus['queries']} queries"
    parts = [
        f"# Measured by `make eval`, {where['when']}\n",
        f"{corpus['name']}: {size}. {where['cpu']}, {where['cores']} cores, {versions}.\n",
    ]
    if "quality" in found:
        parts += _quality(found["quality"])
    if "index" in found:
        parts += _speed(found)
    if "latency" in found:
        parts += _latency(found["latency"])
    return "\n".join(parts)


def _quality(quality: dict[str, Any]) -> Iterable[str]:
    rows = []
    for name, family in quality["families"].items():
        bar = BARS.get(name, (None, None))
        asked = " / ".join("-" if part is None else f"{part:.2f}" for part in bar) if any(bar) else ""
        rows.append([name, str(family["queries"]), *_shares(family), f"{family['median_ms']:.1f}", asked])
    heading = ["family", "queries", "video@1", "R@1", "R@5", "MRR", "median ms", "asked R@1 / R@5"]
    yield "## Moments found (IoU at least 0.5)\n"
    yield _table(heading, rows)
    if "fusion" in quality:
        rows = [[f"fused, {name}", *_shares(family)] for name, family in quality["fusion"].items()]
        rows += [[f"{name} alone", *_shares(family)] for name, family in quality["fused_by_one_mode"].items()]
        yield "## Ways of fusing, on the fused queries\n"
        yield _table(["", "video@1", "R@1", "R@5", "MRR"], rows)
    yield "## Queries about nothing that are answered with nothing, at the default threshold\n"
    modes = ("all", "visual", "text", "audio")
    rows = [
        [title, str(found["queries"]), *(f"{found[mode]['empty']:.2f}" for mode in modes)]
        for title, found in quality["nothing"].items()
    ]
    yield _table(["list", "queries", "all modes", *(f"{mode} alone" for mode in modes[1:])], rows)
    if "visual_without_threshold" in quality:
        free, kept = quality["visual_without_threshold"], quality["families"]["visual"]
        lost = free["recall_at_5"] - kept["recall_at_5"]
        yield (
            f"Visual R@5 is {kept['recall_at_5']:.3f} with the threshold and {free['recall_at_5']:.3f} without: "
            f"it costs {lost * 100:.1f} points.\n"
        )


def _speed(found: dict[str, Any]) -> Iterable[str]:
    whole = found["index"]
    yield "## Indexing\n"
    took = f"{whole['video_seconds']:.0f} s of video in {whole['wall_seconds']:.1f} s"
    yield f"{took}: {whole['times_real_time']:.1f}× real time.\n"
    if "stages" not in found:
        return
    rows = [
        [
            name,
            f"{stage['times_real_time']:.1f}×",
            f"{stage['cpu_seconds'] / max(stage['wall_seconds'], 1e-9):.2f}",
        ]
        for name, stage in found["stages"]["stages"].items()
    ]
    yield _table(["stage", "alone", "cores used"], rows)
    pipeline = found["pipeline"]
    slowest, cores = pipeline["slowest_stage_times_real_time"], pipeline["cores_times_real_time"]
    reached, of_it = pipeline["pipeline_times_real_time"], pipeline["kept_of_slowest_stage"]
    yield (
        f"The slowest stage alone ({pipeline['slowest_stage']}) allows {slowest:.1f}×, {pipeline['cores']} cores for "
        f"all stages {cores:.1f}×; the pipeline reaches {reached:.1f}×: {of_it:.0%} of the former, "
        f"{pipeline['kept_of_cores']:.0%} of the latter. It kept the cores {pipeline['cores_busy']:.0%} busy, and "
        f"spent {pipeline['cpu_besides_stages']:.0%} more processor time than the stages alone.\n"
    )


def _latency(latency: dict[str, Any]) -> Iterable[str]:
    loaded = ", ".join(latency["loaded_by_import"]) or "nothing heavy"
    whole, published = latency["warm_query_ms"], latency.get("published_encoder_ms")
    beside = [["the same of the model as published", f"{published:.2f} ms"]] if published else []
    of_it = f", {whole / published:.2f}× that of the published model" if published else ""
    yield "## One query\n"
    yield _table(
        ["", "median"],
        [
            ["bare encoder call (tokenizer and onnxruntime)", f"{latency['bare_encoder_ms']:.2f} ms"],
            *beside,
            ["warm query, end to end", f"{whole:.2f} ms, {latency['ratio']:.2f}× the bare call{of_it}"],
            ["of it in the engine", f"{latency['engine_ms']:.2f} ms"],
            ["the same query again", f"{latency['repeated_query_ms']:.2f} ms"],
            [
                "`import pixr`",
                f"{latency['import_ms']:.0f} ms, loads {loaded}",
            ],
            ["`pixr search` as a process", f"{latency['search_process_ms']:.0f} ms"],
        ],
    )


def _shares(family: dict[str, Any]) -> list[str]:
    names = ("video_at_1", "recall_at_1", "recall_at_5", "mean_reciprocal_rank")
    return [f"{family[name]:.3f}" for name in names]


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
