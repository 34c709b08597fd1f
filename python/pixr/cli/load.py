"""`pixr import`: make a library of a Parquet file that `pixr export` or another program wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import complain, is_terminal, print_json
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout

__all__ = ["register"]

HELP = """Put what a Parquet file holds, as `pixr export` writes it, into a library; it is made if it is not there.

\b
The file of another program needs the columns:
  video_id              text
  start, end            seconds
  frame, metadata, screen, speech, sound
                        where there are such channels: a list of floats is a vector, text is text;
                        if a channel has both, speech.vector and speech.text; frame.description says what is shown
  video                 in one row of each video, if wanted: its metadata as JSON, such as {"id": "a", "title": "Roof"}
With --column, only those are read that it names.

\b
Examples:
  pixr import copy.pixr films.parquet
  pixr import own.pixr shots.parquet --column video_id=clip --column start --column end --column frame=embedding
"""


def register(app: typer.Typer) -> None:
    """Add the command; its name is a word of Python, hence the other name of this file."""
    app.command("import", help=HELP)(load)


def load(
    library: LibraryFolder,
    file: Annotated[Path, typer.Argument(metavar="IN.parquet", help="The file to read.")],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="Read this column of the file, see above; may repeat."),
    ] = None,
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr
    from pixr.parquet import check

    named = _by_ours(columns) if columns else None
    left_out = check(file, named)  # what is refused makes no library
    if left_out:
        complain(f"left out of {file}: {', '.join(left_out)}")
    with pixr.open(library, lock_timeout=lock_timeout) as opened:
        opened.load(file, columns=named)
        videos = sum(1 for _ in opened.videos())
    if as_json:
        print_json({"path": str(file), "videos": videos})
    elif is_terminal():
        print(f"{library}: {videos} videos")


def _by_ours(columns: list[str]) -> dict[str, str]:
    """The file's name of each column by ours; `start` alone is `start=start`."""
    named: dict[str, str] = {}
    for column in columns:
        ours, equals, theirs = column.partition("=")
        if not ours or (equals and not theirs):
            raise typer.BadParameter(f"{column!r} is not OURS=THEIRS, such as video_id=clip", param_hint="--column")
        if ours in named:
            raise typer.BadParameter(f"{ours!r} is given twice", param_hint="--column")
        named[ours] = theirs or ours
    return named
