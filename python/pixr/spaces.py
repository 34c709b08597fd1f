"""Which space each channel of a library holds, from the engine and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.types import Channel

__all__ = ["is_not_spoken", "space_name", "spaces_of"]


def spaces_of(engine: _engine.Library) -> dict[Channel, dict[str, Any]]:
    """Which space each channel of a library holds: `{"name", "version", "dimension"}`."""
    return engine.spaces()


def space_name(space: Mapping[str, Any]) -> str:
    """One of these in words, as `str` gives the `Space` of an encoder: `minilm@1/384`."""
    return f"{space['name']}@{space['version']}/{space['dimension']}"


def is_not_spoken(channel: Channel, space: str) -> str:
    """Why a channel can't be asked: no encoder makes vectors of the space that it holds."""
    return f"channel {channel} holds vectors of space {space}, which no loaded encoder speaks"
