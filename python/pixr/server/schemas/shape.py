"""What all shapes share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["RequestShape", "ResponseShape"]


class RequestShape(BaseModel):
    """A request's body: a field that is not known is an error, so that a typing mistake is never silence."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class ResponseShape(BaseModel):
    """A response's body. Documents what is sent; clients ignore fields that they don't know."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
