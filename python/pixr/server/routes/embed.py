"""`GET /v1/videos/{videoId}/embed`, how it looks, and the player page and media that its token opens."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, MalformedRangeHeader, RangeNotSatisfiable, Response

from pixr.server.answer import is_known, json_answer, tag_of
from pixr.server.database import now
from pixr.server.embedding import EMBED_SECONDS, embed_code, player_headers, player_page, refusal_page
from pixr.server.errors import ApiError
from pixr.server.instants import instant_in_url, rfc3339
from pixr.server.models import Organization
from pixr.server.principal import Admin, VideoReader
from pixr.server.routes.videos import VideoId
from pixr.server.schemas.embed import Branding, EmbedShape
from pixr.server.signed_urls import open_url
from pixr.server.state import Server, ServerState
from pixr.server.videos import picture_token

router = APIRouter(tags=["embed"])

Seconds = Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False, description="where to begin")]
EmbedToken = Annotated[str, Path(max_length=1000, examples=["eyJ"])]


async def _opened(token: EmbedToken, server: Server) -> tuple[str, str]:
    """The organization and the video that the token is for."""
    return await open_url(server, token, purpose="embed", max_age=EMBED_SECONDS)


Opened = Annotated[tuple[str, str], Depends(_opened)]
PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}}},
    304: {"description": "What you have is what it is"},
}
MEDIA: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}, "example": "…"}}},
    206: {"description": "The range that was asked for"},
    304: {"description": "What you have is what it is"},
}


class _Media(FileResponse):
    """A file whose ranges are refused as everything is; those that mean nothing are ignored (RFC 9110, 14.2)."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []  # the whole file
        except RangeNotSatisfiable:
            raise ApiError(
                "RANGE_NOT_SATISFIABLE",
                f"The file has {file_size} bytes.",
                headers={"Content-Range": f"bytes */{file_size}"},
            ) from None


@router.get("/v1/videos/{videoId}/embed", operation_id="getEmbed", response_model=EmbedShape)
async def embed(
    video_id: VideoId,
    caller: VideoReader,
    server: Server,
    t: Seconds = 0.0,
    width: Annotated[int, Query(ge=100, le=7680)] = 640,
    height: Annotated[int, Query(ge=100, le=4320)] = 360,
) -> Response:
    """Get code that shows a player for the video, beginning at a moment."""
    shown = await server.videos_pool.run(caller.organization, lambda: _playable(server, caller.organization, video_id))
    token = server.signer.token([caller.organization, video_id], purpose="embed")
    url = f"{server.settings.base_url}/embed/{token}" + (f"?t={instant_in_url(t)}" if t else "")
    expires = rfc3339(now() + timedelta(seconds=EMBED_SECONDS))
    answer = json_answer({"url": url, "expires": expires} | embed_code(url, shown["title"], width, height))
    answer.headers.update({"ETag": tag_of(bytes(answer.body)), "Cache-Control": "private, max-age=3600"})
    return answer


@router.get("/v1/branding", operation_id="getBranding", response_model=Branding)
def get_branding(caller: VideoReader, server: Server) -> Response:
    """Get how the organization's players look."""
    with server.database.read() as session:
        return json_answer(session.get_one(Organization, caller.organization).branding)


@router.put("/v1/branding", operation_id="setBranding", response_model=Branding)
def set_branding(asked: Branding, caller: Admin, server: Server) -> Response:
    """Say how the organization's players look; what is left out is as if it had never been set."""
    given = asked.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    with server.database.write() as session:
        session.get_one(Organization, caller.organization).branding = given
    return json_answer(given)


@router.get("/embed/{token}", operation_id="getPlayer", response_class=HTMLResponse, responses=PAGE)
async def player(token: EmbedToken, server: Server, request: Request, t: Seconds = 0.0) -> Response:
    """Show the player. A browser is told in a page why it can't be."""
    try:
        return await _player(token, server, request, t)
    except ApiError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        headers = error.headers | player_headers({}) | {"Cache-Control": "no-store"}
        return HTMLResponse(refusal_page(error.detail), error.status, headers)


async def _player(token: str, server: ServerState, request: Request, t: float) -> Response:
    organization, video = await _opened(token, server)

    def look() -> tuple[dict[str, Any], dict[str, Any]]:
        shown = _playable(server, organization, video)
        with server.database.read() as session:
            return shown, session.get_one(Organization, organization).branding

    shown, branding = await server.videos_pool.run(organization, look)
    signed = picture_token(server.signer, organization, video)
    pictures = f"{server.settings.base_url}/v1/videos/{quote(video, safe='')}"
    poster = f"{pictures}/thumbnail?t={instant_in_url(t)}&width=1280&token={signed}"
    page = player_page(shown["title"], f"{token}/media", poster, t, branding)
    tag = tag_of(page.encode())
    headers = player_headers(branding) | {"ETag": tag}
    return Response(status_code=304, headers=headers) if is_known(request, tag) else HTMLResponse(page, headers=headers)


@router.get("/embed/{token}/media", operation_id="getMedia", response_class=FileResponse, responses=MEDIA)
async def media(opened: Opened, server: Server, request: Request) -> Response:
    """Play the video's file; ranges are served."""
    organization, video = opened
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}

    def look() -> _Media:
        source, _ = server.videos.source(organization, video)
        return _Media(source, media_type="video/mp4", headers=headers, stat_result=os.stat(source))

    file = await server.videos_pool.run(organization, look)
    if "range" not in request.headers and is_known(request, file.headers["etag"]):
        return Response(status_code=304, headers=headers | {"ETag": file.headers["etag"]})
    return file


def _playable(server: ServerState, organization: str, video: str) -> dict[str, Any]:
    """A video whose file is there."""
    shown = server.videos.get(organization, video)
    server.videos.source(organization, video)
    return shown
