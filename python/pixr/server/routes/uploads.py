"""`/v1/videos/upload`: init, and tus 1.0.0 with creation(-with-upload), expiration, checksum and termination."""

from __future__ import annotations

import base64
from email.utils import format_datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.instants import rfc3339
from pixr.server.models import Upload
from pixr.server.principal import VideoWriter, requires
from pixr.server.schemas.shape import Stored
from pixr.server.schemas.uploads import UploadRequest, UploadShape
from pixr.server.signed_urls import open_url
from pixr.server.state import Server, ServerState
from pixr.server.storable import flaws
from pixr.server.tus import VERSION
from pixr.server.uploads import CHECKSUMS, Checksum, NewUpload
from pixr.server.whole_numbers import whole_number

router = APIRouter(prefix="/v1/videos/upload", tags=["uploads"])

PIECE_TYPE = "application/offset+octet-stream"
CHUNK_BYTES = 5 << 20
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
UploadId = Annotated[Stored, Path(alias="uploadId", max_length=100, examples=["upl_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]
_writes = requires("videos.write")


async def _version(request: Request) -> None:
    """Refuse other versions of tus, as it says."""
    if request.headers.get("tus-resumable", "1.0.0") != "1.0.0":
        raise ApiError("PRECONDITION_FAILED", "Tus-Resumable is 1.0.0.", headers={"Tus-Version": "1.0.0"})


async def _owner(
    request: Request, server: Server, upload_id: UploadId, token: Annotated[str | None, Query(max_length=1000)] = None
) -> str:
    """Whose upload it is: the token of its URL says so, or else credentials do."""
    if token is None:
        return (await _writes(request)).organization
    organization, signed = await open_url(server, token, purpose="upload")
    if signed != upload_id:
        raise ApiError("INVALID_TOKEN", "The token is of another upload.")
    return organization


Owner = Annotated[str, Depends(_owner)]
tus = [Depends(_version)]
LENGTH = {
    "name": "Upload-Length",
    "in": "header",
    "required": True,
    "description": "bytes of the file",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1 << 50, "examples": [1048576]},
}
METADATA = {
    "name": "Upload-Metadata",
    "in": "header",
    "description": "names with base64 values between commas: filename, filetype, title, description",
    "schema": {"type": "string", "examples": ["filename YS5tcDQ="]},
}
OFFSET = {
    "name": "Upload-Offset",
    "in": "header",
    "required": True,
    "description": "where the piece belongs",
    "schema": {"type": "integer", "minimum": 0, "examples": [0]},
}
CHECKSUM = {
    "name": "Upload-Checksum",
    "in": "header",
    "description": "an algorithm and a base64 digest of the piece",
    "schema": {"type": "string", "examples": ["sha1 EpQ8Z3FTAp4kNvCO6XQcgWSvwWY="]},
}
PIECE = {"schema": {"type": "string", "format": "binary"}, "example": "bytes of the file"}
BY_TOKEN: dict[str, Any] = {"x-pixr-scope": "videos.write"}


@router.post("/init", operation_id="beginUpload", status_code=201, response_model=UploadShape)
async def begin(asked: UploadRequest, caller: VideoWriter, server: Server) -> Response:
    """Begin an upload. Send the file to `uploadUrl` with any tus client."""
    whose = caller.organization
    return json_answer(await server.videos_pool.run(whose, lambda: begin_upload(server, whose, asked)), 201)


@router.options("/tus", operation_id="describeUploads", status_code=204, response_class=Response)
async def describe(server: Server) -> Response:
    """Say which parts of tus are spoken."""
    headers = {
        "Tus-Version": "1.0.0",
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(server.settings.max_upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "/tus",
    operation_id="createUpload",
    status_code=201,
    response_class=Response,
    dependencies=tus,
    openapi_extra={"parameters": [LENGTH, METADATA]},
)
async def create(request: Request, caller: VideoWriter, server: Server) -> Response:
    """Begin an upload as tus clients do, with `Upload-Length` and `Upload-Metadata`; a first piece may follow."""
    byte_len = whole_number(request.headers.get("upload-length", ""))
    if not byte_len:
        raise ApiError("INVALID_REQUEST", "Upload-Length is the size of the file; deferred lengths are not taken.")
    given = request.headers.get("upload-metadata", "")
    known = _metadata(given)
    words = {"title": known.get("title", ""), "description": known.get("description", "")}
    for (name, *_), why in flaws(words):
        raise ApiError("INVALID_REQUEST", f"Upload-Metadata: {name}: {why}")
    asked = NewUpload(
        byte_len=byte_len,
        filename=known.get("filename") or known.get("name"),
        content_type=known.get("filetype") or known.get("type"),
        metadata=words,
        tus_metadata=given,
    )
    whose = caller.organization
    upload = await server.videos_pool.run(whose, lambda: server.uploads.begin(whose, asked))
    if request.headers.get("content-type") == PIECE_TYPE and upload.received == 0:  # else it was begun before a crash
        upload = await server.uploads.append(upload, 0, request.stream(), _checksum(request))
    headers = {"Location": _url(server, upload), "X-Video-Id": upload.video_id}
    return Response(status_code=201, headers=headers | _progress(upload))


@router.head(
    "/tus/{uploadId}",
    operation_id="getUploadOffset",
    response_class=Response,
    dependencies=tus,
    openapi_extra=BY_TOKEN,
)
async def offset(upload_id: UploadId, owner: Owner, server: Server) -> Response:
    """Say how much has been received."""
    upload = await to_thread.run_sync(server.uploads.find, owner, upload_id)
    headers = {"Cache-Control": "no-store", "Upload-Length": str(upload.byte_len)}
    if upload.given:
        headers["Upload-Metadata"] = upload.given
    return Response(headers=headers | _progress(upload))


@router.patch(
    "/tus/{uploadId}",
    operation_id="continueUpload",
    status_code=204,
    response_class=Response,
    dependencies=tus,
    openapi_extra=BY_TOKEN
    | {"parameters": [OFFSET, CHECKSUM]}
    | {"requestBody": {"required": True, "content": {PIECE_TYPE: PIECE}}},
)
async def append(request: Request, upload_id: UploadId, owner: Owner, server: Server) -> Response:
    """Continue at `Upload-Offset`. Another offset is 409, a piece that is not what `Upload-Checksum` says is 460."""
    if request.headers.get("content-type") != PIECE_TYPE:
        raise ApiError("UNSUPPORTED_MEDIA", f"A piece has the content type {PIECE_TYPE}.")
    begin_at = whole_number(request.headers.get("upload-offset", ""))
    if begin_at is None:
        raise ApiError("INVALID_REQUEST", "Upload-Offset says where the piece belongs.")
    upload = await to_thread.run_sync(server.uploads.find, owner, upload_id)
    upload = await server.uploads.append(upload, begin_at, request.stream(), _checksum(request))
    return Response(status_code=204, headers=_progress(upload))


@router.delete(
    "/tus/{uploadId}",
    operation_id="endUpload",
    status_code=204,
    response_class=Response,
    dependencies=tus,
    openapi_extra=BY_TOKEN,
)
async def end(upload_id: UploadId, owner: Owner, server: Server) -> Response:
    """Give up an upload that is under way."""
    await server.videos_pool.run(owner, lambda: server.uploads.end(owner, upload_id))
    return Response(status_code=204)


def begin_upload(server: ServerState, organization: str, asked: UploadRequest) -> dict[str, Any]:
    """Begin an upload, and say where the file goes."""
    new = NewUpload(
        byte_len=asked.size,
        filename=asked.filename,
        content_type=asked.content_type,
        metadata=asked.metadata.recorded(),
    )
    upload = server.uploads.begin(organization, new)
    return {
        "uploadId": upload.id,
        "videoId": upload.video_id,
        "uploadUrl": _url(server, upload),
        "expires": rfc3339(upload.expires),
        "chunkSize": CHUNK_BYTES,
        "headers": VERSION,
    }


def _url(server: ServerState, upload: Upload) -> str:
    token = server.signer.token([upload.organization_id, upload.id], purpose="upload")
    return f"{server.settings.base_url}/v1/videos/upload/tus/{upload.id}?token={token}"


def _progress(upload: Upload) -> dict[str, str]:
    headers = {"Upload-Offset": str(upload.received)}
    if upload.completed is None:
        headers["Upload-Expires"] = format_datetime(upload.expires, usegmt=True)
    return headers


def _checksum(request: Request) -> Checksum | None:
    header = request.headers.get("upload-checksum")
    return None if header is None else Checksum.parse(header)


def _metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata`: names, each with a base64 value, between commas."""
    found = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, _, encoded = pair.partition(" ")
        try:
            found[name] = base64.b64decode(encoded, validate=True).decode()
        except ValueError:  # also of letters that are not ASCII
            raise ApiError("INVALID_REQUEST", f"Upload-Metadata: {name} is not base64 of UTF-8.") from None
    return found
