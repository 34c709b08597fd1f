"""`/v1/videos`: list, create from a URL, get, update, cancel, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.following import video_when_changed
from pixr.server.outbound import resolve
from pixr.server.principal import VideoReader, VideoWriter
from pixr.server.schemas.uploads import UrlRequest
from pixr.server.schemas.videos import (
    BatchRequest,
    BatchResponse,
    ChapterList,
    ChaptersRequest,
    Status,
    VideoChanges,
    VideoList,
    VideoShape,
)
from pixr.server.state import Server

router = APIRouter(prefix="/v1/videos", tags=["videos"])

VideoId = Annotated[str, Path(alias="videoId", max_length=200, examples=["vid_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]


@router.get("", operation_id="listVideos", response_model=VideoList)
async def list_videos(
    caller: VideoReader,
    server: Server,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    status: Status | None = None,
) -> Response:
    """List videos in order of id, page by page."""
    whose = caller.organization
    found = await server.videos_pool.run(
        whose, lambda: server.videos.listing(whose, cursor=cursor, limit=limit, status=status)
    )
    return json_answer(found)


@router.post("/batch", operation_id="updateVideos", response_model=BatchResponse)
async def update_videos(batch: BatchRequest, caller: VideoWriter, server: Server) -> Response:
    """Update up to a hundred videos, each with its own outcome."""
    whose = caller.organization
    outcomes = await server.videos_pool.run(whose, lambda: server.videos.outcomes(whose, batch.changes()))
    return json_answer({"outcomes": outcomes})


@router.post("", operation_id="createVideo", status_code=202, response_model=VideoShape)
async def create_video(asked: UrlRequest, caller: VideoWriter, server: Server) -> Response:
    """Fetch a video from a URL, in the background. Private addresses are refused, on redirects too."""
    allowed = server.settings.allowed_networks
    await server.links.run(caller.organization, lambda: resolve(asked.url, allowed))

    def add() -> Response:
        id = server.videos.add_url(caller.organization, asked.url, asked.metadata.recorded())
        place = f"{server.settings.base_url}/v1/videos/{id}"
        return json_answer(server.videos.get(caller.organization, id), 202, {"Location": place})

    return await server.videos_pool.run(caller.organization, add)


@router.get("/{videoId}", operation_id="getVideo", response_model=VideoShape)
async def get_video(
    video_id: VideoId,
    caller: VideoReader,
    server: Server,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds to wait for a change of status or progress")] = 0,
) -> Response:
    """Get a video and how far its processing is. With `wait`, answers as soon as that has changed."""
    return json_answer(await video_when_changed(server, caller.organization, video_id, wait))


@router.post("/{videoId}/cancel", operation_id="cancelVideo", response_model=VideoShape)
async def cancel_video(video_id: VideoId, caller: VideoWriter, server: Server) -> Response:
    """Stop the processing of a video; it is then `failed` with the code CANCELLED."""

    def cancel() -> Response:
        server.videos.cancel(caller.organization, video_id)
        return json_answer(server.videos.get(caller.organization, video_id))

    return await server.videos_pool.run(caller.organization, cancel)


@router.post("/{videoId}/retry", operation_id="retryVideo", status_code=202, response_model=VideoShape)
async def retry_video(video_id: VideoId, caller: VideoWriter, server: Server) -> Response:
    """Process a video once more that failed; its file is still here, or is fetched again."""

    def retry() -> Response:
        server.videos.retry(caller.organization, video_id)
        return json_answer(server.videos.get(caller.organization, video_id), 202)

    return await server.videos_pool.run(caller.organization, retry)


@router.patch("/{videoId}", operation_id="updateVideo", response_model=VideoShape)
async def update_video(video_id: VideoId, changes: VideoChanges, caller: VideoWriter, server: Server) -> Response:
    """Change a video's metadata."""
    whose = caller.organization
    return json_answer(
        await server.videos_pool.run(whose, lambda: server.videos.update(whose, video_id, changes.given()))
    )


@router.post("/{videoId}/chapters", operation_id="createChapters", response_model=ChapterList)
async def create_chapters(video_id: VideoId, asked: ChaptersRequest, caller: VideoReader, server: Server) -> Response:
    """Cut a video into chapters, with titles, by what is seen and said. The same video gives the same chapters."""
    whose, least_seconds, most = caller.organization, asked.min_chapter_length, asked.most
    found = await server.searches.run(
        whose, lambda: server.videos.chapters(whose, video_id, least_seconds=least_seconds, most=most)
    )
    return json_answer({"videoId": video_id, "chapters": found})


@router.delete("/{videoId}", operation_id="deleteVideo", status_code=204, response_class=Response)
async def delete_video(video_id: VideoId, caller: VideoWriter, server: Server) -> Response:
    """Delete a video. It is gone from results when this answers."""
    whose = caller.organization
    await server.videos_pool.run(whose, lambda: server.videos.delete(whose, video_id))
    return Response(status_code=204)
