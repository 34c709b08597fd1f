"""`/health`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from pixr.server.schemas.shape import ResponseShape

__all__ = ["Health"]


class Health(ResponseShape):
    """Each check with "ok", or the kind of what went wrong."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ok", "checks": {"database": "ok", "library": "ok", "queue": "ok"}}]}
    )

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]
