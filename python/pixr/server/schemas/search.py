"""`POST /v1/search`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from pixr.errors import InvalidQuery
from pixr.questions import Question, from_dict
from pixr.server.schemas.shape import RequestShape, ResponseShape
from pixr.types import Channel, Fusion, Mode

__all__ = ["SearchRequest", "SearchResponse"]


_MOST_DEPTH = 8


class Page(RequestShape):
    """Which page."""

    limit: int = Field(default=20, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=4096)


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
    vectors: dict[Channel, list[float]] | None = Field(default=None, description="your own vectors, by channel")
    then: str | dict[str, Any] | None = Field(default=None, description="what follows: words, or a question again")
    within: float | None = Field(default=None, gt=0, le=86_400, description="at most so many seconds after")
    while_: str | dict[str, Any] | None = Field(default=None, alias="while", description="what goes on meanwhile")
    not_: str | dict[str, Any] | None = Field(default=None, alias="not", description="what is not to be found there")
    modes: list[Mode] | None = Field(default=None, max_length=3)
    channels: list[Channel] | None = Field(default=None, max_length=5, description="a finer choice than `modes`")
    weights: dict[Channel, float] | None = None
    filters: dict[str, Any] | None = Field(default=None, description="what videos to look in; see the guide")
    min_score: float | None = Field(default=None, ge=0, le=1)
    fusion: Fusion = "weighted_sum"
    facets: bool | list[str] = Field(default=True, description="true for the usual ones, or their names")
    moments: int = Field(default=5, ge=1, le=100, description="the most moments of each result")
    effort: int | None = Field(default=None, ge=1, le=10_000, description="answer approximately in large libraries")
    explain: bool = Field(default=False, description="weights and raw scores on every match")
    pagination: Page = Field(default_factory=Page)

    def question(self) -> Question | None:
        """What is asked: the words, or questions related in time.

        Raises:
            InvalidQuery: it can't be understood, or names a file, which is the server's business and nobody else's.
        """
        if not self.is_related:
            return self.query
        given = {
            "query": self.query,
            "vectors": self.vectors,
            "modes": self.modes,
            "channels": self.channels,
            "weights": self.weights,
            "then": self.then,
            "within": self.within,
            "while": self.while_,
            "not": self.not_,
        }
        _refuse_files(given)
        return from_dict(given)

    @property
    def is_related(self) -> bool:
        """Whether several questions are asked, related in time."""
        return any(one is not None for one in (self.then, self.within, self.while_, self.not_))

    def options(self) -> dict[str, Any]:
        """The arguments of `Library.search` but for the question."""
        asked: dict[str, Any] = {}
        if not self.is_related:
            asked = {name: getattr(self, name) for name in ("vectors", "modes", "channels", "weights")}
        return asked | {
            "filters": self.filters,
            "limit": self.pagination.limit,
            "cursor": self.pagination.cursor,
            "min_score": self.min_score,
            "fusion": self.fusion,
            "facets": self.facets,
            "moments": self.moments,
            "effort": self.effort,
        }


def _refuse_files(value: Any, depth: int = 0) -> None:
    if depth > _MOST_DEPTH:
        raise InvalidQuery(f"questions are nested more than {_MOST_DEPTH} deep")
    if isinstance(value, dict):
        if named := [name for name in ("image", "audio", "clip") if value.get(name) is not None]:
            raise InvalidQuery(f"{named[0]}: files are sent with /v1/search/file, not named")
        for part in value.values():
            _refuse_files(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _refuse_files(part, depth + 1)


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
    """Evidence on one channel. The last six are there with `explain`."""

    timestamp: float
    duration: float
    type: Mode
    channel: Channel
    confidence: float
    contribution: float
    description: str | None
    moment: int | None = Field(default=None, description="index into `moments`")
    clause: str | None = None
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
