"""`/graphql`: queries and mutations by POST, and everything over `graphql-transport-ws`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.idempotency import NOT_KEPT
from pixr.server.openapi import ANY_CREDENTIALS
from pixr.server.principal import Principal
from pixr.server.schemas.shape import RequestShape, ResponseShape
from pixr.server.state import Server, ServerState

router = APIRouter(tags=["graphql"])

GRAPHQL = "application/graphql-response+json"
_SECURED: dict[str, Any] = {"security": ANY_CREDENTIALS}
_INIT_SECONDS = 10
_MOST_AT_WORK = 16
_NOT_INSTALLED = "GraphQL needs the package strawberry-graphql, on Python 3.11 or newer: pip install 'pixr[graphql]'"


class GraphqlRequest(RequestShape):
    """A document, and which of its operations with which variables. Arrays of requests are not taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "query Find($input: SearchInput!) { search(input: $input) { results { videoId title } } }",
                    "variables": {"input": {"query": "solar panels on a roof", "pagination": {"limit": 5}}},
                }
            ]
        }
    )

    query: str = Field(min_length=1, max_length=100_000)
    variables: dict[str, Any] | None = None
    operation_name: str | None = Field(default=None, max_length=200)
    extensions: dict[str, Any] | None = None


class GraphqlResponse(ResponseShape):
    """What was found, and what went wrong: `errors[].extensions` has the code of the REST API."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"data": {"search": {"results": [{"videoId": "vid_7q3k5w4mzy2a6bnd4vhtj3c2ei", "title": "Roof"}]}}}
            ]
        }
    )

    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] | None = None


@router.post("/graphql", operation_id="graphql", response_model=GraphqlResponse, openapi_extra=_SECURED)
async def answer(asked: GraphqlRequest, request: Request, server: Server) -> Response:
    """Answer a GraphQL query or mutation. Each field needs the scope of the REST route that it stands for."""
    schema = _schema(server)
    found = request.scope["state"].get("principal")
    if isinstance(found, ApiError):
        raise found
    if not isinstance(found, Principal):
        challenge = {"WWW-Authenticate": "Bearer"}
        raise ApiError("AUTHENTICATION_REQUIRED", "This path needs credentials.", headers=challenge)
    from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
    from strawberry.types.graphql import OperationType

    from pixr.server.graphql.guard import Context

    context = Context(server, request.scope["state"]["request_id"], found, counted=1)
    try:
        result = await schema.execute(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name or None,
            allowed_operation_types=(OperationType.QUERY, OperationType.MUTATION),
        )
    except InvalidOperationTypeError:
        raise ApiError("INVALID_QUERY", "Subscriptions go over a WebSocket, graphql-transport-ws.") from None
    except CannotGetOperationTypeError:
        raise ApiError("INVALID_QUERY", "There is no operation of this name.") from None
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
        statuses = [(error.extensions or {}).get("status", 500) for error in result.errors]
        if any(one >= 500 or one in NOT_KEPT for one in statuses):
            request.scope["state"]["not_now"] = True
    spoken = GRAPHQL in request.headers.get("accept", "")
    # As GraphQL over HTTP says: a request that could not be carried out at all is 400, to those who speak it.
    status = 400 if spoken and result.data is None and _never_begun(body) else 200
    response = json_answer(body, status, {"Cache-Control": "no-store"})
    if spoken:
        response.headers["Content-Type"] = GRAPHQL
    return response


@router.websocket("/graphql")
async def connect(socket: WebSocket) -> None:
    """Serve one connection of graphql-transport-ws. `connection_init` may carry the credentials as its payload."""
    server: ServerState = socket.app.state.server
    try:
        view = _view(server)
    except ApiError as error:
        await socket.accept()
        await socket.close(4500, error.detail)
        return
    await view(socket.scope, socket.receive, socket.send)


def _never_begun(body: dict[str, Any]) -> bool:
    return all("path" not in error for error in body["errors"])


def _schema(server: ServerState) -> Any:
    if server.graphql is None:
        try:
            from pixr.server.graphql.schema import make_schema
        except ImportError:
            raise ApiError("MISSING_EXTRA", _NOT_INSTALLED) from None
        server.graphql = make_schema(server.settings)
    return server.graphql


def _view(server: ServerState) -> Any:
    schema = _schema(server)
    from pixr.server.graphql.socket import Socket

    return Socket(server, schema, init_seconds=timedelta(seconds=_INIT_SECONDS), most_at_work=_MOST_AT_WORK)
