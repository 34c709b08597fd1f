"""`/v1/videos/{videoId}/embed`."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict

from pixr.server.schemas.shape import ResponseShape

__all__ = ["EmbedShape"]


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
