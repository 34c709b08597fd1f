"""`pixr check`: verify every byte of a library."""

from __future__ import annotations

from typing import Annotated

import typer

from pixr.cli.console import complain, print_fields, print_json
from pixr.cli.folders import LibraryFolder
from pixr.wire import report_to_dict

__all__ = ["register"]

HELP = """Verify a library: every checksum of every file, and that its parts agree. Reads all of it, changes nothing.

Leaves with 1 if anything is wrong.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", help=HELP)(check)


def check(
    library: LibraryFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, read_only=True) as opened:
        report = opened.check()
    if as_json:
        print_json(report_to_dict(report))
    else:
        print_fields(report)
    if report["damaged"]:
        complain(f"{library}: {len(report['damaged'])} damaged of {report['files']} files")
        raise typer.Exit(1)
