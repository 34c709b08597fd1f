"""Carries out one search: checks its options, has the question encoded, asks the engine, and counts facets anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.arguments import check_choice, check_names, check_number, check_span, check_text, check_whole_number
from pixr.errors import DimensionMismatch, InvalidFilter, InvalidQuery
from pixr.facets import without_own_filter
from pixr.json_text import as_json
from pixr.questions import asks
from pixr.spaces import spaces_of
from pixr.types import FacetMode, Fusion, Hits, Timing, Total

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.asking import Request
    from pixr.questions import Question

__all__ = ["SearchOptions", "search"]


# More than any filter that the engine takes has, and fewer than its reader of JSON allows.
_MOST_LEVELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """The options of a search besides its question, as `Library.search` explains them.

    Raises:
        InvalidQuery, InvalidFilter: an option has a wrong type or is out of range; the message names it.
    """

    filters: Mapping[str, Any] | None
    video: str | Sequence[str] | None
    between: tuple[float, float] | None
    limit: int
    cursor: str | None
    min_score: float | None
    fusion: Fusion
    facets: Sequence[str] | bool
    facet_mode: FacetMode
    moments: int
    diversity: float | None
    effort: int | None
    total: Total

    def __post_init__(self) -> None:
        check_choice("facet_mode", self.facet_mode, FacetMode)
        check_choice("fusion", self.fusion, Fusion)
        check_choice("total", self.total, Total)
        check_whole_number("limit", self.limit, 1, 1000)
        check_whole_number("moments", self.moments, 0, 1000)
        if self.effort is not None:
            check_whole_number("effort", self.effort, 1, 10_000)
        if self.min_score is not None:
            check_number("min_score", self.min_score, 0, 1)
        if self.diversity is not None:
            check_number("diversity", self.diversity, 0, 1)
        if self.cursor is not None:
            check_text("cursor", self.cursor)
        if self.between is not None:
            check_span("between", self.between)
        if self.facets and self.facets is not True:
            check_names("facets", self.facets)
        if self.filters is not None and not isinstance(self.filters, Mapping):
            raise InvalidFilter(f"filters is {type(self.filters).__name__}, an object is expected")
        if _is_deeper(self.filters, _MOST_LEVELS):
            raise InvalidFilter("filters: nested too deep; `and`, `or` and `not` may be 16 deep")
        if self.video is not None and not isinstance(self.video, Collection):
            raise InvalidQuery(f"video is {type(self.video).__name__}, an id or a list of ids is expected")

    def request(self, question: Question) -> dict[str, Any]:
        """The engine's JSON, without the question itself."""
        facets = self.facets
        return {
            "filter": self.within(self.filters),
            "between": self.between,
            "except": _left_out(question),
            "min_score": self.min_score,
            "limit": self.limit,
            "cursor": self.cursor,
            "fusion": self.fusion,
            "effort": self.effort,
            "total": self.total,
            "moments_per_hit": self.moments,
            "diversity": self.diversity,
            "facets": "all" if facets is True else {"named": list(facets)} if facets else "off",
        }

    def within(self, filters: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """A filter, within the one video or those that are asked for."""
        given = dict(filters) if filters else None
        if self.video is None:
            return given
        ids = {"id": [self.video] if isinstance(self.video, str) else list(self.video)}
        return {"and": [ids, given]} if given else ids


def search(
    engine: _engine.Library, encode: Callable[[], Request], question: Question, options: SearchOptions, begun: float
) -> Hits:
    """Ask the engine what `encode` makes of the question, and count facets that pass over their own filter.

    Args:
        engine: the library's.
        encode: encodes the question; called once more if the library was reindexed meanwhile.
        question: the question itself.
        options: what is asked besides.
        begun: when the search began, by `time.perf_counter`.

    Raises:
        As `Library.search`.
    """
    request = options.request(question)
    spaces = spaces_of(engine)
    while True:
        asked = encode()
        encoded = time.perf_counter()
        # Where the library changed over to other models meanwhile, the question was encoded for the old ones.
        before = spaces
        try:
            answer = _answer(engine, asked, request)
        except DimensionMismatch:
            spaces = spaces_of(engine)
            if before == spaces:
                raise
            continue
        spaces = spaces_of(engine)
        if before == spaces:
            break
    items, count, relation, counts, next_cursor, snapshot, plan, seconds, counting = answer
    if options.facet_mode == "disjunctive" and options.filters:
        for name in counts:
            if (others := without_own_filter(name, options.filters)) is not None:
                alone = {"filter": options.within(others), "facets": {"named": [name]}, "limit": 1, "cursor": None}
                _, _, _, wider, _, later, _, more, extra = _answer(engine, asked, request | alone)
                counts[name], seconds, counting = wider[name], seconds + more, counting + extra
                if later != snapshot:
                    asked.warnings.append(f"facet {name} was counted at snapshot {later}, not {snapshot}")
    now = time.perf_counter()
    timing = Timing((encoded - begun) * 1e3, seconds * 1e3, (now - begun) * 1e3, counting * 1e3)
    return Hits(items, count, relation, counts, next_cursor, snapshot, timing, tuple(asked.warnings), plan)


def _answer(engine: _engine.Library, asked: Request, request: Mapping[str, Any]) -> Any:
    """What the engine says to what was encoded."""
    return engine.search(
        _as_json({**asked.request, **request}),
        asked.vectors,
        asked.clause_vectors,
        asked.part_vectors,
        asked.clauses,
        asked.parts,
    )


def _as_json(request: Mapping[str, Any]) -> str:
    """A request as the engine reads it.

    Raises:
        InvalidFilter, InvalidQuery: a field can't be written as JSON; the message names it.
    """
    with suppress(TypeError, ValueError, RecursionError):
        return as_json(request)
    for name, value in request.items():
        try:
            as_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidFilter(f"filters: {error}") if name == "filter" else InvalidQuery(f"{name}: {error}") from None
    raise InvalidQuery("the question can't be written as JSON")


def _is_deeper(value: Any, most: int) -> bool:
    """Whether lists and objects are nested more than `most` deep."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    if most == 0:
        return True
    return any(_is_deeper(one, most - 1) for one in (value.values() if isinstance(value, Mapping) else value))


def _left_out(question: Question) -> dict[str, Any] | None:
    """The moment that the question gives as its example, which is left out of the answer."""
    spans = {tuple(ask.like) for ask in asks(question) if ask.like is not None}
    if len(spans) > 1:
        raise InvalidQuery("like: one moment can be asked with, not several")
    for video, start, end in spans:
        return {"video": video, "start": start, "end": end}
    return None
