"""`pixr import`: make a library of a Parquet file that `pixr export` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import is_terminal, print_json
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout

__all__ = ["register"]

HELP = """Put what a Parquet file holds, as `pixr export` writes it, into a library; it is made if it is not there.

\b
Example:
  pixr import copy.pixr films.parquet
"""


def register(app: typer.Typer) -> None:
    """Add the command; its name is a word of Python, hence the other name of this file."""
    app.command("import", help=HELP)(load)


def load(
    library: LibraryFolder,
    file: Annotated[Path, typer.Argument(metavar="IN.parquet", help="The file to read.")],
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr
    from pixr.parquet import Exported

    with Exported.open(file):
        pass  # what is no such file makes no library
    with pixr.open(library, lock_timeout=lock_timeout) as opened:
        opened.load(file)
        videos = sum(1 for _ in opened.videos())
    if as_json:
        print_json({"path": str(file), "videos": videos})
    elif is_terminal():
        print(f"{library}: {videos} videos")
