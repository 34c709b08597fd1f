"""An answer in pieces: as server-sent events, or a JSON object a line. The pieces are those of the whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

from pydantic_core import to_json

from pixr.server.errors import ApiError, problem, problem_of

__all__ = ["as_events", "as_lines", "pieces"]

HEARTBEAT_SECONDS = 10.0


def pieces(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of an answer with their names: each `result`, then `facets`, then `done` with the rest."""
    for result in answer["results"]:
        yield "result", result
    yield "facets", answer["facets"]
    yield "done", {name: value for name, value in answer.items() if name not in ("results", "facets")}


async def as_events(
    answer: Awaitable[dict[str, Any]], *, instance: str, request_id: str, last_id: str | None
) -> AsyncIterator[bytes]:
    """Server-sent events. An id is the snapshot and a number; who comes back with the last one gets what follows it."""
    at_work = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait({at_work}, timeout=HEARTBEAT_SECONDS))[0]:
            yield b": waiting\n\n"
        whole = at_work.result()
        snapshot, _, seen = (last_id or "").rpartition(":")
        if last_id and (snapshot != whole["snapshot"] or not seen.isdigit()):
            raise ApiError("CURSOR_EXPIRED", "The library has changed since; ask again without Last-Event-ID.")
        for number, (name, body) in enumerate(pieces(whole), start=1):
            if not last_id or number > int(seen):
                yield b"event: %b\nid: %b:%d\ndata: %b\n\n" % (
                    name.encode(),
                    whole["snapshot"].encode(),
                    number,
                    to_json(body),
                )
    except Exception as error:  # noqa: BLE001 - told to whoever listens
        body = problem(problem_of(error), instance=instance, request_id=request_id)
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
        body = problem(problem_of(error), instance=instance, request_id=request_id)
        yield to_json(body | {"type": "error", "problemType": body["type"]}) + b"\n"
