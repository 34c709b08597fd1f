"""`pixr chapters`: cut a video into chapters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pixr.cli.console import print_json, print_table
from pixr.cli.folders import LibraryFolder
from pixr.show.clock import clock

__all__ = ["register"]

HELP = """Cut a video into chapters, with titles made of what is said, written and shown.

\b
Example:
  pixr chapters films.pixr vid_1
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chapters", help=HELP)(chapters)


def chapters(
    library: LibraryFolder,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video's id.")],
    least: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="The shortest chapter.")] = None,
    most: Annotated[int, typer.Option(min=1, help="As many chapters at most.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, create=False, read_only=True) as opened:
        found = opened.chapters(video, least_seconds=least, most=most)
    if as_json:
        print_json({"chapters": [asdict(chapter) for chapter in found]})
        return
    rows = [
        (
            clock(chapter.start, tenths=False),
            clock(chapter.end - chapter.start),
            chapter.title,
            ", ".join(chapter.concepts),
        )
        for chapter in found
    ]
    print_table(("start", "length", "title", "shows"), rows, right=("start", "length"))
