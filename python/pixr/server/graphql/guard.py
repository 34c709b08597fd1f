"""Finds out who is calling, checks the scope of each field and counts its call, and gives errors their codes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import strawberry
from graphql import GraphQLError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import HTTPConnection
from strawberry.extensions import FieldExtension

from pixr.server.authentication import Credentials
from pixr.server.context import answer_to
from pixr.server.errors import ApiError, problem
from pixr.server.limiting import count_call
from pixr.server.pointers import wrong_fields
from pixr.server.principal import Principal, Scope
from pixr.server.schemas.shape import RequestShape
from pixr.server.schemas.videos import ChaptersRequest
from pixr.server.state import ServerState

__all__ = ["Call", "Context", "Info", "guarded"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Days(RequestShape):
    """How far back."""

    days: int = Field(ge=1, le=365)


class Listing(RequestShape):
    """Which page of a list."""

    limit: int = Field(ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=1000)


_CHECKED: dict[str, type[BaseModel]] = {"chapters": ChaptersRequest, "days": Days, "listing": Listing}


@dataclass
class Context:
    """The context of a request, or of a connection, which checks its `credentials` again for each operation.

    `counted` is how many calls were already counted when the request came.
    """

    server: ServerState
    request_id: str
    principal: Principal | ApiError | None
    counted: int = 0
    credentials: Credentials | None = None
    connection: HTTPConnection | None = None
    connection_params: dict[str, Any] | None = field(default=None)

    @property
    def who(self) -> Principal:
        """The caller, once that is certain."""
        assert isinstance(self.principal, Principal)
        return self.principal

    @property
    def organization(self) -> str:
        """The organization whose data this is about."""
        return self.who.organization

    @property
    def shown(self) -> Credentials:
        """The credentials of a subscription's connection."""
        assert self.credentials is not None
        return self.credentials

    async def take(self, scope: Scope) -> Principal:
        """Check the scope of a call, and count it.

        Raises:
            ApiError: the credentials are missing, wrong, without the scope, or used up.
        """
        if self.credentials is not None:
            self.principal = await self.credentials.find()
        if isinstance(self.principal, ApiError):
            raise self.principal
        if self.principal is None:
            raise ApiError("AUTHENTICATION_REQUIRED", "This needs credentials.")
        if scope not in self.principal.scopes:
            raise ApiError("INSUFFICIENT_SCOPE", f"These credentials lack the scope {scope!r}.")
        if self.counted > 0:
            self.counted -= 1
        else:
            count_call(self.server, self.principal)
        return self.principal

    async def run(self, work: Callable[[], T]) -> T:
        """The result of a service, called off the event loop when it is the organization's turn.

        Raises:
            ApiError: OVERLOADED; whatever the service raises.
        """
        return await self.server.videos_pool.run(self.organization, work)

    def valid(self, shape: type[M], given: dict[str, Any]) -> M:
        """What was given, in the form that the REST route takes.

        Raises:
            ApiError: INVALID_REQUEST.
        """
        try:
            return shape.model_validate(given)
        except ValidationError as error:
            wrong = wrong_fields(error.errors(), given)
            raise ApiError("INVALID_REQUEST", str(wrong[0]["detail"]), errors=wrong) from None

    def checked(self, name: str, **given: Any) -> Any:
        """The arguments of a field, checked against the bounds of the REST route."""
        return self.valid(_CHECKED[name], {key: value for key, value in given.items() if value is not None})

    def failed(self, error: Exception) -> GraphQLError:
        """An error of GraphQL: the message is for people, and `extensions` has the fields of a REST error's body."""
        known = answer_to(error)
        body = problem(known, instance="/graphql", request_id=self.request_id)
        extensions = {name: value for name, value in body.items() if name not in ("detail", "instance")}
        return GraphQLError(known.detail, extensions=extensions | _retry(known), original_error=error)


Info: TypeAlias = strawberry.Info[Context, None]


class Call(FieldExtension):
    """Marks a field that stands for a REST call: it needs a scope, and counts as a call."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        """Answer, or raise an error with a code."""
        try:
            await info.context.take(self.scope)
            return await next_(source, info, **arguments)
        except GraphQLError:
            raise
        except Exception as error:
            raise info.context.failed(error) from error


async def guarded(info: Info, scope: Scope, pieces: Callable[[Principal], AsyncIterator[T]]) -> AsyncIterator[T]:
    """The pieces of a subscription, under the same checks as a `Call`."""
    try:
        async for piece in pieces(await info.context.take(scope)):
            yield piece
    except Exception as error:
        raise info.context.failed(error) from error


def _retry(error: ApiError) -> dict[str, Any]:
    wait = error.headers.get("Retry-After")
    return {"retryAfter": int(wait)} if wait is not None and wait.isdigit() else {}
