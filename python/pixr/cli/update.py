"""`pixr update`: change what is known of a video."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixr.cli.console import is_terminal, print_json
from pixr.cli.filters import parse_metadata
from pixr.cli.folders import LibraryFolder
from pixr.cli.locking import LockTimeout
from pixr.wire import video_to_dict

__all__ = ["register"]

HELP = """Change a video's title, description, tags or metadata. It is searched by the new ones at once.

What is not given stays. `pixr info LIBRARY --videos` shows the ids.

\b
Examples:
  pixr update films.pixr vid_1 --title "Lisbon, spring" --tag travel --tag city
  pixr update films.pixr vid_1 --metadata room=12 --tag ""
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("update", help=HELP)(update)


def update(
    library: LibraryFolder,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video's id.")],
    title: Annotated[str | None, typer.Option(help="The new title.")] = None,
    description: Annotated[str | None, typer.Option(help="The new description.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help='In place of all its tags; may be repeated; "" for none.')
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Set this value, others stay; may be repeated.")
    ] = None,
    lock_timeout: LockTimeout = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    try:
        values = parse_metadata(metadata or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--metadata") from None
    changes: dict[str, Any] = {"title": title, "description": description}
    changes = {name: value for name, value in changes.items() if value is not None}
    if tag:
        changes["tags"] = [] if tag == [""] else tag
    if not changes and not values:
        raise typer.BadParameter("nothing to change", param_hint="--title, --description, --tag, --metadata")
    with pixr.open(library, create=False, lock_timeout=lock_timeout) as opened:
        if values:
            changes["metadata"] = {**opened.video(video).metadata, **values}
        changed = opened.update(video, **changes)
    if as_json:
        print_json(video_to_dict(changed))
    elif is_terminal():
        print(f"{changed.id} changed: {', '.join(changes)}")
