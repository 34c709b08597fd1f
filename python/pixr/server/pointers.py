"""Locates wrong fields in a body, as JSON Pointers (RFC 6901).

If a field may have several types, pydantic's path of an error is not a place in the body: each type is a step of its
own and has an error of its own. Here the steps are those of the body, and of the errors about one value those that lead
furthest into it are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["wrong_fields"]


def wrong_fields(errors: Iterable[Mapping[str, Any]], body: Any) -> list[dict[str, Any]]:
    """The `pointer`, `code` and `detail` of each field of `body` that is wrong.

    Args:
        errors: those of `ValidationError.errors()`, with paths that begin in `body`.
        body: what was validated.
    """
    found: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    for error in errors:
        _, details = found.setdefault(_steps(error, body), (error["type"], []))
        detail = error["msg"].removeprefix("Value error, ")  # which pydantic puts before what we say ourselves
        if detail not in details:
            details.append(detail)
    return [
        {"pointer": _written(steps), "code": code, "detail": "; or: ".join(details)}
        for steps, (code, details) in found.items()
        if not any(other[: len(steps)] == steps for other in found if len(other) > len(steps))
    ]


def _steps(error: Mapping[str, Any], body: Any) -> tuple[str, ...]:
    """The steps of an error's path that exist in the body, and the name of a missing field."""
    steps: list[str] = []
    at, path = body, list(error["loc"])
    for number, step in enumerate(path, start=1):
        if _has(at, step):
            at = at[step]
        elif number < len(path) or (error["type"] != "missing" and error["input"] == at) or step == "[key]":
            continue  # one of several types, or pydantic's mark for a wrong name
        steps.append(str(step))
    return tuple(steps)


def _has(value: Any, step: Any) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int) and step < len(value)


def _written(steps: Sequence[str]) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
