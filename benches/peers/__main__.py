"""`make bench-peers`: search beside other engines, in one run on the same data, threads and machine.

    make bench-peers ARGS="--quick"                 100,000 rows; Pixr, hnswlib, faiss and usearch; a few minutes
    make bench-peers ARGS="--n 400000 --peers hnswlib,usearch-bf16"
    make bench-peers ARGS="--only fused"            queries as users ask them: three channels, filtered, grouped

Vectors: every engine is built, opened cold, asked one query at a time over a range of its search parameter, and in
batches where it has such a call (`measure.py`). Fused queries: `fused/`. Writes JSON, Markdown tables and plots to
`--out`. The last line printed is one JSON object of ratios to the best peer, null where something was not run; why
stands in the tables. A peer that is not installed is installed (`requirements.txt`), or it is said why it can't be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benches.peers import figures, fused, machine, material, plots, report
from benches.peers.engines import ENGINES, QUICK
from benches.peers.figures import OURS, Result
from benches.peers.install import Install, install
from benches.peers.measure import measure

ROWS, QUICK_ROWS = 200_000, 100_000
QUERIES, QUICK_QUERIES = 1000, 500


def main() -> int:
    """Run what is asked for, and write it down."""
    arguments = _arguments()
    about = machine.describe()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        installing: Install = (lambda packages: {}) if arguments.no_install else install
        work = arguments.work or Path(temporary)
        draw = not installing(["matplotlib"]) and find_spec("matplotlib") is not None
        ratios: dict[str, float | None] = {}
        ratios.update(_vectors(arguments, about, work, out, installing, draw=draw))
        ratios.update(_fused(arguments, about, work, out, installing))
    print(json.dumps(ratios))
    return 0


def _vectors(
    arguments: argparse.Namespace, about: dict[str, Any], work: Path, out: Path, installing: Install, *, draw: bool
) -> dict[str, float | None]:
    results: list[Result] = []
    if arguments.only != "fused":
        rows, queries = (QUICK_ROWS, QUICK_QUERIES) if arguments.quick else (ROWS, QUERIES)
        rows = arguments.n or rows
        made = material.prepare(work, rows, arguments.dim, arguments.queries or queries)
        about = {
            **about,
            "rows": rows,
            "dimension": arguments.dim,
            "source": made.source,
            "queries": len(made.queries()),
        }
        failed = installing(package for name in arguments.peers for package in ENGINES[name].packages)
        for name in arguments.peers:
            print(f"peers: {name} on {rows:,} rows", file=sys.stderr, flush=True)
            reasons = [failed[package] for package in ENGINES[name].packages if package in failed]
            results.append(Result(name, error=reasons[0]) if reasons else measure(name, made))
    ratios = figures.ratios(results)
    if results:
        found = {"about": about, "results": [asdict(result) for result in results], "ratios": ratios}
        (out / "vectors.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        table = report.vectors_markdown(results, about)
        (out / "vectors.md").write_text(table, encoding="utf-8")
        if draw:
            plots.draw(results, about, out)
        print(table)
    return ratios


def _fused(
    arguments: argparse.Namespace, about: dict[str, Any], work: Path, out: Path, installing: Install
) -> dict[str, float | None]:
    if arguments.only == "vectors" or (arguments.quick and arguments.only is None):
        return fused.ratios([])
    settings = fused.Settings.quick() if arguments.quick else fused.Settings()
    if arguments.n:
        settings = settings.with_segments(arguments.n)
    if arguments.chosen:
        settings = settings.with_systems(fused.systems_with(arguments.peers))
    results, table = fused.run(settings, about, work, installing)
    found = {"about": about, "settings": asdict(settings), "results": [asdict(result) for result in results]}
    (out / "fused.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (out / "fused.md").write_text(table, encoding="utf-8")
    print(table)
    return fused.ratios(results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, help=f"rows; {ROWS:,}, or segments of fused queries")
    parser.add_argument("--dim", type=int, default=384, help="dimensions; material.py says how others are made of 384")
    parser.add_argument("--queries", type=int, help=f"{QUERIES:,}")
    parser.add_argument("--peers", type=_names, help="engines, by commas; Pixr is always among them")
    parser.add_argument("--quick", action="store_true", help="100,000 rows, 500 queries; hnswlib, faiss and usearch")
    parser.add_argument("--only", choices=("vectors", "fused"), help="one half of the bench")
    parser.add_argument("--no-install", action="store_true", help="report peers that are missing, don't install them")
    parser.add_argument("--out", type=Path, default=Path("peers"), help="where results go")
    parser.add_argument("--work", type=Path, help="keep data and indexes here; what stands there is not built again")
    arguments = parser.parse_args()
    arguments.chosen = arguments.peers is not None
    if arguments.peers is None:
        arguments.peers = list(QUICK if arguments.quick else ENGINES)
    return arguments


def _names(text: str) -> Sequence[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := set(names) - set(ENGINES):
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    return names if OURS in names else [OURS, *names]


if __name__ == "__main__":
    sys.exit(main())
