"""Search quality on the corpus: each family, each way of fusing, each mode alone, and queries about nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pixr
from benches.eval.score import Family, score
from pixr.cli.batch import run_batch

FUSIONS = ("probabilistic", "weighted_sum", "max", "rrf")
MODES = ("visual", "text", "audio")
NULL_QUERIES = Path(__file__).with_name("null_queries.txt")  # what the calibration was fitted with
# About nothing in the corpus, by what the report calls them.
NOTHING = {
    "thirty": NULL_QUERIES,
    "fifty held out": NULL_QUERIES.with_name("null_queries_held_out.txt"),
    "fifty everyday": NULL_QUERIES.with_name("null_queries_everyday.txt"),
}

Answers = dict[str, dict[str, Any]]


def ask(
    library: pixr.Library, queries: Iterable[Mapping[str, Any]], folder: Path, name: str, **options: Any
) -> Answers:
    """Answer the queries as `pixr search --queries` does, keeping questions and answers in `folder`.

    Raises:
        RuntimeError: a query failed.
    """
    asked, answered = folder / f"{name}.queries.jsonl", folder / f"{name}.results.jsonl"
    asked.write_text("".join(json.dumps(query, ensure_ascii=False) + "\n" for query in queries), encoding="utf-8")
    report = run_batch(library, asked, answered, {"limit": 20, **options})
    if report["failed"]:
        raise RuntimeError(f"{report['failed']} of {report['queries']} queries failed, see {answered}")
    with answered.open(encoding="utf-8") as lines:
        answers = [json.loads(line) for line in lines]
    return {answer["id"]: answer for answer in answers}


def measure(library: pixr.Library, queries: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """All figures of search quality, as JSON has them."""
    folder.mkdir(parents=True, exist_ok=True)
    default = ask(library, queries, folder, "default")
    fused = [query for query in queries if query["family"] == "fused"]
    visual = [query for query in queries if query["family"] == "visual"]
    report: dict[str, Any] = {"families": _to_dict(score(queries, default))}
    if fused:
        report["fusion"] = {
            name: score(fused, ask(library, fused, folder, name, fusion=name))["fused"].to_dict() for name in FUSIONS
        }
        report["fused_by_one_mode"] = {
            mode: score(fused, ask(library, [q | {"modes": [mode]} for q in fused], folder, f"fused-{mode}"))[
                "fused"
            ].to_dict()
            for mode in MODES
        }
    if visual:
        free = score(visual, ask(library, visual, folder, "visual-no-threshold", min_score=0.0))["visual"]
        report["visual_without_threshold"] = free.to_dict()
    report["nothing"] = ask_about_nothing(library, folder)
    return report


def ask_about_nothing(library: pixr.Library, folder: Path) -> dict[str, Any]:
    """How often a query about nothing in the corpus gets no result, by list, over all modes and over each alone."""
    found: dict[str, Any] = {}
    for title, path in NOTHING.items():
        texts = read_null_queries(path)
        queries = [{"id": f"n{number:02d}", "query": text} for number, text in enumerate(texts)]
        found[title] = {"queries": len(queries)}
        for name, modes in (("all", list(MODES)), *((mode, [mode]) for mode in MODES)):
            asked = [query | {"modes": modes} for query in queries]
            answers = ask(library, asked, folder, f"nothing-{title.replace(' ', '-')}-{name}")
            empty = [query["id"] for query in queries if not answers[query["id"]]["results"]]
            found[title][name] = {
                "empty": len(empty) / len(queries),
                "not_empty": [query["query"] for query in queries if query["id"] not in empty],
            }
    return found


def read_null_queries(path: Path) -> list[str]:
    """One query a line."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _to_dict(families: Mapping[str, Family]) -> dict[str, Any]:
    return {name: family.to_dict() for name, family in families.items()}
