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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benches.peers import figures, fused, machine, material, measure, plots, report
from benches.peers.engines import ENGINES, QUICK
from benches.peers.figures import OURS, Result
from benches.peers.fused.measure import FusedResult
from benches.peers.install import Install, install
from benches.peers.protocol import K
from benches.peers.turns import TURNS

ROWS, QUICK_ROWS = 200_000, 100_000
QUERIES, QUICK_QUERIES = 1000, 500


@dataclass(frozen=True)
class Bench:
    """A run: what was asked for, on what machine, and where it works and writes."""

    arguments: argparse.Namespace
    about: dict[str, Any]
    work: Path
    out: Path
    installing: Install

    def vectors(self) -> list[Result]:
        """Measure the engines, and write that down."""
        arguments = self.arguments
        rows, queries = (QUICK_ROWS, QUICK_QUERIES) if arguments.quick else (ROWS, QUERIES)
        made = material.prepare(self.work, arguments.n or rows, arguments.dim, arguments.queries or queries)
        count, dimension = made.vectors().shape
        about = {**self.about, "rows": count, "dimension": dimension, "source": made.source}
        about["queries"] = len(made.queries())
        failed = self.installing(package for name in arguments.peers for package in ENGINES[name].packages)
        results = []
        for name in arguments.peers:
            reasons = [failed[package] for package in ENGINES[name].packages if package in failed]
            version = measure.version_of(ENGINES[name].packages)
            results.append(Result(name, error=reasons[0]) if reasons else Result(name, version=version))
        turns: dict[str, list[measure.Turn]] = {name: [] for name in arguments.peers}

        def stage(what: str, work: Callable[[Result], None]) -> None:
            for result in results:
                if result.error is None:
                    print(f"peers: {result.name} on {count:,} rows, {what}", file=sys.stderr, flush=True)
                    work(result)
                    self._write("vectors", about, results, report.vectors_markdown(results, about))

        stage("built", lambda result: measure.build(result, made))
        for turn in range(TURNS):
            stage(f"asked, turn {turn + 1}", lambda result: measure.ask(result, made, turns[result.name]))
        stage("asked in batches", lambda result: measure.ask_batches(result, made))
        print((self.out / "vectors.md").read_text(encoding="utf-8"))
        failed = self.installing(["matplotlib"])
        if find_spec("matplotlib") is not None:
            plots.draw(results, about, self.out)
        else:
            print(f"peers: no plots: {failed.get('matplotlib', 'matplotlib is not installed')}", file=sys.stderr)
        return results

    def fused(self) -> list[FusedResult]:
        """Measure the systems on fused queries, and write that down."""
        arguments = self.arguments
        settings = fused.Settings.quick() if arguments.quick else fused.Settings()
        settings = replace(
            settings,
            segments=arguments.n or settings.segments,
            queries=arguments.queries or settings.queries,
            dimension=arguments.dim,
            systems=tuple(fused.systems_with(arguments.peers)) if arguments.chosen else settings.systems,
        )
        results, table = fused.run(settings, self.about, self.work, self.installing)
        self._write("fused", {**self.about, **asdict(settings)}, results, table)
        print(table)
        return results

    def _write(
        self, name: str, about: dict[str, Any], results: Sequence[Result] | Sequence[FusedResult], table: str
    ) -> None:
        found = {"about": about, "results": [asdict(result) for result in results]}
        (self.out / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (self.out / f"{name}.md").write_text(table, encoding="utf-8")


def main() -> int:
    """Run what is asked for, and write it down."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    installing: Install = (lambda packages: {}) if arguments.no_install else install
    with tempfile.TemporaryDirectory(prefix="peers-") as temporary:
        bench = Bench(arguments, machine.describe(), arguments.work or Path(temporary), arguments.out, installing)
        vectors = bench.vectors() if arguments.only != "fused" else []
        with_fused = arguments.only == "fused" or not (arguments.only or arguments.quick)
        asked = bench.fused() if with_fused else []
    ratios = {**figures.ratios(vectors), **fused.ratios(asked)}
    halves: dict[str, Sequence[Result | FusedResult]] = {"vectors": vectors, "fused": asked}
    errors = {half: {result.name: result.error for result in results} for half, results in halves.items()}
    found = {
        "about": bench.about,
        "ratios": ratios,
        "not_measured": {half: {name: why for name, why in of.items() if why} for half, of in errors.items()},
        "null": reasons(ratios, errors),
    }
    (arguments.out / "peers.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(ratios))
    return 0


def reasons(ratios: Mapping[str, float | None], errors: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """Why a ratio is null. `errors` has those of each half by name, None for what was measured."""
    found = {}
    for ratio, peer in {**figures.COMPARED, **fused.PEERS}.items():
        if ratios[ratio] is not None:
            continue
        half = "fused" if ratio in fused.PEERS else "vectors"
        asked = errors[half]
        needed = [*([peer] if peer else []), figures.EXACT if peer == figures.FLAT else OURS]
        missing = [name for name in needed if name not in asked]
        failed = [error for name in needed if (error := asked.get(name)) is not None]
        if not asked:
            found[ratio] = f"{half} were not asked for: --only {half}"
        elif missing:
            found[ratio] = f"{missing[0]} was not asked for"
        elif failed:
            found[ratio] = failed[0]
        elif peer is None and not any(Result(name).is_peer and error is None for name, error in asked.items()):
            found[ratio] = "no peer was measured"
        else:
            found[ratio] = "no setting of both sides reaches the recall"
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=at_least(K), help=f"rows ({ROWS:,}), or segments of fused queries")
    parser.add_argument(
        "--dim", type=at_least(1), default=384, help="dimensions; material.py says how others are made of 384"
    )
    parser.add_argument("--queries", type=at_least(1), help=f"{QUERIES:,}, or fewer where a query takes long")
    parser.add_argument("--peers", type=engines_named, help="engines or families, by commas; Pixr is always among them")
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


def at_least(least: int) -> Callable[[str], int]:
    """A number that is not below `least`."""

    def number(text: str) -> int:
        found = int(text)
        if found < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {found}")
        return found

    return number


def engines_named(text: str) -> list[str]:
    """Engines by name; the name of a family stands for all of it. A flat scan is compared with Pixr's exact search."""
    chosen = [OURS]
    for name in filter(None, (word.strip() for word in text.split(","))):
        found = [engine for engine in ENGINES if engine == name or engine.startswith(f"{name}-")]
        if not found:
            raise argparse.ArgumentTypeError(f"no {name}; there are {', '.join(ENGINES)}")
        chosen += [figures.EXACT, *found] if figures.FLAT in found else found
    return list(dict.fromkeys(chosen))


if __name__ == "__main__":
    sys.exit(main())
