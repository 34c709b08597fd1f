"""`make bench-peers`: vector search beside other libraries, in one run on the same data, threads and machine.

    make bench-peers ARGS="--quick"                 100,000 rows; Pixr, hnswlib, faiss and usearch
    make bench-peers ARGS="--n 400000 --peers hnswlib,usearch-bf16"

Every index is built on all cores and asked one query at a time on one thread, over a range of its search parameter.
Writes JSON, a table and a plot of recall against queries a second to `--out`. The last line printed is one JSON object
of ratios to the best peer. Queries a second at a recall are interpolated between the measured points around it (in the
logarithm), and missing where no point reaches it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benches.peers import engines

K = 10
RECALLS = (0.95, 0.99)
DATA = Path(os.environ.get("PIXR_BENCH_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
Vectors = NDArray[np.float32]


@dataclass
class Point:
    """One setting of a search parameter."""

    parameter: int
    recall: float
    queries_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass
class Result:
    """What one engine did."""

    name: str
    build_seconds: float = 0.0
    resident_mb: float = 0.0
    points: list[Point] = field(default_factory=list)
    error: str | None = None

    def at(self, recall: float) -> float | None:
        """Queries a second at a recall."""
        points = sorted(self.points, key=lambda point: point.recall)
        for low, high in itertools.pairwise(points):
            if low.recall <= recall <= high.recall and high.recall > low.recall:
                share = (recall - low.recall) / (high.recall - low.recall)
                logs = np.log([low.queries_per_second, high.queries_per_second])
                return float(np.exp(logs[0] + share * (logs[1] - logs[0])))
        return None


def main() -> int:
    """Run what is asked for, and write it down."""
    arguments = _arguments()
    vectors, queries = _data(arguments.n, arguments.dim, arguments.queries)
    truth = _truth(vectors, queries)
    results = []
    for name in arguments.peers:
        print(f"peers: {name} on {len(vectors)} rows", file=sys.stderr, flush=True)
        results.append(_measure(name, vectors, queries, truth))
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    about = _about(arguments, vectors)
    table = _table(results, about)
    ratios = _ratios(results)
    found = {"about": about, "results": [asdict(result) for result in results], "ratios": ratios}
    (out / "peers.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (out / "peers.md").write_text(table, encoding="utf-8")
    _plot(results, about, out / "recall-qps.png")
    print(table)
    print(json.dumps(ratios))
    return 0


def _measure(name: str, vectors: Vectors, queries: Vectors, truth: NDArray[np.int64]) -> Result:
    result = Result(name)
    before = _resident_mb()
    try:
        began = time.perf_counter()
        search, parameters = engines.BUILDERS[name](vectors)
        result.build_seconds = time.perf_counter() - began
    except ModuleNotFoundError as error:
        result.error = f"not installed: {error.name}"
        return result
    result.resident_mb = _resident_mb() - before
    for parameter in parameters:
        result.points.append(_point(search, parameter, queries, truth))
    return result


def _point(search: Callable[[Vectors, int], Any], parameter: int, queries: Vectors, truth: NDArray[np.int64]) -> Point:
    for query in queries[:50]:
        search(query, parameter)
    took, found = [], []
    for query in queries:
        began = time.perf_counter()
        rows = search(query, parameter)
        took.append(time.perf_counter() - began)
        found.append(rows)
    hits = sum(len(set(map(int, rows)) & set(map(int, best))) for rows, best in zip(found, truth, strict=True))
    seconds = np.array(took)
    return Point(
        parameter,
        hits / truth.size,
        float(len(seconds) / seconds.sum()),
        float(np.percentile(seconds, 50) * 1e3),
        float(np.percentile(seconds, 99) * 1e3),
    )


def _data(count: int, dimension: int, query_count: int) -> tuple[Vectors, Vectors]:
    if dimension == 384 and (DATA / "vectors.f16.npy").is_file():
        vectors = np.load(DATA / "vectors.f16.npy", mmap_mode="r")
        if count > len(vectors):
            vectors = _more(count)
        queries = np.load(DATA / "queries.f16.npy")
        return _unit(vectors[:count]), _unit(queries[:query_count])
    print("peers: clustered noise, for there is no data of this dimension", file=sys.stderr)
    random = np.random.default_rng(7)
    centres = random.normal(size=(200, dimension))
    draw = [centres[random.integers(200, size=n)] + random.normal(size=(n, dimension)) for n in (count, query_count)]
    return _unit(draw[0]), _unit(draw[1])


def _more(count: int) -> NDArray[np.float16]:
    path = Path(os.environ.get("PIXR_BENCH_VECTORS", ""))
    if not path.is_file():
        made = "vectors that more_vectors.py made"
        raise SystemExit(f"peers: for {count} rows name a .npy of {made} in PIXR_BENCH_VECTORS")
    rows: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return rows


def _unit(vectors: Any) -> Vectors:
    rows = np.asarray(vectors, np.float32)
    # What Pixr stores is float16; all engines get these same rows.
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return unit


def _truth(vectors: Vectors, queries: Vectors) -> NDArray[np.int64]:
    best = []
    for at in range(0, len(queries), 50):
        scores = queries[at : at + 50] @ vectors.T
        top = np.argpartition(-scores, K, axis=1)[:, :K]
        best.append(top)
    return np.concatenate(best).astype(np.int64)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ratios(results: list[Result]) -> dict[str, float | None]:
    by_name = {result.name: result for result in results if result.error is None}
    ours = by_name.get("pixr")
    peers = [result for name, result in by_name.items() if not name.startswith("pixr")]
    ratios: dict[str, float | None] = {}
    for recall in RECALLS:
        theirs = [speed for peer in peers if (speed := peer.at(recall)) is not None]
        own = ours.at(recall) if ours else None
        ratios[f"qps_at_{recall}"] = own / max(theirs) if own and theirs else None
    hnswlib = by_name.get("hnswlib")
    both = ours is not None and hnswlib is not None
    ratios["build_vs_hnswlib"] = ours.build_seconds / hnswlib.build_seconds if ours and hnswlib and both else None
    ratios["memory_vs_hnswlib"] = ours.resident_mb / hnswlib.resident_mb if ours and hnswlib and both else None
    exact, flat = by_name.get("pixr-exact"), by_name.get("faiss-flat")
    ratios["exact_vs_faiss_flat"] = (
        exact.points[0].queries_per_second / flat.points[0].queries_per_second if exact and flat else None
    )
    return {name: round(value, 3) if value is not None else None for name, value in ratios.items()}


def _table(results: list[Result], about: dict[str, Any]) -> str:
    lines = [
        f"# {about['rows']} rows of {about['dimension']} dimensions, {about['machine']}, {about['date']}",
        "",
        f"`{about['command']}` at {about['commit']}; one thread asks, {about['cores']} build; recall@{K}.",
        "",
        "| engine | build (s) | memory (MB) | q/s at 0.95 | q/s at 0.99 | best recall | its p99 (ms) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        if result.error is not None:
            lines.append(f"| {result.name} | {result.error} | | | | | |")
            continue
        best = max(result.points, key=lambda point: point.recall)
        speeds = [f"{speed:,.0f}" if (speed := result.at(recall)) is not None else "–" for recall in RECALLS]
        lines.append(
            f"| {result.name} | {result.build_seconds:.1f} | {result.resident_mb:.0f} | {speeds[0]} | {speeds[1]} "
            f"| {best.recall:.4f} at {best.queries_per_second:,.0f} q/s | {best.p99_ms:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _plot(results: list[Result], about: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    for result in results:
        points = sorted(result.points, key=lambda point: point.recall)
        recalls, speeds = [p.recall for p in points], [p.queries_per_second for p in points]
        axes.plot(recalls, speeds, marker="o", label=result.name, linewidth=2.5 if result.name == "pixr" else 1.2)
    axes.set(xlabel=f"recall@{K}", ylabel="queries a second, one thread", yscale="log", xlim=(0.8, 1.002))
    axes.set_title(f"{about['rows']} × {about['dimension']}")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


def _about(arguments: argparse.Namespace, vectors: Vectors) -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "rows": len(vectors),
        "dimension": vectors.shape[1],
        "queries": arguments.queries,
        "command": f"make bench-peers ARGS={' '.join(sys.argv[1:])!r}",
        "commit": commit.stdout.strip() or "unknown",
        "machine": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": engines.CORES,
        "date": time.strftime("%Y-%m-%d"),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.peers", description=__doc__)
    parser.add_argument("--n", type=int, default=200_000, help="rows")
    parser.add_argument("--dim", type=int, default=384, help="dimensions; 384 takes the real data where it is")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--peers", type=lambda text: text.split(","))
    parser.add_argument("--quick", action="store_true", help="100,000 rows, 500 queries; hnswlib, faiss, usearch")
    parser.add_argument("--out", type=Path, default=Path("peers"))
    arguments = parser.parse_args()
    if arguments.peers is None:
        arguments.peers = [name for name in engines.BUILDERS if not (arguments.quick and name in engines.SLOW)]
    if unknown := set(arguments.peers) - set(engines.BUILDERS):
        parser.error(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(engines.BUILDERS)}")
    if arguments.quick:
        arguments.n, arguments.queries = min(arguments.n, 100_000), min(arguments.queries, 500)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
