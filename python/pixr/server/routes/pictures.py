"""Thumbnails and preview sprites. Their URLs are signed, so that an `<img>` needs no key, and never change."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from pixr.server.answer import is_known, tag_of
from pixr.server.errors import ApiError
from pixr.server.pictures import SPRITE_COLUMNS, SPRITE_COUNT, SPRITE_HEIGHT, SPRITE_WIDTH, WIDTHS, Picture
from pixr.server.principal import requires
from pixr.server.routes.videos import VideoId
from pixr.server.signed_urls import open_url
from pixr.server.state import Server, ServerState
from pixr.server.videos import picture_token

router = APIRouter(prefix="/v1/videos", tags=["pictures"])

CACHE = "private, max-age=86400"
Token = Annotated[str | None, Query(max_length=1000, description="of the URL, in place of credentials")]
_WIDTHS = f"of the longer side, rounded up to one of {', '.join(map(str, WIDTHS))}"
_reads = requires("videos.read")
BY_TOKEN: dict[str, Any] = {"x-pixr-scope": "videos.read"}
WEBP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}, "example": "RIFF…WEBP"}}},
    304: {"description": "What you have is what it is"},
}


@router.get(
    "/{videoId}/thumbnail",
    operation_id="getThumbnail",
    response_class=Response,
    responses=WEBP,
    openapi_extra=BY_TOKEN,
)
async def thumbnail(
    request: Request,
    video_id: VideoId,
    server: Server,
    t: Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False, description="seconds; past the end: the end")] = 0.0,
    width: Annotated[int, Query(ge=16, le=1920, description=_WIDTHS)] = 320,
    token: Token = None,
) -> Response:
    """Get the frame at an instant, as WebP."""
    organization = await _owner(request, server, video_id, token)

    def take() -> Picture:
        find = partial(server.videos.source, organization, video_id)
        source, duration = find()
        kept = server.videos.pictures_of(organization, video_id)
        return server.pictures.at(source, kept, min(t, duration), width, find)

    return _tagged(request, (await server.pictures_pool.run(organization, take)).content, "image/webp")


@router.get(
    "/{videoId}/sprite", operation_id="getSprite", response_class=Response, responses=WEBP, openapi_extra=BY_TOKEN
)
async def sprite(request: Request, video_id: VideoId, server: Server, token: Token = None) -> Response:
    """Get 25 frames of the video in one picture, five a row, each 160 × 90."""
    organization = await _owner(request, server, video_id, token)

    def take() -> Picture:
        find = partial(server.videos.source, organization, video_id)
        source, duration = find()
        return server.pictures.sprite(source, server.videos.pictures_of(organization, video_id), duration, find)

    return _tagged(request, (await server.pictures_pool.run(organization, take)).content, "image/webp")


@router.get(
    "/{videoId}/sprite.vtt",
    operation_id="getSpriteTimes",
    response_class=Response,
    responses={200: {"content": {"text/vtt": {"schema": {"type": "string"}, "example": "WEBVTT\n"}}}, 304: WEBP[304]},
    openapi_extra=BY_TOKEN,
)
async def sprite_times(request: Request, video_id: VideoId, server: Server, token: Token = None) -> Response:
    """Say which field of the sprite shows which seconds (WebVTT), as players read it."""
    organization = await _owner(request, server, video_id, token)
    _, duration = await server.pictures_pool.run(organization, lambda: server.videos.source(organization, video_id))
    signed = picture_token(server.signer, organization, video_id)
    lines = ["WEBVTT", ""]
    for number in range(SPRITE_COUNT):
        begin, end = (duration * (number + step) / SPRITE_COUNT for step in (0, 1))
        left, top = number % SPRITE_COLUMNS * SPRITE_WIDTH, number // SPRITE_COLUMNS * SPRITE_HEIGHT
        field = f"sprite?token={signed}#xywh={left},{top},{SPRITE_WIDTH},{SPRITE_HEIGHT}"
        lines += [f"{_clock(begin)} --> {_clock(end)}", field, ""]
    return _tagged(request, "\n".join(lines).encode(), "text/vtt")


async def _owner(request: Request, server: ServerState, video: str, token: str | None) -> str:
    if token is None:
        return (await _reads(request)).organization
    organization, signed = await open_url(server, token, purpose="picture", timed=False)
    if signed != video:
        raise ApiError("INVALID_TOKEN", "The token is of another video.")
    return organization


def _tagged(request: Request, content: bytes, media_type: str) -> Response:
    tag = tag_of(content)
    headers = {"ETag": tag, "Cache-Control": CACHE, "X-Content-Type-Options": "nosniff"}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes // 60):02}:{int(minutes % 60):02}:{rest:06.3f}"
