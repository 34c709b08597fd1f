"""What an organization can learn about its videos and searches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.searchability import searchability

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["appearances", "search_analytics", "usage_by_day", "video_analytics"]


def video_analytics(server: ServerState, organization: str, video: str, days: int) -> dict[str, Any]:
    """How findable a video is, how often it appeared in results, and how often it was clicked.

    Raises:
        ApiError: VIDEO_NOT_FOUND; CONFLICT while it is not processed.
    """
    if server.videos.get(organization, video)["status"] != "completed":
        raise ApiError("CONFLICT", "The video is not processed yet.")
    with server.libraries.reading(organization) as library:
        findable = searchability(library.video(video), library.segments(video))
    found = server.search_log.of_video(organization, video, now() - timedelta(days=days))
    return {"videoId": video, "days": days} | findable | found


def search_analytics(server: ServerState, organization: str, days: int) -> dict[str, Any]:
    """How many searches there were, for what most often, and for what without results."""
    return {"days": days} | server.search_log.of_organization(organization, now() - timedelta(days=days))


def appearances(server: ServerState, organization: str, days: int, limit: int) -> dict[str, Any]:
    """How often results were shown and clicked, overall and for the `limit` videos that appeared most often."""
    return {"days": days} | server.search_log.by_video(organization, now() - timedelta(days=days), limit)


def usage_by_day(server: ServerState, organization: str, days: int) -> dict[str, Any]:
    """Calls of the last `days` days, including today."""
    found = server.usage.by_day(organization, now().date() - timedelta(days=days - 1))
    return {"days": days, "calls": sum(one["calls"] for one in found), "byDay": found}
