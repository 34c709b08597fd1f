"""`POST /v1/search`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Strict

from pixr.errors import InvalidQuery
from pixr.questions import Ask, Blend, Question, from_dict
from pixr.server.schemas.shape import RequestShape, ResponseShape
from pixr.types import Channel, Fusion, Mode

__all__ = ["FILES", "SearchRequest", "SearchResponse"]

FILES = ("image", "audio", "clip")
_MOST_DEPTH = 8
_MOST_PARTS = 8  # as the engine takes
_PARTS = ("query", "then", "while", "not")  # which may be questions themselves
_MOMENT = ("videoId", "start", "end")

Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
VideoName = Annotated[str, Field(min_length=1, max_length=200)]


class Page(RequestShape):
    """Which page."""

    limit: int = Field(default=20, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=4096)


class MomentOf(RequestShape):
    """A span of a video of the library, in seconds."""

    video_id: VideoName
    start: Seconds
    end: Seconds


class FileAt(RequestShape):
    """A file to fetch; private addresses are refused."""

    url: str = Field(max_length=2048, pattern=r"^https?://")


class FacetChoice(RequestShape):
    """Which facets, and what they count: `disjunctive` ones pass over the filter of their own column."""

    mode: Literal["filtered", "disjunctive"] = "filtered"
    names: list[str] | None = Field(default=None, max_length=50, description="the usual ones, if not given")


class SearchRequest(RequestShape):
    """A question, as `pixr.Library.search` takes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "installing solar panels on roof",
                    "modes": ["visual", "text", "audio"],
                    "filters": {"duration": {"min": 300, "max": 1800}, "quality": ["hd", "4k"]},
                    "pagination": {"limit": 20},
                }
            ]
        }
    )

    query: str | None = Field(default=None, max_length=4096, description="words")
    image: FileAt | None = Field(default=None, description="a picture to find")
    audio: FileAt | None = Field(default=None, description="a sound to find, and what is said in it")
    clip: FileAt | None = Field(default=None, description="a video to find moments like")
    like: MomentOf | None = Field(default=None, description="more like this moment, which is left out itself")
    vectors: dict[Channel, list[float]] | None = Field(default=None, description="your own vectors, by channel")
    blend: list[Annotated[tuple[str | dict[str, Any], float], Strict(False)]] | None = Field(
        default=None,
        max_length=_MOST_PARTS,
        description="several questions at once, each with its weight, -1 or more, and one of them above 0",
    )
    then: str | dict[str, Any] | None = Field(default=None, description="what follows: words, or a question again")
    within: float | None = Field(
        default=None, gt=0, le=86_400, description="at most so many seconds after; 10, if not given"
    )
    while_: str | dict[str, Any] | None = Field(default=None, alias="while", description="what goes on meanwhile")
    not_: str | dict[str, Any] | None = Field(default=None, alias="not", description="what is not to be found there")
    modes: list[Mode] | None = Field(default=None, max_length=3)
    channels: list[Channel] | None = Field(default=None, max_length=5, description="a finer choice than `modes`")
    weights: dict[Channel, float] | None = None
    filters: dict[str, Any] | None = Field(default=None, description="what videos to look in; see the guide")
    video: VideoName | Annotated[list[VideoName], Field(max_length=1000)] | None = Field(
        default=None, description="only in this video, or one of these"
    )
    between: Annotated[list[Seconds], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="only what happens between two instants of a video, in seconds"
    )
    min_score: float | None = Field(default=None, ge=0, le=1)
    fusion: Fusion = "weighted_sum"
    facets: bool | list[str] | FacetChoice = Field(
        default=True, description="true for the usual ones, their names, or with a `mode`"
    )
    moments: int = Field(default=5, ge=1, le=100, description="the most moments of each result")
    diversity: float | None = Field(
        default=None, ge=0, le=1, description="how different the moments of a result must be; none is left out if null"
    )
    effort: int | None = Field(default=None, ge=1, le=10_000, description="answer approximately in large libraries")
    total: Literal["exact", "found"] = Field(
        default="exact", description="what the total and facets of an approximate answer count"
    )
    explain: bool = Field(default=False, description="weights and raw scores on every match")
    pagination: Page = Field(default_factory=Page)

    def question(self, files: Mapping[str, bytes]) -> Question | None:
        """What is asked: the words, or questions related in time. `files` belong to the first of these.

        Raises:
            InvalidQuery: it can't be understood, or names a file, which is the server's business and nobody else's.
        """
        if not self.is_related:
            return self.query
        given = {
            "query": self.query,
            "like": self._like(),
            "vectors": self.vectors,
            "modes": self.modes,
            "channels": self.channels,
            "weights": self.weights,
            "then": self.then,
            "within": self.within,
            "while": self.while_,
            "not": self.not_,
            "blend": None if self.blend is None else [list(part) for part in self.blend],
        }
        question = from_dict(_of_wire(given))
        return _beginning_with(question, files) if files else question

    @property
    def is_related(self) -> bool:
        """Whether several questions are asked, related in time."""
        return any(one is not None for one in (self.then, self.within, self.while_, self.not_, self.blend))

    @property
    def links(self) -> dict[str, str]:
        """The URLs of the files that are asked with, by kind."""
        return {kind: at.url for kind in FILES if (at := getattr(self, kind)) is not None}

    def options(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """The arguments of `Library.search` but for the question and the cursor."""
        asked: dict[str, Any] = {}
        if not self.is_related:
            asked = {name: getattr(self, name) for name in ("vectors", "modes", "channels", "weights")}
            asked |= files
            asked["like"] = self._like()
        facets, mode = self.facets, "filtered"
        if isinstance(facets, FacetChoice):
            mode = facets.mode
            facets = True if facets.names is None else facets.names
        return asked | {
            "filters": self.filters,
            "video": self.video,
            "between": None if self.between is None else (self.between[0], self.between[1]),
            "limit": self.pagination.limit,
            "min_score": self.min_score,
            "fusion": self.fusion,
            "facets": facets,
            "facet_mode": mode,
            "moments": self.moments,
            "diversity": self.diversity,
            "effort": self.effort,
            "total": self.total,
        }

    def _like(self) -> tuple[str, float, float] | None:
        return None if self.like is None else (self.like.video_id, self.like.start, self.like.end)


def _of_wire(question: Any, depth: int = 0) -> Any:
    """A question as `pixr.questions` reads it.

    Raises:
        InvalidQuery: it names a file, and the server's own are nobody's to name; `like` has a field that is not known.
    """
    if depth > _MOST_DEPTH:
        raise InvalidQuery(f"questions are nested more than {_MOST_DEPTH} deep")
    if not isinstance(question, dict):
        return question
    if named := [name for name in FILES if question.get(name) is not None]:
        raise InvalidQuery(f"{named[0]}: a file goes with the first question alone, by /v1/search/file or a link")
    read = {name: _of_wire(part, depth + 1) if name in _PARTS else part for name, part in question.items()}
    if isinstance(blend := question.get("blend"), list):
        read["blend"] = [_part_of_wire(part, depth + 1) for part in blend]
    if isinstance(like := question.get("like"), dict):
        if unknown := [name for name in like if name not in _MOMENT]:
            raise InvalidQuery(f"{unknown[0]}: no such field; like has {', '.join(_MOMENT)}")
        read["like"] = [like.get(name) for name in _MOMENT]
    return read


def _part_of_wire(part: Any, depth: int) -> Any:
    """A part of a blend: a question and its weight."""
    return [_of_wire(part[0], depth), *part[1:]] if isinstance(part, list) and part else part


def _beginning_with(question: Question, files: Mapping[str, bytes]) -> Question:
    """The question with files in what is asked first."""
    if isinstance(question, str):
        question = Ask(question)
    if isinstance(question, Ask):
        given: dict[str, Any] = dict(files)
        return replace(question, **given)
    if isinstance(question, Blend):
        raise InvalidQuery("blend: its parts are words or moments; relate a file with then, while or not")
    return replace(question, first=_beginning_with(question.first, files))


class CreatorShape(ResponseShape):
    """Who made a video."""

    id: str
    name: str
    verified: bool


class MomentShape(ResponseShape):
    """A span that a player jumps to, in seconds."""

    timestamp: float
    duration: float
    peak: float
    score: float


class MatchShape(ResponseShape):
    """Evidence on one channel. `part` says which of several questions it answers. The last seven are for `explain`."""

    timestamp: float
    duration: float
    type: Mode
    channel: Channel
    confidence: float
    contribution: float
    description: str | None
    moment: int | None = Field(default=None, description="index into `moments`")
    clause: str | None = None
    part: str | None = None
    weight: float | None = None
    cosine: float | None = None
    bm25: float | None = None
    highlights: list[tuple[int, int]] | None = None


class RelevanceShape(ResponseShape):
    """Why a video is found."""

    score: float
    moments: list[MomentShape]
    matches: list[MatchShape]


class ResultShape(ResponseShape):
    """One video."""

    video_id: str
    title: str
    thumbnail_url: str | None
    duration: float
    relevance: RelevanceShape
    creator: CreatorShape | None


class PaginationShape(ResponseShape):
    """Where the next page begins, and how many there are in all."""

    next_cursor: str | None
    has_more: bool
    total: int
    total_relation: Literal["exact", "estimated"]


class TimingShape(ResponseShape):
    """Milliseconds."""

    encode: float
    search: float
    total: float


class SearchResponse(ResponseShape):
    """A page of results with counts over all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {
                            "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                            "title": "Solar install",
                            "thumbnailUrl": None,
                            "duration": 1247.0,
                            "relevance": {
                                "score": 0.94,
                                "moments": [{"timestamp": 145.3, "duration": 23.7, "peak": 151.0, "score": 0.94}],
                                "matches": [
                                    {
                                        "timestamp": 145.3,
                                        "duration": 23.7,
                                        "type": "visual",
                                        "channel": "frame",
                                        "confidence": 0.89,
                                        "contribution": 0.94,
                                        "description": "closest concepts: tile roof, ladder",
                                    }
                                ],
                            },
                            "creator": {"id": "usr_1", "name": "Ada", "verified": True},
                        }
                    ],
                    "pagination": {"nextCursor": None, "hasMore": False, "total": 1, "totalRelation": "exact"},
                    "facets": {"quality": {"hd": 1}},
                    "timing": {"encode": 3.1, "search": 0.8, "total": 4.4},
                    "snapshot": "42",
                    "searchId": "srch_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                }
            ]
        }
    )

    results: list[ResultShape]
    pagination: PaginationShape
    facets: dict[str, dict[str, int]]
    timing: TimingShape
    snapshot: str
    search_id: str
    warnings: list[str] = Field(default_factory=list)
    plan: dict[str, str] | None = Field(default=None, description="how each channel was searched, with `explain`")
