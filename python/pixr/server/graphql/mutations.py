"""What can be done."""

from __future__ import annotations

from typing import Any, cast

import strawberry

from pixr.server.graphql.guard import Call, Info
from pixr.server.graphql.inputs import (
    UploadInput,
    VideoChangesInput,
    VideoUpdateInput,
    WebhookChangesInput,
    WebhookInput,
    given,
)
from pixr.server.graphql.types import BatchOutcome, Upload, Video, WebhookDelivery, WebhookEndpoint
from pixr.server.outbound import resolve
from pixr.server.routes.uploads import begin_upload
from pixr.server.routes.webhooks import shown_delivery
from pixr.server.schemas.analytics import ClickRequest
from pixr.server.schemas.uploads import UploadRequest, UrlRequest
from pixr.server.schemas.videos import BatchRequest, VideoChanges
from pixr.server.schemas.webhooks import EndpointChanges, EndpointRequest, TestRequest
from pixr.server.webhooks.endpoints import create_endpoint, own_endpoint, send_test, shown_endpoint, update_endpoint

__all__ = ["Mutation"]


@strawberry.type
class Mutation:
    @strawberry.mutation(extensions=[Call("videos.write")], description="Begin an upload; the file goes by tus.")
    async def begin_upload(self, info: Info, input: UploadInput) -> Upload:
        context = info.context
        asked = context.valid(UploadRequest, given(input, nulls=False))
        return cast("Upload", await context.run(lambda: begin_upload(context.server, context.organization, asked)))

    @strawberry.mutation(extensions=[Call("videos.write")], description="Fetch a video from a URL, in the background.")
    async def create_video(self, info: Info, url: str, metadata: VideoChangesInput | None = None) -> Video:
        context = info.context
        asked = context.valid(UrlRequest, {"url": url, "metadata": given(metadata, nulls=False) or {}})

        allowed = context.server.settings.allowed_networks
        await context.server.links.run(context.organization, lambda: resolve(asked.url, allowed))

        def work() -> dict[str, Any]:
            videos = context.server.videos
            id = videos.add_url(context.organization, asked.url, asked.metadata.recorded())
            return videos.get(context.organization, id)

        return cast("Video", await context.run(work))

    @strawberry.mutation(extensions=[Call("videos.write")], description="Change a video's metadata.")
    async def update_video(self, info: Info, video_id: str, changes: VideoChangesInput) -> Video:
        context = info.context
        asked = context.valid(VideoChanges, given(changes))
        work = context.server.videos.update
        return cast("Video", await context.run(lambda: work(context.organization, video_id, asked.given())))

    @strawberry.mutation(extensions=[Call("videos.write")], description="Change up to a hundred, each by itself.")
    async def update_videos(self, info: Info, updates: list[VideoUpdateInput]) -> list[BatchOutcome]:
        context = info.context
        asked = context.valid(BatchRequest, {"updates": given(updates)})
        work = context.server.videos.outcomes
        return cast("list[BatchOutcome]", await context.run(lambda: work(context.organization, asked.changes())))

    @strawberry.mutation(extensions=[Call("videos.write")], description="Stop the processing of a video.")
    async def cancel_video(self, info: Info, video_id: str) -> Video:
        context = info.context

        def work() -> dict[str, Any]:
            context.server.videos.cancel(context.organization, video_id)
            return context.server.videos.get(context.organization, video_id)

        return cast("Video", await context.run(work))

    @strawberry.mutation(extensions=[Call("videos.write")], description="Delete a video; the id of what is gone.")
    async def delete_video(self, info: Info, video_id: str) -> str:
        context = info.context
        await context.run(lambda: context.server.videos.delete(context.organization, video_id))
        return video_id

    @strawberry.mutation(extensions=[Call("search")], description="Say that a result was chosen.")
    async def click_result(self, info: Info, search_id: str, video_id: str) -> bool:
        context = info.context
        asked = context.valid(ClickRequest, {"videoId": video_id})
        await context.server.search_log.click(context.organization, search_id, asked.video_id)
        return True

    @strawberry.mutation(
        extensions=[Call("webhooks")], description="Send events to a URL; its secret is shown this once."
    )
    async def create_webhook_endpoint(self, info: Info, input: WebhookInput) -> WebhookEndpoint:
        context = info.context
        asked = context.valid(EndpointRequest, given(input, nulls=False))

        def work() -> dict[str, Any]:
            with context.server.database.write() as session:
                made = create_endpoint(
                    session,
                    context.organization,
                    context.server.sender,
                    url=asked.url,
                    event_types=asked.event_types,
                    description=asked.description,
                    max_concurrency=asked.max_concurrency,
                )
                return shown_endpoint(made) | {"secret": made.secret}

        return cast("WebhookEndpoint", await context.run(work))

    @strawberry.mutation(extensions=[Call("webhooks")], description="Change an endpoint, or enable it again.")
    async def update_webhook_endpoint(
        self, info: Info, endpoint_id: str, changes: WebhookChangesInput
    ) -> WebhookEndpoint:
        context = info.context
        asked = context.valid(EndpointChanges, given(changes, nulls=False)).model_dump(exclude_unset=True)

        def work() -> dict[str, Any]:
            with context.server.database.write() as session:
                sender = context.server.sender
                return shown_endpoint(update_endpoint(session, context.organization, sender, endpoint_id, asked))

        shown = await context.run(work)
        context.server.courier.wake()
        return cast("WebhookEndpoint", shown)

    @strawberry.mutation(extensions=[Call("webhooks")], description="Delete an endpoint with its deliveries.")
    async def delete_webhook_endpoint(self, info: Info, endpoint_id: str) -> str:
        context = info.context

        def work() -> str:
            with context.server.database.write() as session:
                session.delete(own_endpoint(session, context.organization, endpoint_id))
            return endpoint_id

        return await context.run(work)

    @strawberry.mutation(extensions=[Call("webhooks")], description="Send an example of an event to one endpoint.")
    async def send_test_webhook(self, info: Info, endpoint_id: str, type: str = "video.processed") -> WebhookDelivery:
        context = info.context
        asked = context.valid(TestRequest, {"type": type})

        def work() -> dict[str, Any]:
            with context.server.database.write() as session:
                delivery = send_test(session, context.organization, endpoint_id, asked.type)
                session.flush()
                session.refresh(delivery)
                return shown_delivery(delivery)

        shown = await context.run(work)
        context.server.courier.wake()
        return cast("WebhookDelivery", shown)
