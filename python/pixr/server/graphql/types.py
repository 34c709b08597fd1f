"""What GraphQL gives back: the shapes of the REST answers."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON

from pixr.server.analytics import video_analytics
from pixr.server.graphql.guard import Call, Info

__all__ = [
    "BatchOutcome",
    "Channel",
    "Event",
    "Mode",
    "SearchAnalytics",
    "SearchAnswer",
    "SearchResult",
    "SearchUpdate",
    "Upload",
    "Video",
    "VideoPage",
    "VideoStatus",
    "WebhookDelivery",
    "WebhookEndpoint",
    "facet_list",
]


@strawberry.enum
class Mode(Enum):
    """What is asked for."""

    visual = "visual"
    text = "text"
    audio = "audio"


@strawberry.enum
class Channel(Enum):
    """A kind of evidence."""

    frame = "frame"
    metadata = "metadata"
    screen = "screen"
    speech = "speech"
    sound = "sound"


@strawberry.enum
class VideoStatus(Enum):
    """How far a video is."""

    uploading = "uploading"
    queued = "queued"
    processing = "processing"
    completed = "completed"
    failed = "failed"


@strawberry.type(description="Who made a video.")
class Creator:
    id: str
    name: str
    verified: bool


@strawberry.type(description="Where the next page begins.")
class Pagination:
    next_cursor: str | None
    has_more: bool


@strawberry.type(description="What can be done, and was not.")
class FieldError:
    code: str
    detail: str


# -- searching --------------------------------------------------------------------------------------------------------


@strawberry.type(description="A span that a player jumps to, in seconds.")
class Moment:
    timestamp: float
    duration: float
    peak: float
    score: float


@strawberry.type(description="Evidence on one channel. From `moment` on, with `explain`.")
class Match:
    timestamp: float
    duration: float
    type: Mode
    channel: Channel
    confidence: float
    contribution: float
    description: str | None
    moment: int | None
    clause: str | None
    part: str | None
    weight: float | None
    cosine: float | None
    bm25: float | None
    highlights: list[list[int]] | None


@strawberry.type(description="Why a video is found.")
class Relevance:
    score: float
    moments: list[Moment]
    matches: list[Match]


@strawberry.type(description="One video that was found.")
class SearchResult:
    video_id: str
    title: str
    thumbnail_url: str | None
    duration: float
    relevance: Relevance
    creator: Creator | None


@strawberry.type(description="Where the next page begins, and how many results there are in all.")
class SearchPagination:
    next_cursor: str | None
    has_more: bool
    total: int
    total_relation: str


@strawberry.type(description="Milliseconds.")
class Timing:
    encode: float
    search: float
    total: float


@strawberry.type
class FacetValue:
    value: str
    count: int


@strawberry.type(description="Counts over all results.")
class Facet:
    name: str
    values: list[FacetValue]


@strawberry.type(description="A page of results with counts over all of them.")
class SearchAnswer:
    search_id: str
    results: list[SearchResult]
    pagination: SearchPagination
    timing: Timing
    snapshot: str
    plan: JSON | None

    @strawberry.field
    def warnings(self) -> list[str]:
        return cast("list[str]", cast("dict[str, Any]", self).get("warnings", []))

    @strawberry.field
    def facets(self) -> list[Facet]:
        return facet_list(cast("dict[str, Any]", self)["facets"])


@strawberry.type(description="A piece of an answer: each result, then the facets, then what is left, without results.")
class SearchUpdate:
    result: SearchResult | None
    facets: list[Facet] | None
    done: SearchDone | None


@strawberry.type(description="The end of an answer.")
class SearchDone:
    search_id: str
    pagination: SearchPagination
    timing: Timing
    snapshot: str


def facet_list(facets: dict[str, dict[str, int]]) -> list[Facet]:
    """Facets as lists: GraphQL has no maps."""
    shown = [
        {"name": name, "values": [{"value": value, "count": count} for value, count in counts.items()]}
        for name, counts in facets.items()
    ]
    return cast("list[Facet]", shown)


# -- videos -----------------------------------------------------------------------------------------------------------


@strawberry.type(description="How many segments are known, and how many of them are searchable.")
class Segments:
    count: int
    analyzed: int


@strawberry.type(description="A part of a video about one thing, in seconds.")
class Chapter:
    start: float
    end: float
    title: str
    words: list[str]
    concepts: list[str]


@strawberry.type
class QueryCount:
    query: str
    appearances: int | None
    clicks: int | None
    count: int | None


@strawberry.type(description="How findable a video is, and how it was found.")
class VideoAnalytics:
    days: int
    searchability_score: float
    parts: JSON
    appearances: int
    clicks: int
    click_through_rate: float
    average_position: float | None
    top_queries: list[QueryCount]


Days = Annotated[int, strawberry.argument(description="how far back, 1 to 365")]


@strawberry.type(description="A video and how far its processing is. In lists `segments` may be null.")
class Video:
    video_id: str
    status: VideoStatus
    progress: float
    failure: FieldError | None
    title: str
    description: str
    tags: list[str]
    duration: float | None
    created: str | None
    quality: str | None
    resolutions: list[str]
    creator: Creator | None
    metadata: JSON
    pix_investment: float
    segments: Segments | None
    thumbnail_url: str | None
    added: str | None
    warnings: list[str]

    @strawberry.field(extensions=[Call("videos.read")], description="Cut by what is seen and said.")
    async def chapters(self, info: Info, min_chapter_length: float | None = None, most: int = 30) -> list[Chapter]:
        asked = info.context.checked("chapters", minChapterLength=min_chapter_length, most=most)
        found = await info.context.server.searches.run(
            info.context.organization,
            lambda: info.context.server.videos.chapters(
                info.context.organization,
                cast("dict[str, Any]", self)["videoId"],
                least_seconds=asked.min_chapter_length,
                most=asked.most,
            ),
        )
        return cast("list[Chapter]", found)

    @strawberry.field(extensions=[Call("analytics")])
    async def analytics(self, info: Info, days: Days = 30) -> VideoAnalytics:
        video: str = cast("dict[str, Any]", self)["videoId"]
        asked = info.context.checked("days", days=days)
        server, whose = info.context.server, info.context.organization
        found = await server.searches.run(whose, lambda: video_analytics(server, whose, video, asked.days))
        return cast("VideoAnalytics", found)


@strawberry.type(description="A page of videos, ordered by id.")
class VideoPage:
    videos: list[Video]
    pagination: Pagination


@strawberry.type(description="What became of one update.")
class BatchOutcome:
    video_id: str
    status: str
    error: FieldError | None


@strawberry.type(description="Where to send the file, by tus 1.0.0. The URL needs no further credentials.")
class Upload:
    upload_id: str
    video_id: str
    upload_url: str
    expires: str
    chunk_size: int
    headers: JSON


@strawberry.type(description="How much was searched, what most, and what in vain.")
class SearchAnalytics:
    days: int
    searches: int
    searches_without_results: int
    searches_with_clicks: int
    click_through_rate: float
    average_milliseconds: float | None
    top_queries: list[QueryCount]
    queries_without_results: list[QueryCount]


# -- events -----------------------------------------------------------------------------------------------------------


@strawberry.type(description="Something that happened, as webhooks tell it.")
class Event:
    sequence: float
    id: str
    type: str
    created: str
    timestamp: int
    api_version: str
    data: JSON


@strawberry.type(description="Where events are sent to. The secret is there once, when it is made.")
class WebhookEndpoint:
    endpoint_id: str
    url: str
    description: str
    event_types: list[str]
    max_concurrency: int
    enabled: bool
    disabled_reason: str | None
    created: str
    previous_secret_expires: str | None
    secret: str | None


@strawberry.type(description="An event on its way to an endpoint.")
class WebhookDelivery:
    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    status: str
    attempts: int
