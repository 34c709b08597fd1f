"""What all shapes share."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator
from pydantic.alias_generators import to_camel

__all__ = ["Instant", "RequestShape", "ResponseShape", "Stored"]

_DATED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


class RequestShape(BaseModel):
    """A request's body: a field that is not known is an error, so that a typing mistake is never silence.

    Types are those of JSON: `"5"` and `true` are no numbers, and `0` is neither a time nor false.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        """`5.0` is a whole number in JSON too, and how GraphQL's floats carry those past 32 bits."""
        if not isinstance(given, dict):
            return given
        whole = {name: int(value) for name, value in given.items() if isinstance(value, float) and value.is_integer()}
        return given | whole


def _said_in_letters(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATED.match(value):
        raise ValueError("a time is RFC 3339, such as 2026-11-24T08:00:00Z")
    return value


# A time in a request; pydantic by itself takes seconds since 1970 as well, also as digits.
Instant = Annotated[AwareDatetime, Strict(False), BeforeValidator(_said_in_letters)]

# Text that the database keeps or is asked for; PostgreSQL's has no NUL.
Stored = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class ResponseShape(BaseModel):
    """A response's body. Documents what is sent; clients ignore fields that they don't know."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
