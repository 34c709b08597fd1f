"""`pixr search`: ask a library, and show the moments and why they matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from pixr.arguments import check_span
from pixr.cli.console import complain, is_terminal, print_json
from pixr.cli.filters import parse_filters
from pixr.cli.folders import LibraryFolder
from pixr.cli.hits_table import print_hits
from pixr.errors import InvalidQuery
from pixr.questions import Ask, Blend, Question, parse
from pixr.types import Fusion, Mode
from pixr.wire import hits_to_dict

if TYPE_CHECKING:
    from pixr.library import Library


__all__ = ["register"]

HELP = """Find moments, in words, with a picture, a sound, a clip, or a moment of the library.

Words in "quotes inside the query" are a phrase. A query about nothing in the library finds nothing. Words in capitals
relate two questions in time: THEN (with WITHIN so many seconds), WHILE, NOT; brackets allow it once more.

A score orders moments. The number beside a channel says how often such evidence is right: it may be near nothing where
only one of two words was found, and the moment is still the best there is.

\b
Examples:
  pixr search films.pixr "a dog on the beach"
  pixr search films.pixr "say hello" --modes audio --limit 5 --explain
  pixr search films.pixr --image tile.jpg --html found.html
  pixr search films.pixr "a dog jumps THEN a splash WITHIN 5s"
  pixr search films.pixr "(a beach NOT people) WHILE music" --clip cuts
  pixr search films.pixr --like vid_1,12.0,16.0 --diversity 0.3
  pixr search films.pixr sunset --filter duration=60..300 --filter tags=travel
  pixr search films.pixr --queries in.jsonl --out out.jsonl

\b
Filters (repeated ones all have to hold):
  duration=60..300   created=2023-01-01..2024-01-01 (without the latter)
  tags=diy,roof (either)   quality=hd   creator=ID   id=ID
  metadata.KEY=VALUE       metadata.KEY=1..5
  creator='"Smith, John"'  (a comma or two points in it: in quotation marks)

\b
A line of --queries, and one of --out; fields that are not known are left alone:
  {"id": 1, "query": "a dog", "filters": {"tags": ["diy"]}, "limit": 5}
  {"id": 1, "seconds": 0.01, "results": [...]}
  also: modes, channels, weights, image, audio, clip (paths from the file's
  folder), like, vectors, then, within, while, not, blend, video, between,
  min_score, diversity, moments
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search", help=HELP)(search)


def search(
    library: LibraryFolder,
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="What to look for, in words.")] = None,
    modes: Annotated[str | None, typer.Option(metavar="M,M", help="Of visual, text, audio; all if not given.")] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Look for moments like this picture.")] = None,
    audio: Annotated[Path | None, typer.Option(metavar="FILE", help="Look for moments that sound like this.")] = None,
    video_like: Annotated[
        Path | None, typer.Option("--video-like", metavar="FILE", help="Look for moments like this clip.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="ID,START,END", help="More like this moment of the library.")
    ] = None,
    minus: Annotated[
        list[str] | None, typer.Option(metavar="WORDS", help="What should not be there; may repeat.")
    ] = None,
    video: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only in this video; may repeat.")] = None,
    between: Annotated[str | None, typer.Option(metavar="A..B", help="Only from second A to B of a video.")] = None,
    diversity: Annotated[
        float | None, typer.Option(min=0, max=1, help="How different a video's moments must be.")
    ] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", metavar="K=V", help="See above; may repeat.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Videos on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(metavar="C", help="Where the last page ended.")] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Leave out what scores less.")] = None,
    fusion: Annotated[Fusion, typer.Option(help="How evidence is put together.")] = "weighted_sum",
    effort: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Answer approximately from so many rows a channel.")
    ] = None,
    snapshot: Annotated[str | None, typer.Option(metavar="NAME", help="Search a snapshot (`pixr snapshot`).")] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show each match: raw score, weight, part; and how each channel was searched."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the response of the HTTP API.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Write a contact sheet, also as .jpg.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a page that plays the moments.")] = None,
    clip: Annotated[Path | None, typer.Option(metavar="DIR", help="Cut the moments out into files.")] = None,
    queries: Annotated[Path | None, typer.Option(metavar="IN.jsonl", help="Ask every line of a file.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.jsonl", help="Where the answers to --queries go.")] = None,
) -> None:
    wanted = _modes(modes)
    try:
        parsed = parse_filters(filters or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from None
    options: dict[str, Any] = {"limit": limit, "min_score": min_score, "fusion": fusion, "effort": effort}
    options |= {"video": video or None, "between": _seconds(between), "diversity": diversity}
    examples = {"image": image, "audio": audio, "clip": video_like, "like": _moment(like)}
    examples = {name: given for name, given in examples.items() if given is not None}
    if queries is not None or out is not None:
        if queries is None or out is None:
            raise typer.BadParameter("--queries and --out go together", param_hint="--queries")
        if query or examples or minus or cursor or sheet or html or clip:
            raise typer.BadParameter("a batch takes its queries from the file alone", param_hint="--queries")
        options |= {"modes": wanted, "filters": parsed or None}
        _batch(library, snapshot, queries, out, options, explain=explain, as_json=as_json)
        return
    for option, written in (("--sheet", sheet), ("--html", html)):
        if written is not None and not written.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {written.parent}", param_hint=option)
        if written is not None and written.is_dir():
            raise typer.BadParameter(f"{written} is a folder, a file is expected", param_hint=option)
    if sheet is not None:
        _check_sheet(sheet)
    if clip is not None and clip.exists() and not clip.is_dir():
        raise typer.BadParameter(f"{clip} is a file, a folder is expected", param_hint="--clip")
    if not query and not examples:
        raise typer.BadParameter("give a QUERY, a file, a moment or --queries", param_hint="QUERY")
    try:
        question = _question(query, examples, minus or ())
    except InvalidQuery as error:
        raise typer.BadParameter(str(error), param_hint="QUERY") from None
    with _open(library, snapshot, video or ()) as opened:
        hits = opened.search(question, modes=wanted, filters=parsed or None, cursor=cursor, **options)
    for warning in hits.warnings:
        complain(warning)
    asked = str(question)
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
        if explain and hits.plan:
            complain("searched " + ", ".join(f"{channel} {way}" for channel, way in hits.plan.items()))
        if hits.next_cursor:
            complain(f"more with --cursor {hits.next_cursor}")
    if clip is not None:
        from pixr.show.cut import cut_moments

        cut_moments(clip, hits)


@contextmanager
def _open(library: Path, snapshot: str | None, videos: Sequence[str]) -> Iterator[Library]:
    """The library, if it has all of these videos: among others there would be nothing to find, whatever is asked.

    Raises:
        VideoNotFound: it has not; the message names the id.
    """
    import pixr

    with pixr.open(library, read_only=True, snapshot=snapshot) as opened:
        for id in videos:
            opened.video(id)
        yield opened


def _check_sheet(path: Path) -> None:
    from pixr.show.sheet import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"{path}: the name of a contact sheet ends with .png or .jpg", param_hint="--sheet")


def _modes(text: str | None) -> list[Mode] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = get_args(Mode)
    if not names or any(name not in known for name in names):
        raise typer.BadParameter(f"{text!r} is not a list of {', '.join(known)}", param_hint="--modes")
    return cast(list[Mode], list(dict.fromkeys(names)))


def _question(query: str | None, examples: dict[str, Any], minus: Sequence[str]) -> Question:
    """Words and examples as one question, without what should not be there."""
    asked = parse(query) if query else None
    if examples:
        if asked is not None and not isinstance(asked, str):
            raise InvalidQuery("related questions are words; relate pictures and sounds in --queries or in Python")
        asked = Ask(asked, **examples)
    if asked is None:
        raise InvalidQuery("the query asks for nothing")
    return Blend(((asked, 1.0), *((words, -1.0) for words in minus))) if minus else asked


def _moment(text: str | None) -> tuple[str, float, float] | None:
    if text is None:
        return None
    try:
        id, start, end = text.rsplit(",", 2)
        return id, float(start), float(end)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ID,START,END", param_hint="--like") from None


def _seconds(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        start, end = text.split("..")
        span = float(start or 0), float(end or 1e9)
        check_span("between", span)
        return span
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not A..B, in seconds", param_hint="--between") from None


def _batch(
    library: Path,
    snapshot: str | None,
    queries: Path,
    out: Path,
    defaults: dict[str, Any],
    *,
    explain: bool,
    as_json: bool,
) -> None:
    from pixr.cli.batch import overwrites, run_batch

    if overwrites(queries, out):
        raise typer.BadParameter(f"{out}: the answers would replace the questions", param_hint="--out")
    with _open(library, snapshot, defaults["video"] or ()) as opened:
        report = run_batch(opened, queries, out, defaults, explain=explain)
    for warning in report["warnings"]:
        complain(warning)
    if as_json:
        print_json(report)
    elif is_terminal():
        print(f"{report['queries']} queries, {report['failed']} failed, median {report['medianMs']:.1f} ms, in {out}")
    if report["failed"]:
        complain(f'{report["failed"]} of {report["queries"]} queries failed; see their "error" in {out}')
        raise typer.Exit(1)
