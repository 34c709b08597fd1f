"""Pages of lists that are short enough to be read whole: keys, clients, endpoints, receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Query

from pixr.server.signing import Signer

__all__ = ["Cursor", "Limit", "page"]


class Made(Protocol):
    """Anything with an id and the time at which it was made."""

    id: Any
    created: Any


T = TypeVar("T", bound=Made)
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=1000)]


def page(
    signer: Signer,
    name: str,
    found: Sequence[T],
    shown: Callable[[T], dict[str, Any]],
    *,
    of: str,
    limit: int,
    cursor: str | None,
    newest_first: bool = False,
) -> dict[str, Any]:
    """A page of `found` under `name`, with the cursor of the next page. `found` must be ordered by time and id.

    `of` says whose list it is, and a cursor is valid for that list alone. Pages do not shift when items are made or
    deleted meanwhile.

    Raises:
        ApiError: INVALID_CURSOR.
    """
    list_name = f"{name}:{of}"
    begin = 0
    if cursor is not None:
        last = signer.position(cursor, of=list_name)
        after = [place < last if newest_first else place > last for place in map(_place, found)]
        begin = after.index(True) if True in after else len(found)
    chosen = found[begin : begin + limit]
    more = begin + limit < len(found)
    following = signer.cursor(_place(chosen[-1]), of=list_name) if more else None
    return {name: [shown(one) for one in chosen], "pagination": {"nextCursor": following, "hasMore": more}}


def _place(one: Made) -> list[str]:
    instant: datetime = one.created
    return [instant.isoformat(timespec="microseconds"), str(one.id)]
