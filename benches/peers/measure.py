"""Measures one engine, each stage in a process of its own: build, ask one by one, ask in batches.

- *Build*, on all cores: from float32 rows in memory to an index on disk.
- *Ask*, on one core: the engine is imported, the pages of the index are dropped from the system's cache, then it is
  timed from opening to the first answer; after that the search parameter is swept. What memory grows by
  after importing is what the index needs: of mapped files, the pages that were touched.
- *Batches*, on all cores: all queries in one call.

An index that the same version built before in the same directory is asked again, and its build is not repeated.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benches.peers import figures, machine
from benches.peers.engines import ENGINES
from benches.peers.figures import Point, Result
from benches.peers.material import Material
from benches.peers.protocol import Engine

SECONDS_A_POINT = 8.0
LEAST_QUERIES = 30
ROUNDS = 3
STAGE_SECONDS = 3600.0
BUILT = "built.json"

Answer = TypeVar("Answer")


def measure(name: str, material: Material) -> Result:
    """All stages of one engine. What fails is said in the result."""
    result = Result(name, version=version_of(ENGINES[name].packages))
    try:
        built = in_child(_build, name, material)
        result.build_seconds, result.disk_mb = built["build_seconds"], built["disk_mb"]
        asked = in_child(_ask, name, material)
        result.cold_ms, result.pages_dropped = asked["cold_ms"], asked["pages_dropped"]
        result.points = [Point(**point) for point in asked["points"]]
        result.batches = [Point(**point) for point in in_child(_ask_batches, name, material)]
    except StageFailed as failure:
        result.error = str(failure)
    return result


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


def _report(to: Connection, stage: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
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


def _ask(name: str, material: Material) -> dict[str, Any]:
    machine.use_one_core()
    engine = _imported(name)
    directory, _ = _places(name, material)
    queries, truth = material.queries(), material.truth()
    rows, dimension = material.vectors().shape
    dropped = machine.drop_pages(directory)
    before = machine.resident_mb()
    began = time.perf_counter()
    index = engine.open(directory, rows, dimension)
    index.search(queries[0], engine.sweep[0])
    cold = time.perf_counter() - began
    points = []
    for parameter in engine.sweep:
        took, found = timed([partial(index.search, query, parameter) for query in queries])
        recall = figures.recall(found, truth[: len(found)])
        memory = {kind: now - before[kind] for kind, now in machine.resident_mb().items()}
        points.append(asdict(Point(parameter, len(found), recall, **figures.percentiles(took), **memory)))
    return {"cold_ms": cold * 1e3, "pages_dropped": dropped, "points": points}


def timed(calls: Sequence[Callable[[], Answer]]) -> tuple[list[float], list[Answer]]:
    """The seconds that each call takes, and what it answers; fewer calls where they take long.

    All are made three times, round by round, and the least of a call's times counts: what another process or a page
    that was not in memory yet took is no matter of the call's.
    """
    took: list[float] = []
    found: list[Answer] = []
    began = time.perf_counter()
    for call in calls:
        started = time.perf_counter()
        found.append(call())
        took.append(time.perf_counter() - started)
        if len(took) >= LEAST_QUERIES and time.perf_counter() - began > SECONDS_A_POINT / ROUNDS:
            break
    for _ in range(ROUNDS - 1):
        for place, call in enumerate(calls[: len(took)]):
            started = time.perf_counter()
            call()
            took[place] = min(took[place], time.perf_counter() - started)
    return took, found


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
        asked = queries[: max(LEAST_QUERIES, int(SECONDS_A_POINT / ROUNDS / a_query))]
        times = []
        for _ in range(ROUNDS):
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
