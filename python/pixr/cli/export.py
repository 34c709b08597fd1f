"""`pixr export`: write a library as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixr.cli.console import is_terminal, print_json
from pixr.cli.folders import LibraryFolder

__all__ = ["register"]

HELP = """Write a library as one Parquet file: videos, segments, texts and vectors.

`pixr import` makes an equal library of it, and any program that reads Parquet can read it.

\b
Example:
  pixr export films.pixr films.parquet
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", help=HELP)(export)


def export(
    library: LibraryFolder,
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="The file to write.")],
    snapshot: Annotated[str | None, typer.Option(metavar="NAME", help="Of this snapshot instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, read_only=True, snapshot=snapshot) as opened:
        videos = opened.export(out)
    size = out.stat().st_size
    if as_json:
        print_json({"path": str(out), "videos": videos, "bytes": size})
    elif is_terminal():
        print(f"{out}: {videos} videos, {size:,} bytes")
