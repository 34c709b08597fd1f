"""`/docs`, the specifications, `/postman.json`. Open to all, outside the API and its specification."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from pixr.server.answer import json_answer
from pixr.server.documentation.openapi30 import to_openapi30
from pixr.server.documentation.pages import (
    ASSETS,
    CONTENT_SECURITY_POLICY,
    START_SCRIPT,
    asset,
    error_page,
    errors_page,
    reference_page,
)
from pixr.server.documentation.postman import to_postman
from pixr.server.errors import ApiError
from pixr.server.openapi import specification

router = APIRouter(include_in_schema=False)

HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "X-Content-Type-Options": "nosniff"}
KEPT = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}


@router.get("/openapi.json")
def openapi(request: Request) -> Response:
    """The specification."""
    return json_answer(specification(request.app))


@router.get("/openapi-3.0.json")
def openapi30(request: Request) -> Response:
    """The specification in version 3.0.3."""
    return json_answer(to_openapi30(specification(request.app)))


@router.get("/postman.json")
def postman(request: Request) -> Response:
    """A Postman collection of all operations."""
    return json_answer(to_postman(specification(request.app)))


@router.get("/favicon.ico")
def icon() -> Response:
    """None: browsers ask for one on every page, also on the player's, which bears no mark of ours."""
    return Response(status_code=204, headers=KEPT)


@router.get("/")
def root() -> Response:
    """To the reference: the address that `pixr serve` prints is opened in browsers."""
    return RedirectResponse("docs")  # relative: a proxy may show the server below a path


@router.get("/docs")
def reference() -> Response:
    """The interactive reference."""
    return Response(reference_page(), headers=HEADERS, media_type="text/html")


@router.get("/docs/assets/{name}")
def assets(name: str) -> Response:
    """What the reference is made of."""
    if name == "start.js":
        return Response(START_SCRIPT, headers=KEPT, media_type="text/javascript")
    if name not in ASSETS:
        raise ApiError("NOT_FOUND", f"No asset {name!r}.")
    return Response(asset(name), headers=KEPT, media_type=ASSETS[name])


@router.get("/docs/errors")
def errors() -> Response:
    """All error codes."""
    return Response(errors_page(), headers=HEADERS, media_type="text/html")


@router.get("/docs/errors/{code}")
def error(code: str) -> Response:
    """One error code."""
    try:
        return Response(error_page(code), headers=HEADERS, media_type="text/html")
    except KeyError:
        raise ApiError("NOT_FOUND", f"No error code {code!r}.") from None
