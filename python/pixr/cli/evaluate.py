"""`pixr eval`: how good a library's answers are, where they are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixr.cli.console import complain, print_json, print_table
from pixr.cli.folders import LibraryFolder
from pixr.evaluation.ground_truth import Format
from pixr.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pixr.evaluation.measures import Measures
    from pixr.evaluation.run import Evaluation

__all__ = ["register"]

HELP = """Measure search against questions whose answers are known.

Recall at several overlaps in time, mean average precision, reciprocal rank, and how often a question about nothing gets
an answer, for each family of questions; with --ablation also of each channel alone and with each fusion. Reads JSON
lines (questions and filters as those of `pixr search --queries`, with "relevant"), and the files of QVHighlights, TVR
and Charades-STA.

\b
A line, with a video's id or its file's name without the ending:
  {"query": "a dog", "relevant": [{"video": "roof", "start": 0, "end": 5}]}

\b
Examples:
  pixr eval films.pixr queries.jsonl --nothing null.txt --ablation
  pixr eval charades.pixr charades_sta_test.txt --out report.json
  pixr eval films.pixr queries.jsonl --diagram reliability.png
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval", help=HELP)(evaluate)


def evaluate(
    library: LibraryFolder,
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help="The questions and their answers.")],
    format: Annotated[Format | None, typer.Option("--format", help="Told from the first line if not given.")] = None,
    nothing: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions about nothing in the library, one a line.")
    ] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Each channel alone, and each fusion, as well.")] = False,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Ask the whole library what is meant for one video.")
    ] = False,
    diagram: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Draw how confidence and being right agree.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Write the report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report.")] = False,
) -> None:
    import pixr
    from pixr.evaluation.ground_truth import read_ground_truth, read_lines
    from pixr.evaluation.reliability import draw_diagram
    from pixr.evaluation.run import evaluate as run

    judged = read_ground_truth(queries, format)
    texts = [text for _, text in read_lines(nothing)] if nothing is not None else []
    with pixr.open(library, create=False, read_only=True) as opened:
        made = run(opened, judged, texts, ablation=ablation, anywhere=anywhere)
    if diagram is not None:
        draw_diagram(diagram, list(made.reliability.items()))
    if out is not None:
        with whole_file(out) as partial:
            partial.write_text(json.dumps(made.to_dict(), indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json(made.to_dict())
    else:
        _print(made)
    if made.errors:
        complain(f"{len(made.errors)} questions could not be asked; the first: {made.errors[0]}")
        raise typer.Exit(1)


def _print(made: Evaluation) -> None:
    rows = _rows("as asked", made.families)
    for channel, families in made.channels.items():
        rows += _rows(f"{channel} alone", families)
    for fusion, families in made.fusions.items():
        rows += _rows(fusion, families)
    names = ("asked", "family", "questions", "R@1 .3", "R@1 .5", "R@1 .7", "R@5 .5", "R@10 .5", "mAP", "MRR", "false")
    print_table(names, rows, right=names[2:])
    measured = [(channel, str(found.matches), f"{found.error:.3f}") for channel, found in made.reliability.items()]
    print_table(("confidence of", "matches", "expected error"), measured, right=("matches", "expected error"))


def _rows(asked: str, families: Mapping[str, Measures]) -> list[tuple[str, ...]]:
    return [(asked, family, str(of.questions), *_figures(of)) for family, of in families.items()]


def _figures(of: Measures) -> tuple[str, ...]:
    shares: list[float | None] = [None] * 5
    if of.recall is not None:
        at = of.recall
        shares = [at["0.3"]["1"], at["0.5"]["1"], at["0.7"]["1"], at["0.5"]["5"], at["0.5"]["10"]]
    shares += [of.mean_average_precision, of.mean_reciprocal_rank, of.false_accepts]
    return tuple("" if share is None else f"{share:.3f}" for share in shares)
