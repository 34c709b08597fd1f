"""`pixr delete`: take videos out of a library."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixr.cli.console import complain, is_terminal, print_json, with_code
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.errors import VideoNotFound
from pixr.wire import error_to_dict

__all__ = ["register"]

HELP = """Take videos out of a library. They are gone from results at once, their bytes after `pixr compact`.

The files that they were indexed from are not touched. `pixr info LIBRARY --videos` shows the ids.

\b
Example:
  pixr delete films.pixr vid_1 && pixr compact films.pixr
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("delete", help=HELP)(delete)


def delete(
    library: LibraryFolder,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of videos.")],
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    rows: list[dict[str, Any]] = []
    with pixr.open(library, create=False, lock_timeout=lock_timeout) as opened:
        for video_id in dict.fromkeys(ids):
            try:
                opened.delete(video_id)
            except VideoNotFound as error:
                rows.append({"videoId": video_id, "deleted": False, "error": error_to_dict(error)})
                complain(f"error: {with_code(error)}")
            else:
                rows.append({"videoId": video_id, "deleted": True})
    gone = sum(row["deleted"] for row in rows)
    counted = f"{gone} video{'s' * (gone != 1)} deleted"
    if as_json:
        print_json({"videos": rows})
    elif is_terminal():
        print(counted)
    elif gone < len(rows):  # else the others would seem to have been left as well
        complain(counted)
    if gone < len(rows):
        raise typer.Exit(1)
