"""`pixr backup`: copy a library while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import print_fields, print_json
from pixr.cli.folders import LibraryFolder, named_folder
from pixr.wire import report_to_dict

__all__ = ["register"]

HELP = """Copy a library as it is now into a folder, also while others write to it and search it.

Into a folder with an earlier backup of the same library only what is new is copied. The copy is a library: it can be
searched and checked. Every byte is verified on the way, so a damaged library does not replace a good backup.

\b
Examples:
  pixr backup films.pixr /mnt/backup/films.pixr
  pixr check /mnt/backup/films.pixr
  pixr restore /mnt/backup/films.pixr films.pixr
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backup", help=HELP)(backup)


def backup(
    library: LibraryFolder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The backup's folder; made if it is not there.", parser=named_folder)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, read_only=True) as opened:
        receipt = opened.backup(out)
    print_json(report_to_dict(receipt)) if as_json else print_fields(receipt)
