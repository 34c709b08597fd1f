"""`/v1/sandbox`."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict

from pixr.server.schemas.shape import ResponseShape

__all__ = ["SandboxShape"]


class SandboxShape(ResponseShape):
    """What test keys act on, and when it is as new again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "organization": "org_test_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                    "ready": True,
                    "lastReset": "2026-11-24T00:00:03.000Z",
                    "nextReset": "2026-11-25T00:00:00.000Z",
                }
            ]
        }
    )

    organization: str
    ready: bool
    last_reset: datetime | None
    next_reset: datetime
