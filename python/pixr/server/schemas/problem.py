"""The body of every error."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from pixr.server.schemas.shape import ResponseShape

__all__ = ["Problem", "ProblemField"]


class ProblemField(ResponseShape):
    """One thing that is wrong with a request: a JSON Pointer into its body, or the name of a parameter."""

    pointer: str | None = None
    parameter: str | None = None
    code: str
    detail: str


class Problem(ResponseShape):
    """RFC 9457, with a stable `code` and the id to quote when asking about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/docs/errors/VIDEO_NOT_FOUND",
                    "title": "Video not found",
                    "status": 404,
                    "detail": 'no video "vid_x"',
                    "instance": "/v1/videos/vid_x",
                    "code": "VIDEO_NOT_FOUND",
                    "requestId": "req_7q3k5w4mzy2a6bnd4vhtj3c2ei",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[ProblemField] = Field(default_factory=list)
