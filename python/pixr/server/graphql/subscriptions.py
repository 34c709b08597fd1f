"""What can be followed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import strawberry
from anyio import to_thread

from pixr.server.errors import ApiError
from pixr.server.events import EVENT_TYPES
from pixr.server.following import follow, follow_video
from pixr.server.graphql.guard import Info, guarded
from pixr.server.graphql.inputs import SearchInput, given
from pixr.server.graphql.types import Event, SearchUpdate, Video, facet_list
from pixr.server.latest import last_sequence
from pixr.server.principal import Principal
from pixr.server.schemas.search import SearchRequest
from pixr.server.searching import answer_search
from pixr.server.streaming import pieces
from pixr.server.webhooks.body import event_to_dict

__all__ = ["Subscription"]


@strawberry.type
class Subscription:
    @strawberry.subscription(description="A search in pieces: each result, the facets, the end.")
    async def search(self, info: Info, input: SearchInput) -> AsyncGenerator[SearchUpdate, None]:
        context = info.context

        async def answer(who: Principal) -> AsyncIterator[SearchUpdate]:
            asked = context.valid(SearchRequest, given(input, nulls=False))
            for name, body in pieces(await answer_search(context.server, who, asked)):
                shown: Any = facet_list(body) if name == "facets" else body
                yield cast("SearchUpdate", {name: shown})

        async for piece in guarded(info, "search", answer):
            yield piece

    @strawberry.subscription(description="A video each time that its status or progress changes, until it is done.")
    async def video(self, info: Info, video_id: str) -> AsyncGenerator[Video, None]:
        server = info.context.server

        async def changes(_: Principal) -> AsyncIterator[Video]:
            async for shown in follow_video(server, info.context.shown, video_id):
                yield cast("Video", shown)

        async for piece in guarded(info, "videos.read", changes):
            yield piece

    @strawberry.subscription(description="Events as they happen; with `after`, from that sequence number on.")
    async def events(
        self, info: Info, types: list[str] | None = None, after: float | None = None
    ) -> AsyncGenerator[Event, None]:
        server = info.context.server

        async def happening(who: Principal) -> AsyncIterator[Event]:
            if types is not None and (unknown := [one for one in types if one not in EVENT_TYPES]):
                raise ApiError("INVALID_REQUEST", f"No event {unknown[0]!r}; events are {', '.join(EVENT_TYPES)}.")
            if after is not None and not (0 <= after < 1 << 63 and float(after).is_integer()):
                raise ApiError("INVALID_REQUEST", "`after` is the sequence number of an event.")
            begin = (
                int(after)
                if after is not None
                else await to_thread.run_sync(last_sequence, server.database, who.organization)
            )
            async for event in follow(server, info.context.shown, types or EVENT_TYPES, begin):
                yield cast("Event", event_to_dict(event) | {"sequence": event.sequence})

        async for piece in guarded(info, "webhooks", happening):
            yield piece
