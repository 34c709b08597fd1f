"""`/v1/auth/keys`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from pixr.server.database import now
from pixr.server.principal import SCOPES, Scope
from pixr.server.schemas.shape import Instant, RequestShape, ResponseShape, Stored
from pixr.server.schemas.videos import ListPagination

__all__ = ["KeyList", "KeyRequest", "KeyShape", "KeyWithSecret", "RotateRequest"]

KEY_EXAMPLE: dict[str, Any] = {
    "keyId": "pk_live_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "name": "backend",
    "environment": "live",
    "scopes": ["videos.read", "search"],
    "created": "2026-11-24T08:00:00.000Z",
    "expires": None,
    "revoked": None,
    "previousSecretExpires": None,
}


class KeyRequest(RequestShape):
    """A new key."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "backend", "scopes": ["videos.read", "search"]}]}
    )

    name: Stored = Field(min_length=1, max_length=200)
    environment: Literal["live", "test"] | None = Field(
        default=None, description="test keys act on the sandbox; live if not given, and test in a sandbox"
    )
    scopes: list[Scope] = Field(default=list(SCOPES), min_length=1)
    expires: Instant | None = Field(default=None, description="in the future; never if null")

    @field_validator("expires")
    @classmethod
    def _to_come(cls, expires: datetime | None) -> datetime | None:
        if expires is None:
            return None
        if expires <= now():
            raise PydanticCustomError("expired", "a key can't have expired before it is made")
        try:
            return expires.astimezone(timezone.utc)
        except OverflowError:  # the last hours of the year 9999, west of Greenwich
            raise PydanticCustomError("too_late", "a key expires before the year 10000") from None


class RotateRequest(RequestShape):
    """A new secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlapSeconds": 3600}]})

    overlap_seconds: int = Field(default=86_400, ge=0, le=30 * 86_400, description="how long the old one stays valid")


class KeyShape(ResponseShape):
    """A key without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [KEY_EXAMPLE]})

    key_id: str
    name: str
    environment: Literal["live", "test"]
    scopes: list[Scope]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    previous_secret_expires: datetime | None


class KeyWithSecret(KeyShape):
    """A key with its secret, this once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [KEY_EXAMPLE | {"secret": "sk_live_" + "shown-this-once"}]}
    )

    secret: str


class KeyList(ResponseShape):
    """Keys, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"keys": [KEY_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}},
            ]
        }
    )

    keys: list[KeyShape]
    pagination: ListPagination
