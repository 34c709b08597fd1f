"""`pixr snapshot`: keep states of a library under names."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any

import typer

from pixr.cli.console import is_terminal, print_json, print_table
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.wire import report_to_dict

__all__ = ["app"]

app = typer.Typer(
    help="Keep states of a library under names, to search them later: `pixr search LIBRARY --snapshot NAME`.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, '-', '_' and '.'.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("create")
def create(library: LibraryFolder, name: Name, lock_timeout: LockTimeout = 0.0, as_json: AsJson = False) -> None:
    """Keep the library as it is now. Copies nothing; what is deleted later stays on disk while a snapshot holds it."""
    import pixr

    with pixr.open(library, create=False, lock_timeout=lock_timeout) as opened:
        taken = opened.take_snapshot(name)
    if as_json:
        print_json(report_to_dict(taken))
    elif is_terminal():
        print(f"{name}: {taken['videos']} videos")


@app.command("list")
def list_snapshots(library: LibraryFolder, as_json: AsJson = False) -> None:
    """List the snapshots of a library."""
    import pixr

    with pixr.open(library, read_only=True) as opened:
        found = opened.snapshots()
    if as_json:
        print_json({"snapshots": [report_to_dict(one) for one in found]})
    else:
        print_table(("name", "taken", "videos", "bytes"), [_row(one) for one in found], right=("videos", "bytes"))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    taken = datetime.fromtimestamp(one["taken"], timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    return one["name"], taken, str(one["videos"]), f"{one['byte_len']:,}"


@app.command("delete")
def delete(library: LibraryFolder, name: Name, lock_timeout: LockTimeout = 0.0, as_json: AsJson = False) -> None:
    """Delete a snapshot, and with it what only it holds."""
    import pixr

    with pixr.open(library, create=False, lock_timeout=lock_timeout) as opened:
        opened.delete_snapshot(name)
    if as_json:
        print_json({"name": name, "deleted": True})
    elif is_terminal():
        print(f"{name} deleted")
