"""Leaves out what a damaged time stamp puts far ahead of its place.

A time stamp that is too late costs more than its own picture or sound: all that follows would seem to be in the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _Item = TypeVar("_Item")

__all__ = ["without_strays"]

_AHEAD_SECONDS = 10.0


def without_strays(
    items: Iterable[_Item], time_of: Callable[[_Item], float | None], *, longest_run: int = 1
) -> Iterator[_Item]:
    """The items but for runs of up to `longest_run`, more than ten seconds ahead of the items on both of their sides.

    Others stay, in their order: items without a time, and all behind a jump that lasts. Up to `longest_run` items are
    held back.
    """
    last: float | None = None
    ahead: list[_Item] = []
    ahead_since = 0.0
    for item in items:
        time = time_of(item)
        if ahead and last is not None and time is not None and last <= time < ahead_since:
            ahead.clear()
        elif ahead and (time is None or time < ahead_since or len(ahead) == longest_run):
            yield from ahead
            ahead.clear()
            last = ahead_since
        elif ahead:
            ahead.append(item)
            continue
        if last is not None and time is not None and time > last + _AHEAD_SECONDS:
            ahead.append(item)
            ahead_since = time
            continue
        last = last if time is None else time
        yield item
    yield from ahead
