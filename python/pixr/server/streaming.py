"""Sends an answer in pieces, as server-sent events or one JSON object a line. Together they are the whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

from pydantic_core import to_json

from pixr.server.context import answer_to
from pixr.server.errors import ApiError, problem
from pixr.server.whole_numbers import whole_number

__all__ = ["as_events", "as_lines", "pieces", "place_after"]

HEARTBEAT_SECONDS = 10.0


def pieces(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of an answer with their names: each `result`, then `facets`, then `done` with the rest."""
    for result in answer["results"]:
        yield "result", result
    yield "facets", answer["facets"]
    yield "done", {name: value for name, value in answer.items() if name not in ("results", "facets")}


def place_after(last_id: str, answer: dict[str, Any]) -> int:
    """How many pieces of an answer a client that sends `Last-Event-ID` has seen.

    Raises:
        ApiError: CURSOR_EXPIRED, if it is not a place in this answer, because the library has changed since.
    """
    page, _, seen = last_id.rpartition(":")
    position = whole_number(seen)
    if position is None or page != _page(answer):
        raise ApiError("CURSOR_EXPIRED", "The library has changed since; ask again without Last-Event-ID.")
    return position


def _page(answer: dict[str, Any]) -> str:
    """Names a page by its snapshot and its number of results: deleted ones are missing from a later look at it."""
    return f"{answer['snapshot']}-{len(answer['results'])}"


async def as_events(
    answer: Awaitable[dict[str, Any]], *, instance: str, request_id: str, after: int = 0
) -> AsyncIterator[bytes]:
    """Server-sent events, without the first `after`. An id consists of the page and a number."""
    at_work = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({at_work}, timeout=HEARTBEAT_SECONDS))[0]:
            yield b": waiting\n\n"
        whole = at_work.result()
        for number, (name, body) in enumerate(pieces(whole), start=1):
            if number > after:
                yield b"event: %b\nid: %b:%d\ndata: %b\n\n" % (
                    name.encode(),
                    _page(whole).encode(),
                    number,
                    to_json(body),
                )
    except Exception as error:  # noqa: BLE001 - told to whoever listens
        body = problem(answer_to(error), instance=instance, request_id=request_id)
        yield b"event: error\ndata: %b\n\n" % to_json(body)
    finally:
        at_work.cancel()


async def as_lines(answer: Awaitable[dict[str, Any]], *, instance: str, request_id: str) -> AsyncIterator[bytes]:
    """Newline-delimited JSON, `{"type": …, …}` a line; the last is `done` with status 200, or `error` with its own."""
    try:
        whole = await answer
        for name, body in pieces(whole):
            extra = {"status": 200} if name == "done" else {}
            yield to_json({"type": name, **extra, **({"facets": body} if name == "facets" else body)}) + b"\n"
    except Exception as error:  # noqa: BLE001 - told to whoever listens
        body = problem(answer_to(error), instance=instance, request_id=request_id)
        yield to_json(body | {"type": "error", "problemType": body["type"]}) + b"\n"
