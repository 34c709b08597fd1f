"""`make bench-scale`: how latency, memory and building grow with the number of rows, into `scale/`.

python -m benches.scale --data ../shared/data              100,000 to 1,000,000 rows, some minutes
python -m benches.scale --sizes 3000000 10000000           further points beside those of earlier runs
python -m benches.scale --sizes 1000000 --memory 0.25      also within a quarter of the bytes of the f16 vectors

Rows come from `more_vectors.py` of the data folder, and stay in `--work`. Each size is built by one process and asked
by another whose files' pages were dropped before. `scale/results.json` keeps a point a size, with the commit that was
asked; the table and `scale/scale.png` are made of all of them. A memory limit is a cgroup, which takes root; pages of
files count too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benches.peers import machine

ROOT = Path(__file__).resolve().parents[2]
ROWS_A_PART = 5_000_000
RECALLS = (0.90, 0.95)
# Within a memory limit a question may wait for the disk.
LIMITED_QUERIES = 50
FIGURES = {
    "p50_ms at 0.9": "p50 at recall 0.90 (ms)",
    "p50_ms at 0.95": "p50 at recall 0.95 (ms)",
    "exact_p50_ms": "p50, exact (ms)",
    "build_seconds": "build (s)",
    "resident_mb": "resident (MB)",
}

Point = dict[str, Any]


def main() -> int:
    """Measure the sizes asked for and write what is known of all."""
    arguments = _arguments()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    arguments.work.mkdir(parents=True, exist_ok=True)
    binary = arguments.binary or _binary()
    kept = out / "results.json"
    points: list[Point] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    for rows in arguments.sizes:
        point = _measure(binary, arguments, rows)
        points = [other for other in points if other["rows"] != rows] + [point]
        points.sort(key=lambda point: int(point["rows"]))
        kept.write_text(json.dumps(points, indent=2) + "\n", encoding="utf-8")
    text = table(points)
    (out / "scale.md").write_text(text, encoding="utf-8")
    print(text)
    _plot(points, out / "scale.png")
    return 0


def _measure(binary: Path, arguments: argparse.Namespace, rows: int) -> Point:
    vectors = arguments.work / f"rows-{rows}.f16.npy"
    if not vectors.exists():
        _say(f"making {rows:,} rows")
        whole = vectors.with_suffix(".tmp.npy")
        _run([sys.executable, str(arguments.data / "more_vectors.py"), str(rows), str(whole)])
        whole.rename(vectors)
    directory, built = kept_parts(arguments.work, rows, arguments.rows_a_part)
    if not built.exists():
        _say(f"building {rows:,} rows")
        shutil.rmtree(directory, ignore_errors=True)
        found = _run([str(binary), "build", str(vectors), str(rows), str(arguments.rows_a_part), str(directory)])
        built.write_text(found, encoding="utf-8")
    point: Point = json.loads(built.read_text(encoding="utf-8"))
    ask = [str(binary), "ask", str(directory), str(arguments.data / "queries.f16.npy")]
    _say(f"asking {rows:,} rows")
    _drop_pages(directory)
    point |= _figures(json.loads(_run([*ask, str(arguments.queries)])))
    if arguments.memory:
        limit = int(arguments.memory * point["rows"] * point["dimension"] * 2)
        _say(f"asking {rows:,} rows within {limit / 1e6:,.0f} MB")
        _drop_pages(directory)
        with _memory_limit(limit) as group:
            queries = min(arguments.queries, LIMITED_QUERIES)
            limited = _figures(json.loads(_run([*ask, str(queries)], group)))
        point["limited"] = limited | {"limit_mb": limit / 1e6}
    point |= {"commit": machine.commit("rust", "benches/scale", "Cargo.lock")}
    point |= {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
    return point


def kept_parts(work: Path, rows: int, rows_a_part: int) -> tuple[Path, Path]:
    """Where parts of at most so many rows are kept, and what building them took: other sizes lie elsewhere."""
    name = f"parts-{rows}-of-{min(rows, rows_a_part)}"
    return work / name, work / f"{name}.json"


def _figures(found: Point) -> Point:
    """What `ask` printed, with times at the recalls that are compared."""
    for recall in RECALLS:
        for name in ("p50_ms", "p99_ms"):
            found[f"{name} at {recall}"] = _at_recall(found["points"], recall, name)
    found["resident_mb"] = found["resident_bytes"] / 1e6
    return found


def _at_recall(points: Sequence[Point], recall: float, name: str) -> float | None:
    """Between the points beside `recall`; None where it was not reached."""
    for below, above in zip([None, *points], points, strict=False):
        if above["recall"] >= recall:
            if below is None or below["recall"] == above["recall"]:
                return float(above[name])
            share = (recall - below["recall"]) / (above["recall"] - below["recall"])
            return float(below[name] + share * (above[name] - below[name]))
    return None


def fitted(points: Sequence[Point], name: str) -> float | None:
    """The exponent with which a figure grows with rows: the slope of a line through the logarithms."""
    pairs = [(math.log(point["rows"]), math.log(point[name])) for point in points if point.get(name)]
    if len(pairs) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    square = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / square if square else None


def table(points: Sequence[Point]) -> str:
    """All sizes, each with the commit that it is of: a later run measures some of them anew."""
    columns: dict[str, Callable[[Point], str]] = {
        "rows": lambda point: f"{point['rows']:,}",
        "commit": lambda point: str(point.get("commit", "unknown")),
        "parts": lambda point: str(point["parts"]),
        "build (s)": lambda point: f"{point['build_seconds']:,.0f}",
        "peak (MB)": lambda point: f"{point['build_peak_bytes'] / 1e6:,.0f}",
        "disk (MB)": lambda point: f"{point['bytes'] / 1e6:,.0f}",
        "resident (MB)": lambda point: f"{point['resident_mb']:,.0f}",
        "p50 / p99 at 0.90 (ms)": lambda point: _pair(point, 0.90),
        "p50 / p99 at 0.95 (ms)": lambda point: _pair(point, 0.95),
        "exact p50 (ms)": lambda point: f"{point['exact_p50_ms']:.2f}",
        "first, cold p50 / p99 (ms)": lambda point: (
            f"{point['first_ms']:.0f}, {point['cold_p50_ms']:.1f} / {point['cold_p99_ms']:.0f}"
        ),
    }
    lines = [f"| {' | '.join(columns)} |", f"|{' ---: |' * len(columns)}"]
    rows = [(point, point) for point in points]
    rows += [(point, point | point["limited"]) for point in points if "limited" in point]
    for whole, point in rows:
        cells = [cell(point) for cell in columns.values()]
        if point is not whole:
            cells[0] += f" within {point['limit_mb']:,.0f} MB"
        lines.append(f"| {' | '.join(cells)} |")
    exponents = {label: fitted(points, name) for name, label in FIGURES.items()}
    known = [f"{label} {exponent:.2f}" for label, exponent in exponents.items() if exponent is not None]
    lines += ["", f"Fitted exponents of growth with rows: {', '.join(known) or 'one size is not enough'}."]
    return "\n".join(lines) + "\n"


def _pair(point: Point, recall: float) -> str:
    p50, p99 = (point.get(f"{name} at {recall}") for name in ("p50_ms", "p99_ms"))
    return "–" if p50 is None or p99 is None else f"{p50:.3f} / {p99:.3f}"


def _plot(points: Sequence[Point], path: Path) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        _say("no matplotlib, no plot")
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plot, axes = plt.subplots(figsize=(7, 5))
    for name, label in FIGURES.items():
        known = [(point["rows"], point[name]) for point in points if point.get(name)]
        exponent = fitted(points, name)
        slope = f", rows^{exponent:.2f}" if exponent is not None else ""
        axes.plot(*zip(*known, strict=True), marker="o", markersize=4, label=label + slope)
    axes.set(xscale="log", yscale="log", xlabel="rows of 384 dimensions")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    plot.tight_layout()
    plot.savefig(path, dpi=130)
    plt.close(plot)


def _binary() -> Path:
    """The bench program, built."""
    command = ["cargo", "bench", "--locked", "--bench", "scale", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [json.loads(line) for line in built.splitlines() if '"executable":"' in line]
    return Path(next(message["executable"] for message in found if message["target"]["name"] == "scale"))


@contextmanager
def _memory_limit(limit: int) -> Iterator[Path]:
    """A new group of processes that get no more memory than `limit` bytes, page cache included."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (first if first.is_dir() else second) / f"pixr-scale-{os.getpid()}"
    group.mkdir()
    try:
        name = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
        (group / name).write_text(str(limit), encoding="ascii")
        yield group
    finally:
        group.rmdir()


def _run(command: Sequence[str], group: Path | None = None) -> str:
    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=enter)
    return done.stdout


def _drop_pages(directory: Path) -> None:
    for path in directory.rglob("*.part"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / "../shared/data", help="folder of more_vectors.py and queries"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 300_000, 1_000_000], help="numbers of rows")
    parser.add_argument("--rows-a-part", type=int, default=ROWS_A_PART, help="the largest part")
    parser.add_argument("--queries", type=int, default=200, help="how many queries each point asks")
    parser.add_argument("--memory", type=float, help="ask again within so many times the bytes of the f16 vectors")
    parser.add_argument("--work", type=Path, default=ROOT / "target/scale", help="where rows and parts are kept")
    parser.add_argument("--out", type=Path, default=Path("scale"), help="where results, table and plot go")
    parser.add_argument("--binary", type=Path, help="the bench program, if it is built already")
    arguments = parser.parse_args()
    for needed in ("more_vectors.py", "queries.f16.npy"):
        if not (arguments.data / needed).is_file():
            parser.error(f"no {needed} in {arguments.data}: name the folder that has it, with --data")
    return arguments


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
