"""Indexing speed, as multiples of real time: the whole pipeline, and each stage alone on the same videos.

Two things bound the pipeline from below: its slowest stage run alone, and the processor time of all stages spread over
the cores. What it keeps of the larger of the two is its efficiency.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pixr
from pixr.media import CutSegment, ScreenReader, SpeechRecogniser, open_audio, open_segments

T = TypeVar("T")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Cost:
    """Seconds on the clock and of processors, of this process and of those it has ended."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, call: Callable[[], T]) -> T:
        """Run `call` and add what it took."""
        began, busy = time.perf_counter(), _cpu_seconds()
        result = call()
        self.wall_seconds += time.perf_counter() - began
        self.cpu_seconds += _cpu_seconds() - busy
        return result


def index(videos: list[Path], library_path: Path, titles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Index into a new library with default settings.

    Raises:
        RuntimeError: a video could not be indexed.
    """
    shutil.rmtree(library_path, ignore_errors=True)
    cost, stages, duration = Cost(), defaultdict[str, float](float), 0.0
    warnings: set[str] = set()

    def run() -> None:
        nonlocal duration
        sources = [pixr.Source(path, **titles.get(path.name, {})) for path in videos]
        with pixr.open(library_path) as library:
            for outcome in library.add_many(sources):
                if outcome.video is None:
                    raise RuntimeError(f"{outcome.source.path}: {outcome.error}")
                duration += outcome.video.duration
                warnings.update(outcome.warnings)
                for stage, seconds in outcome.stage_seconds.items():
                    stages[stage] += seconds

    cost.add(run)
    return {
        "videos": len(videos),
        "video_seconds": duration,
        "wall_seconds": cost.wall_seconds,
        "times_real_time": duration / cost.wall_seconds,
        "busy_seconds": dict(stages),
        "warnings": sorted(warnings),
    }


def measure_stages(videos: list[Path]) -> dict[str, Any]:
    """Run each stage alone, one after the other, on the same videos."""
    from pixr.encoders.registry import load_encoders

    encoder = load_encoders().visual
    costs = {name: Cost() for name in ("decode", "visual", "speech", "screen")}
    duration = 0.0
    reader, recogniser = ScreenReader(), None
    with suppress(pixr.errors.SpeechUnavailable, pixr.errors.MissingExtra):
        recogniser = SpeechRecogniser()
    if recogniser is None:
        del costs["speech"]
    for path in videos:
        segments = costs["decode"].add(lambda path=path: _decode(path))  # type: ignore[misc]
        duration += segments[-1].end_seconds
        pictures = [frame.image for one in segments for frame in one.frames if not frame.repeats_previous]
        costs["visual"].add(lambda pictures=pictures: encoder.encode_images(pictures))  # type: ignore[misc]
        reader.forget()
        costs["screen"].add(lambda segments=segments: [reader.read(segment) for segment in segments])  # type: ignore[misc]
        if recogniser is not None:
            sound = list(open_audio(path))
            costs["speech"].add(lambda sound=sound: list(recogniser.transcribe(sound)))  # type: ignore[misc]
    return {
        "videos": len(videos),
        "video_seconds": duration,
        "stages": {
            name: {
                "wall_seconds": cost.wall_seconds,
                "cpu_seconds": cost.cpu_seconds,
                "times_real_time": duration / cost.wall_seconds,
            }
            for name, cost in costs.items()
        },
    }


def compare(whole: dict[str, Any], alone: dict[str, Any]) -> dict[str, Any]:
    """How much of what the stages allow the pipeline keeps; all per second of video."""
    stages = alone["stages"]
    slowest = max(stages, key=lambda name: stages[name]["wall_seconds"])
    bound_stage = stages[slowest]["wall_seconds"] / alone["video_seconds"]
    bound_cores = sum(stage["cpu_seconds"] for stage in stages.values()) / CORES / alone["video_seconds"]
    took = whole["wall_seconds"] / whole["video_seconds"]
    return {
        "cores": CORES,
        "slowest_stage": slowest,
        "slowest_stage_times_real_time": 1 / bound_stage,
        "cores_times_real_time": 1 / bound_cores,
        "pipeline_times_real_time": 1 / took,
        "kept_of_slowest_stage": bound_stage / took,
        "kept_of_what_is_possible": max(bound_stage, bound_cores) / took,
    }


def _decode(path: Path) -> list[CutSegment]:
    with open_segments(path) as stream:
        return list(stream)


def _cpu_seconds() -> float:
    """Processor seconds of this process, and of decoders, which are children that may still run."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + _running_children()


def _running_children() -> float:
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / ticks
    return total
