"""Analytics: per video, per organization, and the clicks that they count."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from pixr.server.analytics import appearances, search_analytics, usage_by_day, video_analytics
from pixr.server.answer import json_answer
from pixr.server.principal import AnalyticsReader, Searcher
from pixr.server.routes.videos import VideoId
from pixr.server.schemas.analytics import Appearances, ClickRequest, SearchAnalytics, VideoAnalytics
from pixr.server.schemas.shape import Stored
from pixr.server.schemas.usage import UsageByDay, UsageShape
from pixr.server.state import Server

router = APIRouter(tags=["analytics"])

Days = Annotated[int, Query(ge=1, le=365, description="how far back")]
SearchId = Annotated[Stored, Path(alias="searchId", max_length=100, examples=["srch_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]


@router.get("/v1/videos/{videoId}/analytics", operation_id="getVideoAnalytics", response_model=VideoAnalytics)
async def of_video(video_id: VideoId, caller: AnalyticsReader, server: Server, days: Days = 30) -> Response:
    """Tell how findable a video is, how often it appeared in results, and how often it was chosen."""
    whose = caller.organization
    return json_answer(await server.searches.run(whose, lambda: video_analytics(server, whose, video_id, days)))


@router.get("/v1/analytics/searches", operation_id="getSearchAnalytics", response_model=SearchAnalytics)
def of_searches(caller: AnalyticsReader, server: Server, days: Days = 30) -> Response:
    """Tell how much was searched, what most, and what in vain."""
    return json_answer(search_analytics(server, caller.organization, days))


@router.get("/v1/analytics/appearances", operation_id="getAppearances", response_model=Appearances)
def of_appearances(
    caller: AnalyticsReader, server: Server, days: Days = 30, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> Response:
    """Tell how often results were shown and chosen, in all and of the videos that appeared most."""
    return json_answer(appearances(server, caller.organization, days, limit))


@router.get("/v1/analytics/usage", operation_id="getUsageByDay", response_model=UsageByDay)
def of_usage(caller: AnalyticsReader, server: Server, days: Days = 30) -> Response:
    """Tell how many calls each day had; a second late at most."""
    return json_answer(usage_by_day(server, caller.organization, days))


@router.get("/v1/usage", operation_id="getUsage", response_model=UsageShape)
def usage(caller: AnalyticsReader, server: Server) -> Response:
    """Tell this month's calls and what the plan has; a second late at most."""
    return json_answer(server.usage.month(caller))


@router.post("/v1/search/{searchId}/clicks", operation_id="clickResult", status_code=204, response_class=Response)
async def click(search_id: SearchId, asked: ClickRequest, caller: Searcher, server: Server) -> Response:
    """Say that a result was chosen."""
    await server.search_log.click(caller.organization, search_id, asked.video_id)
    return Response(status_code=204)
