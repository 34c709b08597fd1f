"""Analytics of videos and searches."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from pixr.server.schemas.shape import RequestShape, ResponseShape, Stored

__all__ = ["Appearances", "ClickRequest", "SearchAnalytics", "VideoAnalytics"]


class ClickRequest(RequestShape):
    """Which result was chosen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei"}]})

    video_id: Stored = Field(max_length=200)


class VideoAnalytics(ResponseShape):
    """How findable a video is, and how it was found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                    "days": 30,
                    "searchabilityScore": 82.5,
                    "parts": {
                        "frame": 1.0,
                        "speech": 1.0,
                        "screen": 0.4,
                        "title": 1.0,
                        "description": 0.35,
                        "tags": 1.0,
                    },
                    "appearances": 120,
                    "clicks": 18,
                    "clickThroughRate": 0.15,
                    "averagePosition": 2.4,
                    "topQueries": [{"query": "solar panels", "appearances": 40, "clicks": 9}],
                }
            ]
        }
    )

    video_id: str
    days: int
    searchability_score: float
    parts: dict[str, float]
    appearances: int
    clicks: int
    click_through_rate: float
    average_position: float | None = Field(
        description="among all results of a search, on whichever page, counted from 1"
    )
    top_queries: list[dict[str, Any]]


class SearchAnalytics(ResponseShape):
    """How much was searched, what most, and what in vain."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "days": 30,
                    "searches": 1200,
                    "searchesWithoutResults": 31,
                    "searchesWithClicks": 410,
                    "clickThroughRate": 0.34,
                    "averageMilliseconds": 5.2,
                    "topQueries": [{"query": "solar panels", "count": 96}],
                    "queriesWithoutResults": [{"query": "zeppelin", "count": 4}],
                }
            ]
        }
    )

    days: int
    searches: int = Field(description="pages of results that were asked for: the next one is another")
    searches_without_results: int
    searches_with_clicks: int
    click_through_rate: float
    average_milliseconds: float | None
    top_queries: list[dict[str, Any]]
    queries_without_results: list[dict[str, Any]]


class VideoAppearances(ResponseShape):
    """How often a video was shown and chosen."""

    video_id: str
    appearances: int
    clicks: int
    click_through_rate: float
    average_position: float = Field(description="among all results of a search, on whichever page, counted from 1")


class Appearances(ResponseShape):
    """How often results were shown and chosen, in all and of the videos that appeared most."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "days": 30,
                    "appearances": 9200,
                    "clicks": 510,
                    "clickThroughRate": 0.055,
                    "videos": [
                        {
                            "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                            "appearances": 120,
                            "clicks": 18,
                            "clickThroughRate": 0.15,
                            "averagePosition": 2.4,
                        }
                    ],
                }
            ]
        }
    )

    days: int
    appearances: int
    clicks: int
    click_through_rate: float
    videos: list[VideoAppearances]
