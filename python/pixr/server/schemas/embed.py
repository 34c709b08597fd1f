"""`/v1/videos/{videoId}/embed`, `/v1/branding`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from pixr.server.schemas.shape import RequestShape, ResponseShape

__all__ = ["Branding", "EmbedShape"]

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{3,8}$")]
Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.*-]+(:\d+)?$", max_length=300)]


class Colours(RequestShape):
    """Of the player's page."""

    background: Colour | None = None
    accent: Colour | None = None


class Texts(RequestShape):
    """What the player's page says."""

    title: str | None = Field(default=None, max_length=300, description="in place of the video's title")


class Branding(RequestShape):
    """How an organization's players look, and who may show them; without `allowedOrigins`, anybody."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "colors": {"background": "#101820", "accent": "#ffb000"},
                    "logoUrl": "https://example.com/logo.svg",
                    "allowedOrigins": ["https://example.com"],
                }
            ]
        }
    )

    colors: Colours = Field(default_factory=Colours)
    # Without quotes in the pattern itself: the client that openapi-generator writes for Python would not compile.
    logo_url: str | None = Field(default=None, max_length=2048, pattern=r"^https://[!#-&(-;=?-~]+$")
    texts: Texts = Field(default_factory=Texts)
    allowed_origins: list[Origin] = Field(default=[], max_length=100)


class EmbedShape(ResponseShape):
    """What to put into a page. The token in it expires; ask again for pages that live longer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://api.example.com/embed/eyJ…",
                    "iframe": '<iframe src="https://api.example.com/embed/eyJ…"></iframe>',
                    "script": "<script>…</script>",
                    "expires": "2026-11-25T08:00:00.000Z",
                }
            ]
        }
    )

    url: str
    iframe: str
    script: str
    expires: datetime
