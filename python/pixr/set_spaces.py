"""Says which spaces a library's channels hold, for rows that are about to be added.

A channel's space stays once it was set, so it is set only for rows that the library takes: these are first added to
another, in memory. That costs as much again, and only where a space is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixr import _engine
from pixr.convert import MODE_OF
from pixr.errors import InvalidQuery
from pixr.types import Channel

if TYPE_CHECKING:
    from pixr.encoders.protocol import Space

__all__ = ["check_spaces", "set_spaces"]


def set_spaces(engine: _engine.Library, spaces: Mapping[Channel, Space], rows: Any, videos: Sequence[str] = ()) -> None:
    """Set the spaces of channels if the library takes `rows` and the `videos` that they name with them, else none.

    Raises:
        InvalidBatch, InvalidVector, InvalidSpan, InvalidVideo, DimensionMismatch: the rows are not taken.
        SpaceMismatch: a channel has vectors of another space.
    """
    known = engine.spaces()
    new = {channel: space for channel, space in spaces.items() if known.get(channel) != asdict(space)}
    if not new:
        return
    _rehearse({**known, **{channel: asdict(space) for channel, space in new.items()}}, rows, videos)
    for channel in sorted(new, key=lambda channel: channel not in known):  # first those that may be refused
        space = new[channel]
        engine.set_space(channel, space.name, space.version, space.dimension)


def check_spaces(spaces: Any) -> None:
    """Refuse what is no spaces by channel.

    Raises:
        InvalidQuery: says what is expected.
    """
    from pixr.encoders.protocol import Space

    if not isinstance(spaces, Mapping):
        raise InvalidQuery(f"spaces is {type(spaces).__name__}, spaces by channel are expected")
    for channel, space in spaces.items():
        if channel not in MODE_OF:
            raise InvalidQuery(f"spaces: no channel {channel!r}; channels are {', '.join(MODE_OF)}")
        if not isinstance(space, Space):
            raise InvalidQuery(f"spaces: {channel} is {type(space).__name__}, a Space is expected")


def _rehearse(spaces: Mapping[Channel, Mapping[str, Any]], rows: Any, videos: Sequence[str]) -> None:
    rehearsal = _engine.Library.in_memory()
    try:
        for channel, space in spaces.items():
            rehearsal.set_space(channel, space["name"], space["version"], space["dimension"])
        rehearsal.add_segments(rows, videos)
    finally:
        rehearsal.close()
