"""Who is calling: an organization, and what its credentials allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from fastapi import Depends
from starlette.requests import Request

from pixr.server.errors import ApiError

if TYPE_CHECKING:
    from pixr.server.models import Organization

__all__ = [
    "SCOPES",
    "Admin",
    "AnalyticsReader",
    "Principal",
    "Scope",
    "Searcher",
    "VideoReader",
    "VideoWriter",
    "WebhookOwner",
    "check_gives_away",
    "check_serves",
]

Scope = Literal["videos.read", "videos.write", "search", "analytics", "webhooks", "admin"]
SCOPES: tuple[Scope, ...] = ("videos.read", "videos.write", "search", "analytics", "webhooks", "admin")


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request's credentials stand for.

    `rate_limit` is a token's own limit, in requests a second. `expires` says when the credentials will end by
    themselves, None if never.
    """

    organization: str
    plan: str
    subject: str
    scopes: frozenset[str]
    environment: str = "live"
    rate_limit: float | None = None
    expires: datetime | None = None

    @classmethod
    def of(
        cls,
        organization: Organization,
        *,
        subject: str,
        scopes: Iterable[str],
        environment: str = "live",
        rate_limit: float | None = None,
        expires: datetime | None = None,
    ) -> Principal:
        """The principal of an organization.

        Raises:
            ApiError: FORBIDDEN, the organization is suspended.
        """
        check_serves(organization)
        return cls(organization.id, organization.plan, subject, frozenset(scopes), environment, rate_limit, expires)


def check_serves(organization: Organization | None) -> None:
    """Refuse requests in the name of an organization that is suspended or does not exist.

    Raises:
        ApiError: FORBIDDEN.
    """
    if organization is None or organization.suspended is not None:
        raise ApiError("FORBIDDEN", "The organization is suspended.")


def check_gives_away(giver: Principal, scopes: Iterable[str]) -> None:
    """Refuse to make credentials with scopes that their maker lacks.

    Raises:
        ApiError: INSUFFICIENT_SCOPE.
    """
    if beyond := [scope for scope in scopes if scope not in giver.scopes]:
        raise ApiError("INSUFFICIENT_SCOPE", f"These credentials can't give away {', '.join(beyond)}.")


class requires:  # noqa: N801 - reads as a sentence where it is used
    """A dependency: the principal, if its credentials have the scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        """The principal of the request.

        Raises:
            ApiError: the credentials are missing, invalid or not enough.
        """
        found = request.scope["state"].get("principal")
        if isinstance(found, ApiError):
            raise found
        if not isinstance(found, Principal):
            raise ApiError("AUTHENTICATION_REQUIRED", "This path needs credentials.")
        if self.scope not in found.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{self.scope}"'
            raise ApiError(
                "INSUFFICIENT_SCOPE",
                f"These credentials lack the scope {self.scope!r}.",
                headers={"WWW-Authenticate": challenge},
            )
        return found


VideoReader: TypeAlias = Annotated[Principal, Depends(requires("videos.read"))]
VideoWriter: TypeAlias = Annotated[Principal, Depends(requires("videos.write"))]
Searcher: TypeAlias = Annotated[Principal, Depends(requires("search"))]
AnalyticsReader: TypeAlias = Annotated[Principal, Depends(requires("analytics"))]
WebhookOwner: TypeAlias = Annotated[Principal, Depends(requires("webhooks"))]
Admin: TypeAlias = Annotated[Principal, Depends(requires("admin"))]
