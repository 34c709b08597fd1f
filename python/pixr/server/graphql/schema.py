"""Puts the schema together."""

from __future__ import annotations

from typing import Any

import strawberry
from graphql import GraphQLError
from pydantic.alias_generators import to_camel
from strawberry.extensions import DisableIntrospection, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from pixr.server.context import log
from pixr.server.graphql.limits import DocumentLimits
from pixr.server.graphql.mutations import Mutation
from pixr.server.graphql.queries import Query
from pixr.server.graphql.subscriptions import Subscription
from pixr.server.settings import Settings

__all__ = ["make_schema"]

_MOST_TOKENS = 4000


class _Schema(strawberry.Schema):
    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002 - how it is called
    ) -> None:
        """Fields log and name their own failures; what else is wrong is the document, or this server."""
        for error in errors:
            if isinstance(error.original_error, RecursionError):
                error.message = "The query is too deep."
            elif not error.extensions and error.original_error is not None and not error.nodes:
                log.error("a query failed", exc_info=error.original_error)
                error.message = "Something went wrong in the server."
                error.extensions = {"code": "INTERNAL", "status": 500}
            error.extensions = error.extensions or {"code": "INVALID_QUERY", "status": 422}


def make_schema(settings: Settings) -> strawberry.Schema:
    """The schema of a server with these settings."""
    extensions: list[Any] = [
        lambda: MaxTokensLimiter(_MOST_TOKENS),
        lambda: DocumentLimits(settings.graphql_depth, settings.graphql_cost),
    ]
    if not settings.graphql_introspection:
        extensions.append(DisableIntrospection)
    return _Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=extensions,
        config=StrawberryConfig(default_resolver=_read, disable_field_suggestions=not settings.graphql_introspection),
    )


def _read(source: Any, name: str) -> object:
    """A field of an answer."""
    return source.get(to_camel(name)) if isinstance(source, dict) else getattr(source, name)
