"""`pixr restore`: make a library of a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import print_fields, print_json
from pixr.cli.folders import named_folder
from pixr.wire import report_to_dict

__all__ = ["register"]

HELP = """Make a new library of a backup, and verify every byte of it on the way. No library is replaced.

A snapshot is restored in the same way: it is the folder snapshots/NAME of its library.

\b
Examples:
  pixr restore /mnt/backup/films.pixr films.pixr
  pixr restore films.pixr/snapshots/monday monday.pixr
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore", help=HELP)(restore)


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup's folder.", parser=named_folder)],
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="The new library's folder.", parser=named_folder)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    receipt = pixr.restore(backup, library)
    print_json(report_to_dict(receipt)) if as_json else print_fields(receipt)
