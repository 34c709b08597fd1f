"""What GraphQL takes: the fields of the REST requests, which check them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from pydantic.alias_generators import to_camel
from strawberry import UNSET
from strawberry.scalars import JSON

from pixr.server.graphql.types import Channel, Mode

__all__ = [
    "SearchInput",
    "UploadInput",
    "VideoChangesInput",
    "VideoUpdateInput",
    "WebhookChangesInput",
    "WebhookInput",
    "given",
]


@strawberry.input
class FileInput:
    url: str


@strawberry.input(description="A span of a video of the library, in seconds.")
class MomentInput:
    video_id: str
    start: float
    end: float


@strawberry.input
class PageInput:
    limit: int | None = UNSET
    cursor: str | None = UNSET


@strawberry.input
class FacetInput:
    mode: str | None = UNSET
    names: list[str] | None = UNSET


@strawberry.input(description="A question, as `POST /v1/search` takes it; what is JSON here is so there.")
class SearchInput:
    query: str | None = UNSET
    image: FileInput | None = UNSET
    audio: FileInput | None = UNSET
    clip: FileInput | None = UNSET
    like: MomentInput | None = UNSET
    vectors: JSON | None = UNSET
    blend: JSON | None = UNSET
    then: JSON | None = UNSET
    within: float | None = UNSET
    while_: JSON | None = strawberry.field(name="while", default=UNSET)
    not_: JSON | None = strawberry.field(name="not", default=UNSET)
    modes: list[Mode] | None = UNSET
    channels: list[Channel] | None = UNSET
    weights: JSON | None = UNSET
    filters: JSON | None = UNSET
    video: list[str] | None = UNSET
    between: list[float] | None = UNSET
    min_score: float | None = UNSET
    fusion: str | None = UNSET
    facets: FacetInput | None = UNSET
    moments: int | None = UNSET
    diversity: float | None = UNSET
    effort: int | None = UNSET
    total: str | None = UNSET
    explain: bool | None = UNSET
    pagination: PageInput | None = UNSET


@strawberry.input
class CreatorInput:
    id: str
    name: str | None = UNSET
    verified: bool | None = UNSET


@strawberry.input(description="What is known of a video, or what is to change; what is left out stays.")
class VideoChangesInput:
    title: str | None = UNSET
    description: str | None = UNSET
    tags: list[str] | None = UNSET
    created: str | None = UNSET
    quality: str | None = UNSET
    creator: CreatorInput | None = UNSET
    metadata: JSON | None = UNSET
    pix_investment: float | None = UNSET


@strawberry.input(description="Changes of one video.")
class VideoUpdateInput(VideoChangesInput):
    video_id: str = strawberry.field()


@strawberry.input(description="A file to come.")
class UploadInput:
    filename: str
    size: float = strawberry.field(description="bytes; a Float, for Int ends at 2 GiB")
    content_type: str | None = UNSET
    metadata: VideoChangesInput | None = UNSET


@strawberry.input(description="A new endpoint; no event types: all.")
class WebhookInput:
    url: str
    event_types: list[str] | None = UNSET
    description: str | None = UNSET
    max_concurrency: int | None = UNSET


@strawberry.input(description="What of an endpoint changes; what is left out stays.")
class WebhookChangesInput:
    url: str | None = UNSET
    event_types: list[str] | None = UNSET
    description: str | None = UNSET
    max_concurrency: int | None = UNSET
    enabled: bool | None = UNSET


def given(value: Any, *, nulls: bool = True) -> Any:
    """An input as JSON: what was left out is not there, and without `nulls` neither is what is null."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [given(one, nulls=nulls) for one in value]
    if not hasattr(value, "__strawberry_definition__"):
        return value
    fields = {name: part for name, part in vars(value).items() if part is not UNSET and (nulls or part is not None)}
    return {to_camel(name.rstrip("_")): given(part, nulls=nulls) for name, part in fields.items()}
