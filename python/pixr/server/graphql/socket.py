"""`graphql-transport-ws`, as Strawberry speaks it, with this server's credentials."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import strawberry
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from pixr.server.authentication import Credentials
from pixr.server.errors import ApiError
from pixr.server.graphql.guard import Context
from pixr.server.limiting import count_failure
from pixr.server.principal import Principal
from pixr.server.state import ServerState

__all__ = ["Socket"]

_SHOWN = ("authorization", "x-api-key", "x-api-secret")


class Socket(GraphQL[Context, None]):
    """Connections. Credentials come with the handshake, or as the payload of `connection_init`, which wins."""

    def __init__(
        self, server: ServerState, schema: strawberry.Schema, *, init_seconds: timedelta, most_at_work: int
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=init_seconds,
            max_subscriptions_per_connection=most_at_work,
            # Credentials are no cookies, so a page of another origin has none to abuse.
            allowed_origins=["*"],
        )
        self._server = server

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:  # noqa: ARG002
        """Of a connection."""
        state: dict[str, Any] = request.scope["state"]
        return Context(
            self._server,
            state["request_id"],
            state.get("principal"),
            credentials=state["credentials"],
            connection=request,
        )

    async def on_ws_connect(self, context: Context) -> None:
        """Refuse who has no credentials (4403)."""
        given = context.connection_params or {}
        headers = {name.lower(): value for name, value in given.items() if isinstance(value, str)}
        shown = {name: value for name, value in headers.items() if name in _SHOWN}
        if shown:
            if not all(value.isascii() and value.isprintable() for value in shown.values()):
                raise ConnectionRejectionError  # JSON can say what is in no header, and what no database can look for
            context.credentials = Credentials(self._server, shown)
            context.principal = await context.credentials.find()
            if isinstance(context.principal, ApiError) and context.connection is not None:
                with suppress(ApiError):  # refused either way
                    count_failure(self._server, context.connection)
        if not isinstance(context.principal, Principal):
            raise ConnectionRejectionError
