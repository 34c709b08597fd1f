"""Measures one engine, each stage in a process of its own: build, ask one by one, ask in batches.

- *Build*, on all cores: from float32 rows in memory to an index on disk.
- *Ask*, on one core and in turns with the other engines (`turns`): the engine is imported; the first time, the pages of
  the index are dropped from the system's cache, then it is timed from opening to the first answer; after that the
  search parameter is swept. What memory grows by after importing is what the index needs: of mapped files, the pages
  that were touched.
- *Batches*, on all cores: all queries in one call.

An index that the same version built before in the same directory is asked again, and its build is not repeated.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from benches.peers import figures, machine
from benches.peers.engines import ENGINES
from benches.peers.figures import Point, Result
from benches.peers.material import Material
from benches.peers.protocol import Engine, Rows
from benches.peers.turns import LEAST_QUERIES, SECONDS_A_POINT, TURNS, Calls, least, timed

STAGE_SECONDS = 3600.0
BUILT = "built.json"


@dataclass(frozen=True)
class Swept:
    """One setting of one turn: what it took, and the memory after it."""

    parameter: int
    calls: Calls[Rows]
    memory: dict[str, float]


@dataclass(frozen=True)
class Turn:
    """One sweep. Cold figures are those of a first turn."""

    swept: list[Swept]
    cold_ms: float = 0.0
    pages_dropped: bool = False


def build(result: Result, material: Material) -> None:
    """Build the index of an engine. What fails is said in the result, and no stage follows."""
    with _told(result):
        built = in_child(_build, result.name, material)
        result.build_seconds, result.disk_mb = built["build_seconds"], built["disk_mb"]


def ask(result: Result, material: Material, turns: list[Turn]) -> None:
    """Sweep once more, after these turns; the result is that of all of them."""
    with _told(result):
        turns.append(in_child(_ask, result.name, material, not turns))
        result.cold_ms, result.pages_dropped = turns[0].cold_ms, turns[0].pages_dropped
        result.points = [_point(point, material) for point in zip(*(turn.swept for turn in turns), strict=True)]


def ask_batches(result: Result, material: Material) -> None:
    """Ask all queries in one call, where the engine has such a call."""
    with _told(result):
        result.batches = [Point(**point) for point in in_child(_ask_batches, result.name, material)]


@contextmanager
def _told(result: Result) -> Iterator[None]:
    try:
        yield
    except StageFailed as failure:
        result.error = str(failure)


def _point(turns: Sequence[Swept], material: Material) -> Point:
    calls = least([turn.calls for turn in turns])
    recall = figures.recall(calls.found, material.truth()[: len(calls.found)])
    return Point(turns[0].parameter, len(calls.found), recall, **figures.percentiles(calls.took), **turns[0].memory)


class StageFailed(Exception):
    """A stage ended with an error, which is its text, or did not end."""


def in_child(stage: Callable[..., Any], *arguments: Any) -> Any:
    """Run `stage` in a fresh process and return what it returns.

    Raises:
        StageFailed: it raised, died, or took too long.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(theirs, stage, arguments))
    child.start()
    theirs.close()
    try:
        if not ours.poll(STAGE_SECONDS):
            raise StageFailed(f"took more than {STAGE_SECONDS:.0f} s")
        found, error = ours.recv()
    except EOFError:
        child.join()
        raise StageFailed(f"the process died with exit code {child.exitcode}") from None
    finally:
        child.join(5)  # some engines leave threads that never end
        if child.is_alive():
            child.kill()
            child.join()
    if error is not None:
        raise StageFailed(error)
    return found


def _end_with_parent() -> None:
    """Leave when the bench is gone, also where it was killed: an index was built on for an hour, for nobody."""
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def _report(to: Connection, stage: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        to.send((stage(*arguments), None))
    except ModuleNotFoundError as error:
        to.send((None, f"not installed: {error.name}"))
    except Exception as error:  # noqa: BLE001  # a peer may raise anything, and the others go on
        traceback.print_exc(file=sys.stderr)
        to.send((None, f"{type(error).__name__}: {error}".splitlines()[0][:200]))


def _build(name: str, material: Material) -> dict[str, Any]:
    engine = _imported(name)
    directory, note = _places(name, material)
    version = version_of(engine.packages)
    if note.is_file():
        known: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        if known["version"] == version:
            return known
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    vectors = np.array(material.vectors())
    began = time.perf_counter()
    engine.build(vectors, directory)
    seconds = time.perf_counter() - began
    built = {"version": version, "build_seconds": seconds, "disk_mb": machine.disk_mb(directory)}
    note.write_text(json.dumps(built), encoding="utf-8")
    return built


def _ask(name: str, material: Material, is_first: bool) -> Turn:
    machine.use_one_core()
    engine = _imported(name)
    directory, _ = _places(name, material)
    queries = material.queries()
    rows, dimension = material.vectors().shape
    dropped = is_first and machine.drop_pages(directory)
    before = machine.resident_mb()
    began = time.perf_counter()
    index = engine.open(directory, rows, dimension)
    index.search(queries[0], engine.sweep[0])
    cold = time.perf_counter() - began
    swept = []
    for parameter in engine.sweep:
        calls = timed([partial(index.search, query, parameter) for query in queries])
        memory = {kind: now - before[kind] for kind, now in machine.resident_mb().items()}
        swept.append(Swept(parameter, calls, memory))
    return Turn(swept, cold * 1e3, dropped)


def _ask_batches(name: str, material: Material) -> list[dict[str, Any]]:
    engine = _imported(name)
    directory, _ = _places(name, material)
    queries, truth = material.queries(), material.truth()
    index = engine.open(directory, *material.vectors().shape)
    if not index.has_batches:
        return []
    points = []
    for parameter in engine.sweep:
        started = time.perf_counter()
        index.search_many(queries[:LEAST_QUERIES], parameter)
        a_query = (time.perf_counter() - started) / min(LEAST_QUERIES, len(queries))
        asked = queries[: max(LEAST_QUERIES, int(SECONDS_A_POINT / TURNS / a_query))]
        times = []
        for _ in range(TURNS):
            started = time.perf_counter()
            found = index.search_many(asked, parameter)
            times.append(time.perf_counter() - started)
        seconds = min(times)
        recall = figures.recall(list(found), truth[: len(asked)])
        points.append(asdict(Point(parameter, len(asked), recall, len(asked) / seconds, 0.0, 0.0)))
    return points


def _imported(name: str) -> Engine:
    engine = ENGINES[name]
    importlib.import_module(engine.module)
    return engine


def _places(name: str, material: Material) -> tuple[Path, Path]:
    directory = material.directory / ENGINES[name].index
    return directory, directory.with_name(f"{directory.name}.{BUILT}")


def version_of(packages: Sequence[str]) -> str:
    """The release of a peer, the commit of Pixr, which needs none; empty where it is not installed."""
    if not packages:
        return machine.commit("rust", "python", "Cargo.lock")
    try:
        return metadata.version(packages[0])
    except metadata.PackageNotFoundError:
        return ""
