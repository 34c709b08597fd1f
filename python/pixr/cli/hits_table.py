"""Hits as a table of moments with their reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixr.cli.console import is_terminal, print_table
from pixr.show.clock import clock
from pixr.show.confidence import shown_confidence
from pixr.show.reasons import reasons
from pixr.wire import source_name

if TYPE_CHECKING:
    from pixr.types import Hits, Match, Moment

__all__ = ["print_hits"]


def print_hits(hits: Hits, *, explain: bool = False, readable: bool | None = None) -> None:
    """The moments of a page of hits, a line each with its reasons; `explain` adds a line for each match.

    `readable` asks for a table even in a pipe.
    """
    as_table = is_terminal() if readable is None else readable
    rows = []
    for hit in hits:
        for number, moment in enumerate(hit.moments):
            name = (hit.video.title or source_name(hit.video)) if number == 0 or not as_table else ""
            rows.append((f"{moment.score:.3f}", _span(moment), name, _reasons(moment)))
    if rows or not as_table:
        print_table(("score", "moment", "video", "because"), rows, right=("score",), readable=as_table)
    if explain:
        _print_matches(hits, as_table)
    if as_table:
        relation = "" if hits.total_relation == "exact" else "about "
        found = f"{relation}{hits.total} video{'s' * (hits.total != 1)}" if hits.total else "no such moment"
        print(f"{found}, {hits.timing.total:.1f} ms")


def _print_matches(hits: Hits, as_table: bool) -> None:
    rows = [
        (
            source_name(hit.video),
            _span(moment),
            f"{match.mode}/{match.channel}",
            _raw(match),
            shown_confidence(match.confidence, 3),
            f"{match.weight:.2f}",
            f"{match.contribution:.3f}",
            f"{moment.score:.3f}",
        )
        for hit in hits
        for moment in hit.moments
        for match in moment.matches
    ]
    names = ("video", "moment", "channel", "raw", "confidence", "weight", "contribution", "of score")
    print_table(names, rows, right=names[3:], readable=as_table)


def _raw(match: Match) -> str:
    if match.cosine is not None:
        return f"cosine {match.cosine:.3f}"
    return "" if match.bm25 is None else f"bm25 {match.bm25:.2f}"


def _span(moment: Moment) -> str:
    return f"{clock(moment.start)}–{clock(moment.end)}"


def _reasons(moment: Moment) -> str:
    """What was found, the strongest evidence first: `speech 0.91: we mount the panels; frame 0.55`."""
    parts = []
    for match in reasons(moment):
        said = f": {_short(match.description)}" if match.description else ""
        for_part = f" for {_short(match.part)!r}" if match.part else ""
        parts.append(f"{match.channel} {shown_confidence(match.confidence)}{for_part}{said}")
    return "; ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
