"""`POST /v1/search`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.principal import Searcher
from pixr.server.schemas.search import SearchRequest, SearchResponse
from pixr.server.searching import find
from pixr.server.state import Server
from pixr.wire import hits_to_dict

router = APIRouter(tags=["search"])


@router.post("/v1/search", operation_id="search", response_model=SearchResponse)
async def search(asked: SearchRequest, caller: Searcher, server: Server) -> Response:
    """Find moments in words or with vectors; each result says why it was found."""
    hits = await server.searches.run(lambda: find(server.libraries, caller.organization, asked))
    timing = ", ".join(f"{name};dur={getattr(hits.timing, name):.2f}" for name in ("encode", "search", "total"))
    return json_answer(hits_to_dict(hits, explain=asked.explain), headers={"Server-Timing": timing})
