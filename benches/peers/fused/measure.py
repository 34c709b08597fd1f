"""Measures one system on fused queries, each stage in a process of its own: build, ask on one core, ask by threads."""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benches.peers import machine
from benches.peers.figures import percentiles
from benches.peers.fused import corpus as corpora
from benches.peers.fused.handmade import Handmade
from benches.peers.fused.lancedb import LanceDb
from benches.peers.fused.milvus import MilvusLite
from benches.peers.fused.pixr import EXACT, Pixr, PixrSearcher
from benches.peers.fused.protocol import Question, System
from benches.peers.measure import BUILT, StageFailed, in_child, version_of
from benches.peers.turns import SECONDS_A_POINT, TURNS, Calls, least, timed
from pixr.types import Hits

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        Pixr("pixr"),
        Pixr("pixr-videos", moments=0),
        Handmade("by-hand"),
        Handmade("by-hand-exhaustive", exhaustive=True),
        LanceDb(),
        MilvusLite(),
    )
}
SHARES = (100, 10, 1)
"""Percent of the videos that filters leave."""
CLIENTS = (1, 2, 4, 8)
WARM_UP = 20


@dataclass(frozen=True)
class Place:
    """Where the corpus is, and how much of it is asked."""

    work: Path
    segments: int
    queries: int
    dimension: int

    def corpus(self) -> corpora.Corpus:
        """Made, or read."""
        return corpora.make(self.work, self.segments, self.queries, self.dimension)


@dataclass
class Run:
    """One system under one filter with one effort. nDCG is filled in later, when the truth is known."""

    share: int
    effort: int
    queries_per_second: float
    p50_ms: float
    p99_ms: float
    found: list[list[int]]
    ndcg: float = 0.0
    ndcg_by_ranks: float | None = None


@dataclass
class FusedResult:
    """What one system did."""

    name: str
    version: str = ""
    build_seconds: float = 0.0
    disk_mb: float = 0.0
    runs: list[Run] = field(default_factory=list)
    clients: dict[int, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """One filter and effort of one turn."""

    share: int
    effort: int
    calls: Calls[list[int]]


def build(result: FusedResult, place: Place) -> None:
    """Build a system's indexes. What fails is said in the result."""
    try:
        built = in_child(_build, result.name, place)
        result.build_seconds, result.disk_mb = built["build_seconds"], built["disk_mb"]
    except StageFailed as failure:
        result.error = str(failure)


def ask(result: FusedResult, place: Place, turns: list[list[Asked]]) -> None:
    """Ask everything once more, after these turns; the result is that of all of them."""
    try:
        turns.append(in_child(_ask, result.name, place))
    except StageFailed as failure:
        result.error = str(failure)
        return
    result.runs = []
    for asked in zip(*turns, strict=True):
        calls = least([one.calls for one in asked])
        result.runs.append(Run(asked[0].share, asked[0].effort, **percentiles(calls.took), found=calls.found))


def measure_clients(result: FusedResult, effort: int, place: Place) -> None:
    """Queries a second, unfiltered, of so many threads; of Pixr also what counting costs."""
    try:
        result.clients = in_child(_ask_from_threads, result.name, effort, place)
        if isinstance(SYSTEMS[result.name], Pixr):
            result.counts = in_child(_count, result.name, effort, place)
    except StageFailed as failure:
        result.error = str(failure)


def _build(name: str, place: Place) -> dict[str, Any]:
    system = _imported(name)
    directory = _directory(system, place)
    note = directory.with_name(f"{system.index}.{BUILT}")
    if note.is_file():
        known: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        if known["version"] == version_of(system.packages):
            return known
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    corpus = place.corpus()
    began = time.perf_counter()
    system.build(corpus, directory)
    seconds = time.perf_counter() - began
    built = {"version": version_of(system.packages), "build_seconds": seconds, "disk_mb": machine.disk_mb(directory)}
    note.write_text(json.dumps(built), encoding="utf-8")
    return built


def _ask(name: str, place: Place) -> list[Asked]:
    machine.use_one_core()
    system, corpus = _imported(name), place.corpus()
    searcher = system.open(corpus, _directory(system, place))
    asked = []
    for share in SHARES:
        questions = _questions(corpus, share)
        for effort in system.efforts:
            calls = timed([partial(searcher.search, question, effort) for question in questions])
            asked.append(Asked(share, effort, calls))
    return asked


def _ask_from_threads(name: str, effort: int, place: Place) -> dict[int, float]:
    system, corpus = _imported(name), place.corpus()
    searcher = system.open(corpus, _directory(system, place))
    questions = _questions(corpus, 100)
    began = time.perf_counter()
    for question in questions[:WARM_UP]:
        searcher.search(question, effort)
    a_query = (time.perf_counter() - began) / min(WARM_UP, len(questions))
    count = min(max(int(SECONDS_A_POINT / 2 / a_query), 2 * max(CLIENTS)), 4 * len(questions))
    found = {}
    for clients in CLIENTS:
        asked = [questions[number % len(questions)] for number in range(count)]
        with ThreadPoolExecutor(clients) as threads:
            began = time.perf_counter()
            list(threads.map(lambda question: searcher.search(question, effort), asked))
            found[clients] = count / (time.perf_counter() - began)
    return found


def _count(name: str, effort: int, place: Place) -> dict[str, float]:
    """What facets cost, and how often totals and facets of an approximate answer are the exact ones."""
    machine.use_one_core()
    corpus = place.corpus()
    system = SYSTEMS[name]
    searcher = system.open(corpus, _directory(system, place))
    assert isinstance(searcher, PixrSearcher)
    questions = _questions(corpus, 100)[:100]
    asked = {"page": False, "with_facets": True}
    turns: dict[str, list[Calls[Hits]]] = {page: [] for page in asked}
    for _ in range(TURNS):
        for page, facets in asked.items():
            calls = [partial(searcher.hits, question, effort, facets=facets) for question in questions]
            turns[page].append(timed(calls))
    found: dict[str, float] = {}
    for page, taken in turns.items():
        took = percentiles(least(taken).took)
        found |= {f"{page}_{figure}": value for figure, value in took.items() if figure.endswith("ms")}
    near = [searcher.hits(question, effort, facets=True) for question in questions]
    true = [searcher.hits(question, EXACT, facets=True) for question in questions]
    pairs = list(zip(near, true, strict=True))
    found["totals_exact"] = sum(one.total == other.total for one, other in pairs) / len(pairs)
    found["facets_exact"] = sum(one.facets == other.facets for one, other in pairs) / len(pairs)
    return found


def _questions(corpus: corpora.Corpus, share: int) -> Sequence[Question]:
    pairs = zip(corpus.queries, corpus.query_texts, strict=True)
    return [Question(vector, text, share) for vector, text in pairs]


def _imported(name: str) -> System:
    system = SYSTEMS[name]
    importlib.import_module(system.module)
    return system


def _directory(system: System, place: Place) -> Path:
    return corpora.directory_of(place.work, place.segments, place.dimension) / system.index
