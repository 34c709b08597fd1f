"""`/v1/videos/upload`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from pixr.server.schemas.shape import RequestShape, ResponseShape, Stored
from pixr.server.schemas.videos import VideoChanges

__all__ = ["UploadRequest", "UploadShape", "UrlRequest"]


class VideoMetadata(VideoChanges):
    """What is known of a video before it is processed."""

    model_config = ConfigDict(json_schema_extra={})

    def recorded(self) -> dict[str, Any]:
        """The values by the names of a record."""
        values = {name: value for name, value in self.given().items() if value is not None}
        if "metadata" in values:
            values["details"] = values.pop("metadata")
        return values


class UploadRequest(RequestShape):
    """A file to come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "filename": "product-demo.mp4",
                    "size": 1073741824,
                    "contentType": "video/mp4",
                    "metadata": {"title": "Product Demo 2024", "tags": ["demo"], "pixInvestment": 1000000},
                }
            ]
        }
    )

    filename: str = Field(min_length=1, max_length=1000)
    size: int = Field(ge=1, le=1 << 50)
    content_type: Stored | None = Field(default=None, max_length=200)
    metadata: VideoMetadata = Field(default_factory=VideoMetadata)


class UploadShape(ResponseShape):
    """Where to send the file, by tus 1.0.0. The URL needs no further credentials; keep it to yourself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "uploadId": "upl_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                    "videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                    "uploadUrl": "https://api.example.com/v1/videos/upload/tus/upl_7q3k5w4mzy2a6bnd4vhtj3c2ei?token=eyJ",
                    "expires": "2026-11-25T08:00:00.000Z",
                    "chunkSize": 5242880,
                    "headers": {"Tus-Resumable": "1.0.0"},
                }
            ]
        }
    )

    upload_id: str
    video_id: str
    upload_url: str
    expires: datetime
    chunk_size: int
    headers: dict[str, str]


class UrlRequest(RequestShape):
    """A video to fetch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"url": "https://media.example.com/roof.mp4", "metadata": {"title": "Solar install"}}]
        }
    )

    url: str = Field(max_length=2048, pattern=r"^https?://[^\x00]*$")
    metadata: VideoMetadata = Field(default_factory=VideoMetadata)
