"""Answers searches: asks the library off the event loop, and adds ids and the URLs of pictures.

A cursor is the library's cursor and the number of results on the pages before, so that analytics know each result's
place among all results. Videos deleted since the first page are not shown, and the places of the others do not change.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from pixr.errors import VideoNotFound
from pixr.inside import engine_of
from pixr.scratch import scratch_folder
from pixr.server.errors import ApiError
from pixr.server.metrics import SEARCH_SECONDS
from pixr.server.processing.fetch import fetch
from pixr.server.schemas.search import SearchRequest
from pixr.server.tracing import span, stage
from pixr.wire import hits_to_dict

if TYPE_CHECKING:
    from pixr.library import Library
    from pixr.server.principal import Principal
    from pixr.server.settings import Settings
    from pixr.server.state import ServerState

__all__ = ["MOST_FILE_BYTES", "answer_search"]

MOST_FILE_BYTES = 20 << 20
_LINK_SECONDS = 10.0


async def answer_search(
    server: ServerState, who: Principal, asked: SearchRequest, *, files: Mapping[str, bytes] | None = None
) -> dict[str, Any]:
    """The answer to a search, as the library gives it, with its id and the URLs of its pictures.

    `files` were sent with the question, by kind. What it links to is fetched first, on threads of their own.

    Raises:
        ApiError: OVERLOADED, URL_REFUSED.
        PixrError: whatever the library raises.
    """

    def work() -> dict[str, Any]:
        waited = time.perf_counter() - asked_at
        SEARCH_SECONDS.labels("wait").observe(waited)
        stage("wait", waited)
        with span("search", {"pixr.organization": who.organization}) as traced:
            given = {kind: path.read_bytes() for kind, path in linked.items()} | dict(files or {})
            answer = _search(server, who, asked, given)
            traced.set_attributes({"pixr.search_id": answer["searchId"], "pixr.total": answer["pagination"]["total"]})
            return answer

    with ExitStack() as until_answered:
        linked: dict[str, Path] = {}
        if asked.links:
            place = until_answered.enter_context(scratch_folder(Path(tempfile.gettempdir()), "pixr-question-"))
            linked = await server.links.run(who.organization, lambda: _linked(server.settings, asked.links, place))
        asked_at = time.perf_counter()
        return await server.searches.run(who.organization, work)


def _search(server: ServerState, who: Principal, asked: SearchRequest, given: Mapping[str, bytes]) -> dict[str, Any]:
    """Ask the library, and record the search. `given` are the question's files, by kind."""
    with server.libraries.reading(who.organization) as library:
        before, cursor = _opened(server, who, asked.pagination.cursor)
        hits = library.search(asked.question(given), cursor=cursor, **asked.options(given))
        places = range(before + 1, before + 1 + len(hits))
        following = _sealed(server, who, before + len(hits), hits.next_cursor)
        there = [cursor is None or _is_there(library, hit.video.id) for hit in hits]
        hits = replace(hits, items=tuple(compress(hits, there)), next_cursor=following)
    encoding, searching, total = (ms / 1e3 for ms in (hits.timing.encode, hits.timing.search, hits.timing.total))
    SEARCH_SECONDS.labels("encode").observe(encoding)
    SEARCH_SECONDS.labels("search").observe(searching)
    stage("encode", encoding, ago=max(0.0, total - encoding))
    stage("match", searching)
    answer = hits_to_dict(hits, explain=asked.explain)
    for hit, result in zip(hits, answer["results"], strict=True):
        if hit.video.source:
            peak = hit.moments[0].peak if hit.moments else 0.0
            result["thumbnailUrl"] = server.videos.thumbnail_url(who.organization, hit.video.id, peak)
    answer["searchId"] = server.search_log.add(who, asked.query, hits, list(compress(places, there)))
    return answer


def _sealed(server: ServerState, who: Principal, before: int, cursor: str | None) -> str | None:
    """Sign the library's cursor together with the number of results before its page."""
    return None if cursor is None else server.signer.cursor([before, cursor], of=f"search:{who.organization}")


def _opened(server: ServerState, who: Principal, cursor: str | None) -> tuple[int, str | None]:
    """The number of results before a page, and the library's cursor of it."""
    if cursor is None:
        return 0, None
    before, of_library = server.signer.position(cursor, of=f"search:{who.organization}")
    return before, of_library


def _is_there(library: Library, id: str) -> bool:
    try:
        engine_of(library).video(id)
    except VideoNotFound:
        return False
    return True


def _linked(settings: Settings, links: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Fetch links to files in `folder`. The files are read only when it is the search's turn, since many may wait."""
    found = {}
    for kind, url in links.items():
        found[kind] = folder / kind
        try:
            fetch(
                url,
                found[kind],
                most_bytes=MOST_FILE_BYTES,
                seconds=_LINK_SECONDS,
                allowed=settings.allowed_networks,
                on_bytes=lambda *_: None,
            )
        except httpx.TransportError as error:
            raise ApiError("UNREADABLE_VIDEO", f"{kind}: it could not be fetched: {type(error).__name__}.") from None
    return found
