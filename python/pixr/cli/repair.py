"""`pixr repair`: save what can be saved of a damaged library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import complain, print_fields, print_json
from pixr.cli.folders import named_folder
from pixr.wire import report_to_dict

__all__ = ["register"]

HELP = """Save what can be read of a damaged library into a new one, and say what can't. The old one is left as it is.

`pixr check` says whether a library is damaged. Where there is a backup, `pixr restore` brings back all of it.
Leaves with 1 if anything was lost.

\b
Example:
  pixr repair films.pixr saved.pixr
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("repair", help=HELP)(repair)


def repair(
    library: Annotated[
        Path, typer.Argument(metavar="LIBRARY", help="The damaged library's folder.", parser=named_folder)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new library's folder.", parser=named_folder)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    report = pixr.repair(library, out)
    print_json(report_to_dict(report)) if as_json else print_fields(report)
    if report["damaged"]:
        lost = len(report["lost_videos"]) + report["lost_video_count"]
        complain(
            f"{out}: {report['videos']} videos saved, {len(report['incomplete_videos'])} of them in part; {lost} lost"
        )
        raise typer.Exit(1)
