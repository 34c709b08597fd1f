"""`pixr transcript`: what is said in a video, as captions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.captions import CaptionFormat, write_captions
from pixr.cli.console import complain
from pixr.cli.folders import LibraryFolder
from pixr.whole_file import whole_file

__all__ = ["register"]

HELP = """Print what is said in a video, as it was recognised or given, as SRT, WebVTT or JSON.

The words are those that were given; where they stand near the beginning or end of a shot, the times are the shot's.

\b
Example:
  pixr transcript films.pixr vid_1 --format vtt --out talk.vtt
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("transcript", help=HELP)(transcript)


def transcript(
    library: LibraryFolder,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video's id.")],
    format: Annotated[CaptionFormat, typer.Option("--format", help="Of the captions.")] = "srt",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a file instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    import pixr

    with pixr.open(library, create=False, read_only=True) as opened:
        said = opened.transcript(video)
    if not said:
        complain(f"warning: nothing is said in {video}, or it was indexed without speech")
    text = write_captions(said, "json" if as_json else format)
    if out is not None:
        with whole_file(out) as partial:
            partial.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
