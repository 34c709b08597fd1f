"""What can be asked."""

from __future__ import annotations

from typing import cast

import strawberry

from pixr.server.analytics import search_analytics
from pixr.server.graphql.guard import Call, Info
from pixr.server.graphql.inputs import SearchInput, given
from pixr.server.graphql.types import (
    Days,
    SearchAnalytics,
    SearchAnswer,
    Video,
    VideoPage,
    VideoStatus,
    WebhookEndpoint,
)
from pixr.server.schemas.search import SearchRequest
from pixr.server.searching import answer_search
from pixr.server.webhooks.endpoints import list_endpoints, shown_endpoint

__all__ = ["Query"]


@strawberry.type
class Query:
    @strawberry.field(extensions=[Call("search")], description="Find moments; each result says why it was found.")
    async def search(self, info: Info, input: SearchInput) -> SearchAnswer:
        context = info.context
        asked = context.valid(SearchRequest, given(input, nulls=False))
        return cast("SearchAnswer", await answer_search(context.server, context.who, asked))

    @strawberry.field(extensions=[Call("videos.read")], description="A video and how far its processing is.")
    async def video(self, info: Info, video_id: str) -> Video:
        context = info.context
        return cast("Video", await context.run(lambda: context.server.videos.get(context.organization, video_id)))

    @strawberry.field(extensions=[Call("videos.read")], description="Videos in order of id, page by page.")
    async def videos(
        self, info: Info, limit: int = 20, cursor: str | None = None, status: VideoStatus | None = None
    ) -> VideoPage:
        context = info.context
        asked = context.checked("listing", limit=limit, cursor=cursor)
        found = await context.run(
            lambda: context.server.videos.listing(
                context.organization,
                cursor=asked.cursor,
                limit=asked.limit,
                status=status.value if status else None,
            )
        )
        return cast("VideoPage", found)

    @strawberry.field(extensions=[Call("analytics")], description="How much was searched, what most, and in vain.")
    async def search_analytics(self, info: Info, days: Days = 30) -> SearchAnalytics:
        context = info.context
        asked = context.checked("days", days=days)
        found = await context.run(lambda: search_analytics(context.server, context.organization, asked.days))
        return cast("SearchAnalytics", found)

    @strawberry.field(extensions=[Call("webhooks")], description="Where events are sent to, without secrets.")
    async def webhook_endpoints(self, info: Info) -> list[WebhookEndpoint]:
        context = info.context

        def work() -> list[WebhookEndpoint]:
            with context.server.database.read() as session:
                shown = [shown_endpoint(one) for one in list_endpoints(session, context.organization)]
            return cast("list[WebhookEndpoint]", shown)

        return await context.run(work)
