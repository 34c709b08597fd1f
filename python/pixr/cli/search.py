"""`pixr search`: ask a library, and show the moments and why they matched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from pixr.cli.console import complain, is_terminal, print_json
from pixr.cli.filters import parse_filters
from pixr.cli.hits_table import print_hits
from pixr.types import Fusion, Mode
from pixr.wire import hits_to_dict

if TYPE_CHECKING:
    from pixr.library import Library


__all__ = ["register"]

HELP = """Find moments, in words or with a picture.

Words in "quotes inside the query" are a phrase. A query about nothing in the library finds nothing.

\b
Examples:
  pixr search films.pixr "a dog on the beach"
  pixr search films.pixr "say hello" --modes audio --limit 5 --explain
  pixr search films.pixr --image tile.jpg --html found.html
  pixr search films.pixr sunset --filter duration=60..300 --filter tags=travel
  pixr search films.pixr --queries in.jsonl --out out.jsonl

\b
Filters (repeated ones all have to hold):
  duration=60..300   created=2023-01-01..   tags=diy,roof (either)
  quality=hd         metadata.KEY=VALUE     metadata.KEY=1..5
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search", help=HELP)(search)


def search(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="The library's folder.")],
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="What to look for, in words.")] = None,
    modes: Annotated[str | None, typer.Option(metavar="M,M", help="Of visual, text, audio; all if not given.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Look for moments like this picture.")] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", metavar="K=V", help="See below; may repeat.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Videos on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(metavar="C", help="Where the last page ended.")] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Leave out what scores less.")] = None,
    fusion: Annotated[Fusion, typer.Option(help="How evidence is put together.")] = "weighted_sum",
    effort: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Answer approximately from so many rows a channel.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show each match: raw score, weight, part.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the response of the HTTP API.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Write a contact sheet.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a page that plays the moments.")] = None,
    queries: Annotated[Path | None, typer.Option(metavar="IN.jsonl", help="Ask every line of a file.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where the answers to --queries go.")] = None,
) -> None:
    wanted = _modes(modes)
    try:
        parsed = parse_filters(filters or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from None
    options: dict[str, Any] = {"limit": limit, "min_score": min_score, "fusion": fusion, "effort": effort}
    if queries is not None or out is not None:
        if queries is None or out is None:
            raise typer.BadParameter("--queries and --out go together", param_hint="--queries")
        if query or image or cursor or sheet or html:
            raise typer.BadParameter("a batch takes its queries from the file alone", param_hint="--queries")
        _batch(library, queries, out, options | {"modes": wanted, "filters": parsed or None}, as_json)
        return
    if not query and image is None:
        raise typer.BadParameter("give a QUERY, --image or --queries", param_hint="QUERY")

    with _open(library) as opened:
        hits = opened.search(query, image=image, modes=wanted, filters=parsed or None, cursor=cursor, **options)
    for warning in hits.warnings:
        complain(warning)
    asked = query or f"like {image}"
    if sheet is not None:
        from pixr.show.sheet import write_sheet

        write_sheet(sheet, [(asked, hits)])
    if html is not None:
        from pixr.show.page import write_page

        write_page(html, [(asked, hits)])
    if as_json:
        print_json(hits_to_dict(hits, explain=explain))
    else:
        print_hits(hits, explain=explain)
        if hits.next_cursor:
            complain(f"more with --cursor {hits.next_cursor}")


def _open(library: Path) -> Library:
    import pixr

    return pixr.open(library, create=False, read_only=True)


def _modes(text: str | None) -> list[Mode] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = get_args(Mode)
    if not names or any(name not in known for name in names):
        raise typer.BadParameter(f"{text!r} is not a list of {', '.join(known)}", param_hint="--modes")
    return cast(list[Mode], list(dict.fromkeys(names)))


def _batch(library: Path, queries: Path, out: Path, defaults: dict[str, Any], as_json: bool) -> None:
    from pixr.cli.batch import run_batch

    with _open(library) as opened:
        report = run_batch(opened, queries, out, defaults)
    if as_json:
        print_json(report)
    elif is_terminal():
        print(f"{report['queries']} queries, {report['failed']} failed, median {report['medianMs']:.1f} ms, in {out}")
    if report["failed"]:
        complain(f'{report["failed"]} of {report["queries"]} queries failed; see their "error" in {out}')
        raise typer.Exit(1)
