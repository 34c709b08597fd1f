"""`/v1/videos`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from pixr.server.schemas.problem import ProblemField
from pixr.server.schemas.search import CreatorShape
from pixr.server.schemas.shape import RequestShape, ResponseShape
from pixr.server.storable import flaws

__all__ = ["BatchRequest", "BatchResponse", "Status", "VideoChanges", "VideoList", "VideoShape"]

Status = Literal["uploading", "queued", "processing", "completed", "failed"]

VIDEO_EXAMPLE: dict[str, Any] = {
    "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "status": "completed",
    "progress": 1.0,
    "failure": None,
    "title": "Product Demo 2024",
    "description": "How the product works",
    "tags": ["demo"],
    "duration": 1247.0,
    "created": "2024-05-01",
    "quality": "hd",
    "resolutions": ["1080p"],
    "creator": {"id": "usr_1", "name": "Ada", "verified": True},
    "metadata": {"campaign": "spring"},
    "pixInvestment": 1000000,
    "segments": {"count": 249, "analyzed": 249},
    "thumbnailUrl": None,
    "added": "2026-11-24T08:00:00Z",
    "warnings": [],
}


class CreatorInput(RequestShape):
    """Who made a video."""

    id: str = Field(max_length=200)
    name: str = Field(default="", max_length=500)
    verified: bool = False


class _VideoFields(RequestShape):
    title: str | None = Field(default=None, max_length=1000)
    description: str | None = Field(default=None, max_length=20_000)
    tags: list[str] | None = Field(default=None, max_length=200)
    created: str | None = Field(default=None, max_length=40, description="RFC 3339 date, or date and time")
    quality: str | None = Field(default=None, max_length=40)
    creator: CreatorInput | None = None
    metadata: dict[str, Any] | None = None
    pix_investment: int | None = Field(default=None, ge=0, le=10**15)

    def given(self) -> dict[str, Any]:
        """The changes by their Python names; an explicit null of `created`, `quality`, `creator` clears it."""
        clears = ("created", "quality", "creator")
        values = self.model_dump(exclude_unset=True)
        return {name: value for name, value in values.items() if value is not None or name in clears}


class VideoChanges(_VideoFields):
    """What of a video can be changed; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Product Demo 2024", "tags": ["demo"]}]})

    @model_validator(mode="after")
    def _storable(self) -> VideoChanges:
        wrong = [
            InitErrorDetails(type=PydanticCustomError("not_storable", "{why}", {"why": why}), loc=path, input=None)
            for path, why in flaws(self.given())
        ]
        if wrong:
            raise ValidationError.from_exception_data(type(self).__name__, wrong)
        return self


class ChaptersRequest(RequestShape):
    """How to cut. `autoDetect` is the one way there is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"autoDetect": True, "minChapterLength": 30}]})

    auto_detect: Literal[True] = True
    min_chapter_length: float | None = Field(default=None, gt=0, le=86_400, description="seconds")
    most: int = Field(default=30, ge=1, le=500)


class ChapterShape(ResponseShape):
    """A part of a video about one thing, in seconds."""

    start: float
    end: float
    title: str
    words: list[str]
    concepts: list[str]


class ChapterList(ResponseShape):
    """Chapters in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                    "chapters": [
                        {
                            "start": 0.0,
                            "end": 95.2,
                            "title": "Solar panels",
                            "words": ["panels"],
                            "concepts": ["tile roof"],
                        }
                    ],
                }
            ]
        }
    )

    video_id: str
    chapters: list[ChapterShape]


class SegmentsShape(ResponseShape):
    """How many segments are known, and how many of them are searchable."""

    count: int
    analyzed: int


class FailureShape(ResponseShape):
    """Why processing failed."""

    code: str
    detail: str


class VideoShape(ResponseShape):
    """A video and how far its processing is. `segments` is null in lists where it would have to be counted."""

    model_config = ConfigDict(json_schema_extra={"examples": [VIDEO_EXAMPLE]})

    video_id: str
    status: Status
    progress: float = Field(ge=0, le=1)
    failure: FailureShape | None
    title: str
    description: str
    tags: list[str]
    duration: float | None
    created: str | None
    quality: str | None
    resolutions: list[str]
    creator: CreatorShape | None
    metadata: dict[str, Any]
    pix_investment: int
    segments: SegmentsShape | None
    thumbnail_url: str | None
    added: str | None
    warnings: list[str]


class ListPagination(ResponseShape):
    """Where the next page begins."""

    next_cursor: str | None
    has_more: bool


class VideoList(ResponseShape):
    """A page of videos, ordered by id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"videos": [VIDEO_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}}]
        }
    )

    videos: list[VideoShape]
    pagination: ListPagination


class BatchChange(_VideoFields):
    """Changes of one video."""

    # What can't be stored is that update's own outcome (`Videos.update_many`) and does not refuse the batch.
    video_id: str = Field(max_length=200)


class BatchRequest(RequestShape):
    """Up to a hundred updates."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"updates": [{"videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei", "tags": ["demo", "roof"]}]}]
        }
    )
    updates: list[BatchChange] = Field(min_length=1, max_length=100)

    def changes(self) -> list[tuple[str, dict[str, Any]]]:
        """Each video's id and what is to change."""
        given = [one.given() for one in self.updates]
        return [(changes.pop("video_id"), changes) for changes in given]


class BatchOutcome(ResponseShape):
    """What became of one update."""

    video_id: str
    status: Literal["updated", "failed"]
    error: ProblemField | None


class BatchResponse(ResponseShape):
    """Each update's own outcome, in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"outcomes": [{"videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei", "status": "updated", "error": None}]}
            ]
        }
    )
    outcomes: list[BatchOutcome]
