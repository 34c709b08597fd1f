"""`/v1/auth`: clients and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from pixr.server.principal import Scope
from pixr.server.schemas.shape import RequestShape, ResponseShape, Stored
from pixr.server.schemas.videos import ListPagination

__all__ = ["ClientList", "ClientRequest", "ClientWithSecret", "OAuthError", "UserToken", "UserTokenRequest"]

CLIENT_EXAMPLE: dict[str, Any] = {
    "clientId": "ocl_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "name": "editor",
    "public": False,
    "redirectUris": ["https://editor.example.com/callback"],
    "scopes": ["videos.read", "search"],
    "created": "2026-11-24T08:00:00.000Z",
}

# What is handed to a browser never has the keys of the organization: all but `admin`.
UserScope = Literal["videos.read", "videos.write", "search", "analytics", "webhooks"]


class ClientRequest(RequestShape):
    """A program that will ask for tokens."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "editor",
                    "redirectUris": ["https://editor.example.com/callback"],
                    "scopes": ["videos.read", "search"],
                }
            ]
        }
    )

    name: Stored = Field(min_length=1, max_length=200)
    redirect_uris: list[str] = Field(default=[], max_length=20)
    scopes: list[Scope] = Field(min_length=1)
    public: bool = Field(default=False, description="without a secret, such as an app on a phone")


class ClientShape(ResponseShape):
    """A client without its secret."""

    client_id: str
    name: str
    public: bool
    redirect_uris: list[str]
    scopes: list[Scope]
    created: datetime


class ClientWithSecret(ClientShape):
    """A client with its secret, this once; null for a public one."""

    model_config = ConfigDict(json_schema_extra={"examples": [CLIENT_EXAMPLE | {"secret": "ocs_shown-this-once"}]})

    secret: str | None


class ClientList(ResponseShape):
    """Clients, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"clients": [CLIENT_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}},
            ]
        }
    )

    clients: list[ClientShape]
    pagination: ListPagination


class OAuthError(ResponseShape):
    """Why a token was not given (RFC 6749 §5.2)."""

    model_config = ConfigDict(alias_generator=None)

    error: str
    error_description: str | None = None
    error_uri: str | None = None


class UserTokenRequest(RequestShape):
    """Whom a token shall speak for, and what it may do."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "usr_1", "scopes": ["search"], "expiresIn": 900, "rateLimit": 5}]}
    )

    subject: Stored = Field(min_length=1, max_length=200, description="your user's id; no NUL")
    scopes: list[UserScope] = Field(min_length=1)
    expires_in: int = Field(default=900, ge=1, le=86_400)
    rate_limit: float | None = Field(default=None, gt=0, le=1e6, description="requests a second")


class UserToken(ResponseShape):
    """A JSON Web Token, to be sent as a bearer token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "eyJhbGciOi…", "expiresIn": 900}]})

    token: str
    expires_in: int
