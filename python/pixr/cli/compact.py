"""`pixr compact`: rewrite a library without what was deleted, and say what is gone."""

from __future__ import annotations

from typing import Annotated

import typer

from pixr.cli.console import print_fields, print_json
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.wire import report_to_dict

__all__ = ["register"]

HELP = """Rewrite a library without what was deleted or replaced. Afterwards those bytes are gone from disk.

Prints a receipt: what was removed, how much smaller the library is, and the snapshots that still hold what they held.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compact", help=HELP)(compact)


def compact(
    library: LibraryFolder,
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, create=False, lock_timeout=lock_timeout) as opened:
        receipt = opened.compact()
    print_json(report_to_dict(receipt)) if as_json else print_fields(receipt)
