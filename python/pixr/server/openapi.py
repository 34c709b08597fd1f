"""The specification `/openapi.json` (3.1): what FastAPI derives from the routes, with scopes, errors and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Scope

from pixr.server.deprecation import find_deprecation
from pixr.server.errors import MEDIA_TYPE
from pixr.server.principal import SCOPES, requires
from pixr.server.schemas.oauth import OAuthError
from pixr.server.schemas.problem import Problem
from pixr.server.schemas.shape import RequestShape, ResponseShape
from pixr.server.schemas.webhooks import EVENT_EXAMPLE, EventShape
from pixr.server.webhooks.body import EXAMPLES

__all__ = ["ANY_CREDENTIALS", "api_routes", "find_route", "scope_of", "specification"]

ANY_CREDENTIALS: list[dict[str, list[str]]] = [{"apiKey": [], "apiSecret": []}, {"oauth": []}, {"userToken": []}]

DESCRIPTION = """Search inside videos: ask in words or by example, and get back the moments and why they matched.

Times are RFC 3339 in UTC, spans are seconds, errors are RFC 9457 with a stable `code`.

With credentials, POST and PATCH take a header `Idempotency-Key`: a request that is sent again under it is carried out
once, and answered as the first was for a day; pieces of uploads need none. Any request takes `X-Request-Id`. `/v1/ws`
is a WebSocket for searches and events, and `/graphql` takes `graphql-transport-ws`.
"""

SECURITY_SCHEMES: dict[str, Any] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "apiSecret": {"type": "apiKey", "in": "header", "name": "X-API-Secret"},
    "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "oauth": {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {"tokenUrl": "/v1/auth/token", "scopes": dict.fromkeys(SCOPES, "")},
            "authorizationCode": {
                "authorizationUrl": "/v1/auth/authorize",
                "tokenUrl": "/v1/auth/token",
                "scopes": dict.fromkeys(SCOPES, ""),
            },
        },
    },
}


# Pydantic derives schemas by changing what it derives them from, one thread at a time.
_deriving = Lock()


def specification(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    with _deriving:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title="Pixr", version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
    )
    made["servers"] = [{"url": app.state.server.settings.base_url}]
    made["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    components = made.setdefault("components", {})
    components["securitySchemes"] = SECURITY_SCHEMES
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    for shape in (*_below(RequestShape), *_below(ResponseShape)):  # FastAPI drops nulls, which examples need
        extra = shape.model_config.get("json_schema_extra")
        if shape.__name__ in schemas and isinstance(extra, dict):
            schemas[shape.__name__] |= extra
    schemas["OAuthError"] = OAuthError.model_json_schema()
    made["webhooks"] = {type: {"post": _webhook(type, data)} for type, data in EXAMPLES.items()}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for route in api_routes(app):
        for method in route.methods or ():
            operation = made["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _complete(operation, scope_of(route), schemas)
                if find_deprecation(app.state.server.settings.deprecations, method, route.path_format):
                    operation["deprecated"] = True
    return made


def _webhook(type: str, data: dict[str, Any]) -> dict[str, Any]:
    name = "".join(part.capitalize() for part in type.replace("_", ".").split("."))
    content = {
        "schema": {"$ref": f"#/components/schemas/{EventShape.__name__}"},
        "example": EVENT_EXAMPLE | {"type": type, "data": data},
    }
    return {
        "operationId": f"on{name}",
        "summary": type,
        "description": "Signed as Standard Webhooks 1.0 says; answer 2xx within 15 s.",
        "tags": ["webhooks"],
        "security": [],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"2XX": {"description": "Taken"}},
    }


def _below(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in shape.__subclasses__():
        yield child
        yield from _below(child)


def api_routes(app: FastAPI) -> Iterator[APIRoute]:
    """All routes that are operations of the API."""
    for router in app.state.routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def find_route(scope: Scope) -> APIRoute | None:
    """The operation that a request asks for, before the framework looks for it."""
    for route in api_routes(scope["app"]):
        if scope["method"] in (route.methods or ()) and route.path_regex.match(scope["path"]):
            return route
    return None


def scope_of(route: APIRoute) -> str | None:
    """The scope that the route requires; None if it is open to all."""
    named: str | None = (route.openapi_extra or {}).get("x-pixr-scope")
    if named is not None:  # routes that a signed URL opens too say it there
        return named
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, requires):
            return dependency.call.scope
    return None


def _summary(operation_id: str) -> str:
    """`createWebhookEndpoint` in words."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f" {found[1].lower()}", operation_id).capitalize()


def _complete(operation: dict[str, Any], scope: str | None, schemas: dict[str, Any]) -> None:
    operation["summary"] = _summary(operation["operationId"])
    answers: dict[str, Any] = operation["responses"]
    answers.pop("422", None)
    errors = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    if "default" not in answers:  # else any status may be no error
        refusal = answers.setdefault("4XX", {"content": {}})
        refusal["description"] = "The request can't be answered; `code` says why"
        refusal["content"] |= errors["content"]
        answers["5XX"] = {"description": "The server can't answer; `code` says why", **errors}
    if "401" in answers:
        answers["401"]["content"] |= errors["content"]
    if scope is not None:
        assert scope in SCOPES
        operation["security"] = [{"apiKey": [], "apiSecret": []}, {"oauth": [scope]}, {"userToken": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
    else:
        operation.setdefault("security", [])
    for holder in (operation.get("requestBody", {}), *answers.values()):
        for content in holder.get("content", {}).values():
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            examples = schemas.get(name, {}).get("examples")
            if examples and "example" not in content and "examples" not in content:
                content["examples"] = {"usual": {"value": examples[0]}}
