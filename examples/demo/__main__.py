"""`make demo`: real clips in, real moments out.

Makes a library of five clips in `demo/`, asks it six things over all modes (and a seventh that it can't know), prints
the moments with their reasons, and leaves a contact sheet and a page that plays them. Run again, it finds its work done
and only searches.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

import pixr
from examples.demo.clips import Clip, can_speak, get_clips, get_photos
from pixr.cli.hits_table import print_hits
from pixr.cli.progress import IndexProgress
from pixr.show.clock import clock
from pixr.show.page import write_page
from pixr.show.sheet import write_sheet

DEMO = Path("demo")
LIBRARY = DEMO / "films.pixr"


@dataclass(frozen=True)
class Search:
    """One search: what it shows, and what is asked."""

    shows: str
    query: str | None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The search in words, for headings."""
        return f"{self.shows}: {self.query}" if self.query else self.shows


def main() -> int:
    """Run the demo; 0 if all went well."""
    clips = get_clips(DEMO)
    if not can_speak():
        print("espeak-ng is not installed, so the slide shows are silent: searching speech will find nothing.")
    failed = index(clips)
    mirrored = DEMO / "astronaut-mirrored.jpg"
    ImageOps.mirror(Image.open(get_photos(DEMO) / "astronaut.png").convert("RGB")).save(mirrored)
    searches = [
        Search("What is seen", "a cat", {"modes": ["visual"]}),
        Search("Words on the screen and in titles", "hubble deep field", {"modes": ["text"]}),
        Search("What is said", "the first woman to command a mission", {"modes": ["audio"]}),
        Search("All of it together", "repairing an old motorcycle in the workshop"),
        Search("With a filter (tag album, since 2024)", "rocket", {"filters": SINCE_2024}),
        Search("Like a picture (the astronaut, mirrored)", None, {"image": mirrored, "modes": ["visual"]}),
        Search("Nothing of the kind is there", "minutes of the shareholders' meeting on tax law"),
    ]
    found = []
    with pixr.open(LIBRARY, read_only=True) as library:
        for search in searches:
            print(f"\n{search.title}")
            hits = library.search(search.query, limit=3, moments=2, **search.options)
            print_hits(hits, readable=True)
            found.append((search.title, hits))
    write_sheet(DEMO / "sheet.png", found, per_section=4)
    write_page(DEMO / "index.html", found, title="Pixr: what the demo found")
    print(
        f"\nLook at    {DEMO}/sheet.png\nOpen       {DEMO}/index.html   (a click on a moment plays it)\n"
        f'Then try   .venv/bin/pixr search {LIBRARY} "a man in a car" --explain\n'
        f"           .venv/bin/pixr index my.pixr ~/Videos"
    )
    return 1 if failed else 0


SINCE_2024 = {"tags": ["album"], "created": {"after": "2024-01-01"}}


def index(clips: list[Clip]) -> int:
    """Index what is not there yet, with progress bars; returns how many clips failed."""
    failed = 0
    began = time.perf_counter()
    sources = [
        pixr.Source(clip.path, title=clip.title, description=clip.description, tags=clip.tags, created=clip.created)
        for clip in clips
    ]
    with (
        pixr.open(LIBRARY) as library,
        IndexProgress(len(clips), ("decode", "visual", "speech", "screen")) as progress,
    ):
        for outcome in library.add_many(sources, on_progress=progress.step):
            name = str(outcome.source.path)
            progress.done(name)
            failed += outcome.status == "failed"
            line = f"{clock(outcome.video.duration):>7}  {name}" if outcome.video else f"{outcome.error}"
            progress.print(f"{outcome.status:8}{line}")
            for warning in outcome.warnings:
                progress.print(f"        {warning}")
    print(f"{len(clips)} clips in {LIBRARY}, {time.perf_counter() - began:.1f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
