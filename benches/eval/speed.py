"""Indexing speed, as multiples of real time: the whole pipeline, and each stage alone on the same videos.

Two things bound the pipeline: how fast its slowest stage is when it has all cores to itself, and the processor time of
all stages spread over the cores. On processors alone the second is always the lower one, since no stage can have all
cores while others run; the first could only be reached if the other stages cost nothing.

Stages alone fill all cores as the pipeline does, with several videos side by side and one thread a model call. Two
threads in one call would cost more processor time, and the bound of the cores would look lower than it is. What the
pipeline does besides (loading models, starting decoders, pooling, storing) counts as its loss.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import pixr
from pixr.encoders import EncoderOptions, default_encoders
from pixr.encoders.sound_labels import SoundLabelEncoder, may_hold_words
from pixr.media import AudioChunk, CutSegment, ScreenReader, SpeechRecogniser, open_audio, open_segments
from pixr.media.sounds import hear

T = TypeVar("T")
U = TypeVar("U")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_VIDEOS_AT_ONCE = 4 * CORES


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
    cost, duration = Cost(), 0.0
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

    cost.add(run)
    return {
        "videos": len(videos),
        "video_seconds": duration,
        "wall_seconds": cost.wall_seconds,
        "cpu_seconds": cost.cpu_seconds,
        "times_real_time": duration / cost.wall_seconds,
        "warnings": sorted(warnings),
    }


def measure_stages(videos: list[Path]) -> dict[str, Any]:
    """Run each stage alone on all cores, one stage after the other, a few videos at a time to bound memory."""
    with ThreadPoolExecutor(CORES) as pool:
        stages = _Stages(pool)
        for start in range(0, len(videos), _VIDEOS_AT_ONCE):
            stages.run(videos[start : start + _VIDEOS_AT_ONCE])
    return {
        "videos": len(videos),
        "video_seconds": stages.video_seconds,
        "stages": {
            name: {
                "wall_seconds": cost.wall_seconds,
                "cpu_seconds": cost.cpu_seconds,
                "times_real_time": stages.video_seconds / cost.wall_seconds,
            }
            for name, cost in stages.costs.items()
        },
    }


class _Stages:
    """The models of all stages, and what each stage has cost so far."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._encoders = default_encoders(EncoderOptions(threads=1))
        self._can_hear = SoundLabelEncoder.can_hear()
        self._readers = SimpleQueue[ScreenReader]()
        for _ in range(CORES):
            self._readers.put(ScreenReader())
        self._recogniser: SpeechRecogniser | None = None
        with suppress(pixr.errors.SpeechUnavailable, pixr.errors.MissingExtra):
            gate = may_hold_words if self._can_hear else None
            self._recogniser = SpeechRecogniser(thread_count=CORES, gate=gate)
        speech = ("speech", "text") if self._recogniser is not None else ()
        sound = ("sound",) if self._can_hear else ()
        self.costs = {name: Cost() for name in ("decode", "visual", *speech, "screen", *sound)}
        self.video_seconds = 0.0

    def run(self, videos: list[Path]) -> None:
        """Run every stage on some videos, each stage on all of them side by side."""
        decoded = self._side_by_side("decode", _decode, videos)
        pictures, sounds = [segments for segments, _ in decoded], [sound for _, sound in decoded]
        self.video_seconds += sum(segments[-1].end_seconds for segments in pictures)
        self._side_by_side("visual", self._see, pictures)
        self._side_by_side("screen", self._read, pictures)
        recogniser = self._recogniser
        if recogniser is not None:
            said = self._side_by_side("speech", lambda sound: list(recogniser.transcribe(sound)), sounds)
            texts = [[one.text for one in utterances] for utterances in said if utterances]
            self._side_by_side("text", self._encoders.text.encode_text, texts)
        if self._can_hear:
            self._side_by_side("sound", self._label, self._side_by_side("decode", self._listen, videos))

    def _side_by_side(self, stage: str, call: Callable[[T], U], inputs: list[T]) -> list[U]:
        return self.costs[stage].add(lambda: list(self._pool.map(call, inputs)))

    def _see(self, segments: list[CutSegment]) -> None:
        fresh = [frame.image for one in segments for frame in one.frames if not frame.repeats_previous]
        self._encoders.visual.encode_images(fresh)

    def _read(self, segments: list[CutSegment]) -> None:
        reader = self._readers.get()
        reader.forget()
        for segment in segments:
            reader.read(segment)
        self._readers.put(reader)

    def _listen(self, path: Path) -> list[AudioChunk]:
        encoder = self._encoders.sound
        return list(open_audio(path, sample_rate_hz=encoder.sample_rate_hz)) if encoder is not None else []

    def _label(self, sound: list[AudioChunk]) -> None:
        if self._encoders.sound is not None:
            list(hear(sound, self._encoders.sound))


def compare(whole: dict[str, Any], alone: dict[str, Any]) -> dict[str, Any]:
    """How much of what the stages allow the pipeline keeps; all per second of video."""
    stages = alone["stages"]
    slowest = max(stages, key=lambda name: stages[name]["wall_seconds"])
    bound_stage = stages[slowest]["wall_seconds"] / alone["video_seconds"]
    cpu = sum(stage["cpu_seconds"] for stage in stages.values()) / alone["video_seconds"]
    took = whole["wall_seconds"] / whole["video_seconds"]
    return {
        "cores": CORES,
        "slowest_stage": slowest,
        "slowest_stage_times_real_time": 1 / bound_stage,
        "cores_times_real_time": CORES / cpu,
        "pipeline_times_real_time": 1 / took,
        "kept_of_slowest_stage": bound_stage / took,
        "kept_of_cores": cpu / CORES / took,
        "cores_busy": whole["cpu_seconds"] / whole["wall_seconds"] / CORES,
        "cpu_besides_stages": whole["cpu_seconds"] / whole["video_seconds"] / cpu - 1,
    }


def _decode(path: Path) -> tuple[list[CutSegment], list[AudioChunk]]:
    with open_segments(path) as stream:
        segments = list(stream)
    return segments, list(open_audio(path))


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
