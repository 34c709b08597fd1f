"""`/v1/videos`: list, create from a URL, get, update, cancel, delete."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from pixr.server.answer import json_answer
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

UNDER_WAY = ("uploading", "queued", "processing")
VideoId = Annotated[str, Path(alias="videoId", max_length=200, examples=["vid_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]


@router.get("", operation_id="listVideos", response_model=VideoList)
def list_videos(
    caller: VideoReader,
    server: Server,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    status: Status | None = None,
) -> Response:
    """List videos in order of id, page by page."""
    name = f"videos:{caller.organization}:{status}"
    after = server.signer.position(cursor, of=name) if cursor else ""
    videos, more = server.videos.page(caller.organization, after=after, limit=limit, status=status)
    following = server.signer.cursor(videos[-1]["videoId"], of=name) if more and videos else None
    return json_answer({"videos": videos, "pagination": {"nextCursor": following, "hasMore": following is not None}})


@router.post("/batch", operation_id="updateVideos", response_model=BatchResponse)
def update_videos(batch: BatchRequest, caller: VideoWriter, server: Server) -> Response:
    """Update up to a hundred videos, each with its own outcome."""
    updates = []
    for one in batch.updates:
        changes = one.given()
        updates.append((changes.pop("video_id"), changes))
    outcomes = server.videos.update_many(caller.organization, updates)
    body: list[dict[str, Any]] = [
        {
            "videoId": id,
            "status": "failed" if failed else "updated",
            "error": {"code": failed.code, "detail": failed.detail} if failed else None,
        }
        for (id, _), failed in zip(updates, outcomes, strict=True)
    ]
    return json_answer({"outcomes": body})


@router.post("", operation_id="createVideo", status_code=202, response_model=VideoShape)
def create_video(asked: UrlRequest, caller: VideoWriter, server: Server) -> Response:
    """Fetch a video from a URL, in the background. Private addresses are refused, on redirects too."""
    resolve(asked.url, server.settings.allowed_networks)
    id = server.videos.add_url(caller.organization, asked.url, asked.metadata.recorded())
    return json_answer(server.videos.get(caller.organization, id), 202, {"Location": f"/v1/videos/{id}"})


@router.get("/{videoId}", operation_id="getVideo", response_model=VideoShape)
async def get_video(
    video_id: VideoId,
    caller: VideoReader,
    server: Server,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds to wait for a change of status or progress")] = 0,
) -> Response:
    """Get a video and how far its processing is. With `wait`, answers as soon as that has changed."""
    deadline = time.monotonic() + wait
    first = shown = await to_thread.run_sync(server.videos.get, caller.organization, video_id)
    while time.monotonic() < deadline and first["status"] in UNDER_WAY and not server.stopping:
        await asyncio.sleep(min(0.25, max(0.0, deadline - time.monotonic())))
        shown = await to_thread.run_sync(server.videos.get, caller.organization, video_id)
        if (shown["status"], shown["progress"]) != (first["status"], first["progress"]):
            break
    return json_answer(shown)


@router.post("/{videoId}/cancel", operation_id="cancelVideo", response_model=VideoShape)
def cancel_video(video_id: VideoId, caller: VideoWriter, server: Server) -> Response:
    """Stop the processing of a video; it is then `failed` with the code CANCELLED."""
    server.videos.cancel(caller.organization, video_id)
    return json_answer(server.videos.get(caller.organization, video_id))


@router.patch("/{videoId}", operation_id="updateVideo", response_model=VideoShape)
def update_video(video_id: VideoId, changes: VideoChanges, caller: VideoWriter, server: Server) -> Response:
    """Change a video's metadata."""
    return json_answer(server.videos.update(caller.organization, video_id, changes.given()))


@router.post("/{videoId}/chapters", operation_id="createChapters", response_model=ChapterList)
def create_chapters(video_id: VideoId, asked: ChaptersRequest, caller: VideoReader, server: Server) -> Response:
    """Cut a video into chapters, with titles, by what is seen and said. The same video gives the same chapters."""
    server.videos.get(caller.organization, video_id)
    with server.libraries.reading(caller.organization) as library:
        found = library.chapters(video_id, least_seconds=asked.min_chapter_length, most=asked.most)
    return json_answer({"videoId": video_id, "chapters": [asdict(one) for one in found]})


@router.delete("/{videoId}", operation_id="deleteVideo", status_code=204, response_class=Response)
def delete_video(video_id: VideoId, caller: VideoWriter, server: Server) -> Response:
    """Delete a video. It is gone from results when this answers."""
    server.videos.delete(caller.organization, video_id)
    return Response(status_code=204)
