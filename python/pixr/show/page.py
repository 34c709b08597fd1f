"""One HTML page that plays the moments, made to be opened from disk.

Styles, script and pictures are inside the page; the clips are linked by paths relative to it, so a folder with both
can be moved. Nothing else is loaded before somebody plays it. Every text is escaped: titles, queries and what was heard
come from files that nobody vouches for. The page's own policy lets it run no script but its one, and send nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from pixr.show.clock import clock, milliseconds_within
from pixr.show.confidence import shown_confidence
from pixr.show.page_assets import SCRIPT, STYLE
from pixr.show.thumbnails import Thumbnails, jpeg, local_file
from pixr.source_files import source_to_path
from pixr.types import Hit, Hits, Match, Moment, Video
from pixr.whole_file import whole_file
from pixr.wire import source_name

__all__ = ["write_page"]

POSTER_SIDE = 480
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
_POLICY = (
    f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; style-src 'unsafe-inline'; img-src data:; "
    "media-src 'self' file: http: https:; base-uri 'none'; form-action 'none'"
)


def write_page(path: Path, sections: Sequence[tuple[str, Hits]], *, title: str = "Pixr: moments found") -> None:
    """Write a page with a section for each `(query, hits)` at `path`. The file appears whole or not at all.

    Raises:
        MissingExtra: Pillow or the decoder is not installed.
        OSError: the file can't be written.
    """
    folder = path.resolve().parent
    thumbnails = Thumbnails(POSTER_SIDE)
    body = "\n".join(_section(query, hits, folder, thumbnails) for query, hits in sections)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body><main><h1>{escape(title)}</h1>\n{body}</main>\n"
        f"<script>{SCRIPT}</script></body></html>\n"
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _section(query: str, hits: Hits, folder: Path, thumbnails: Thumbnails) -> str:
    relation = "" if hits.total_relation == "exact" else "about "
    shown_of = f"{len(hits)} of " if 0 < len(hits) < hits.total else ""
    count = f"{shown_of}{relation}{hits.total} video{'s' * (hits.total != 1)}, {hits.timing.total:.1f} ms"
    cards = "\n".join(_card(hit, folder, thumbnails) for hit in hits)
    shown = f'<div class="hits">{cards}</div>' if cards else '<p class="none">No such moment.</p>'
    return f'<section><h2 dir="auto">{escape(query)}</h2><p class=count>{count}</p>\n{shown}</section>'


def _card(hit: Hit, folder: Path, thumbnails: Thumbnails) -> str:
    name = escape(_name(hit.video))
    moments = "\n".join(_moment(moment) for moment in hit.moments)
    return (
        f'<article class="hit">{_player(hit, folder, thumbnails)}\n<div class="told"><h3><span dir="auto">{name}</span>'
        f'<span class="score">{hit.score:.2f}</span></h3><ol>{moments}</ol></div></article>'
    )


def _player(hit: Hit, folder: Path, thumbnails: Thumbnails) -> str:
    address = _address(hit.video, folder)
    if address is None or not hit.moments:
        was_file = hit.video.source and source_to_path(hit.video.source) is not None
        why = "is not there any more" if was_file else "has no file that can be played"
        return f'<div class="gone"><p><bdi>{escape(source_name(hit.video))}</bdi> {why}</p></div>'
    best = hit.moments[0]
    picture = thumbnails.at(hit.video, best.peak)
    poster = ""
    if picture is not None:
        poster = f' poster="data:image/jpeg;base64,{base64.b64encode(jpeg(picture)).decode("ascii")}"'
    fragment = "#t=" + ",".join(milliseconds_within(best.start, best.end))
    link = f'<a href="{escape(address)}"><bdi>{escape(source_name(hit.video))}</bdi></a>'
    return (
        f'<video controls playsinline preload="none" aria-label="{escape(_name(hit.video))}"'
        f' src="{escape(address + fragment)}"{poster}></video>'
        f'<p class="refused" role="alert" hidden>{link} can\'t be played here: it is not there any more, or of a kind '
        "that this browser doesn't play.</p>"
    )


def _name(video: Video) -> str:
    return video.title or source_name(video)


def _moment(moment: Moment) -> str:
    ordered = sorted(moment.matches, key=lambda match: -match.contribution)
    matches = "".join(_match(match) for match in ordered)
    start, end = milliseconds_within(moment.start, moment.end)
    return (
        f'<li><button type="button" aria-pressed="false" data-start="{start}" data-end="{end}">'
        f'<span aria-hidden="true">▶ </span>{clock(moment.start)} – {clock(moment.end)}</button>'
        f'<span class="score">{moment.score:.2f}</span><ul>{matches}</ul></li>'
    )


def _match(match: Match) -> str:
    confidence = min(max(match.confidence, 0.0), 1.0)
    said = f'<span class="said" dir="auto">{_highlighted(match)}</span>' if match.description else ""
    if match.part is not None:
        said += f'<span class="part">for: <bdi>{escape(match.part)}</bdi></span>'
    sure = shown_confidence(match.confidence)
    label = f"{match.mode}, {match.channel}: confidence {sure}, contributes {match.contribution:.2f}"
    return (
        f'<li class="{match.mode}" title="{escape(label)}">'
        f'<span class="bar"><i style="width:{confidence:.0%}"></i></span>'
        f'<span class="channel">{match.channel} {escape(sure)}</span>{said}</li>'
    )


def _highlighted(match: Match) -> str:
    """The description, escaped, with the query's words marked."""
    text, parts, at = match.description or "", [], 0
    for start, end in sorted(match.highlights):
        if at <= start < end <= len(text):
            parts += [escape(text[at:start]), "<mark>", escape(text[start:end]), "</mark>"]
            at = end
    return "".join([*parts, escape(text[at:])])


def _address(video: Video, folder: Path) -> str | None:
    """Where the page finds the clip: a URL without its fragment, a file by its path relative to the page."""
    if video.source and video.source.lower().startswith(("http://", "https://")):
        return video.source.partition("#")[0]
    file = local_file(video)
    if file is None:
        return None
    try:
        relative = os.path.relpath(file.resolve(), folder)
    except ValueError:  # another drive on Windows
        return file.resolve().as_uri()
    return quote(os.fsencode(Path(relative).as_posix()))
