"""`pixr info`: what a library holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixr.cli.console import print_fields, print_json, print_table
from pixr.cli.folders import LibraryFolder
from pixr.show.clock import clock
from pixr.wire import report_to_dict, source_name, video_to_dict

__all__ = ["register"]

HELP = """Show what a library holds: counts, spaces, size on disk. With --videos its videos, with --video one of them.

\b
Examples:
  pixr info films.pixr
  pixr info films.pixr --videos
  pixr info films.pixr --video vid_1 --json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("info", help=HELP)(info)


def info(
    library: LibraryFolder,
    videos: Annotated[bool, typer.Option("--videos", help="List the videos.")] = False,
    video: Annotated[str | None, typer.Option(metavar="ID", help="Show one video and its segments.")] = None,
    snapshot: Annotated[str | None, typer.Option(metavar="NAME", help="Of this snapshot instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    import pixr

    with pixr.open(library, read_only=True, snapshot=snapshot) as opened:
        if video is not None:
            one = video_to_dict(opened.video(video))
            segments: list[dict[str, Any]] = [
                {"start": s.start, "end": s.end, "channels": list(s.channels), "texts": dict(s.texts)}
                for s in opened.segments(video)
            ]
            if as_json:
                print_json(one | {"segments": segments})
                return
            print_fields(one)
            rows = [
                (f"{clock(s['start'])}–{clock(s['end'])}", " ".join(s["channels"]), " · ".join(s["texts"].values()))
                for s in segments
            ]
            print_table(("segment", "channels", "says"), rows)
        elif videos:
            listed = list(opened.videos())
            if as_json:
                print_json({"videos": [video_to_dict(item) for item in listed]})
                return
            table = [
                (item.id, clock(item.duration, tenths=False), item.title, source_name(item), ", ".join(item.tags))
                for item in listed
            ]
            print_table(("id", "length", "title", "source", "tags"), table, right=("length",))
        else:
            facts = opened.info()
            print_json(report_to_dict(facts)) if as_json else print_fields(facts)
