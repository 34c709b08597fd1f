"""`/v1/usage`, `/v1/analytics/usage`."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import ConfigDict

from pixr.server.schemas.shape import ResponseShape

__all__ = ["UsageByDay", "UsageShape"]


class DayShape(ResponseShape):
    """A day, UTC."""

    day: date
    calls: int


class UsageShape(ResponseShape):
    """The month's calls. `limit` is the plan's, and what is left of the free ones at first; null without a bound."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "plan": "startup",
                    "month": "2026-11",
                    "calls": 81000,
                    "limit": 100000,
                    "remaining": 19000,
                    "resets": "2026-12-01T00:00:00.000Z",
                    "days": [{"day": "2026-11-23", "calls": 3000}, {"day": "2026-11-24", "calls": 2100}],
                }
            ]
        }
    )

    plan: str
    month: str
    calls: int
    limit: int | None
    remaining: int | None
    resets: datetime
    days: list[DayShape]


class UsageByDay(ResponseShape):
    """Calls of the last days; days without any are left out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"days": 30, "calls": 2100, "byDay": [{"day": "2026-11-24", "calls": 2100}]}]}
    )

    days: int
    calls: int
    by_day: list[DayShape]
