"""Gives the rest of the package what a library keeps from its users: the engine's handle and the encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.library import Library
    from pixr.library_encoders import LibraryEncoders

__all__ = ["encoders_of", "engine_of"]


def engine_of(library: Library) -> _engine.Library:
    """The engine's handle of a library."""
    return library._engine  # noqa: SLF001


def encoders_of(library: Library) -> LibraryEncoders:
    """The encoders that a library is indexed and asked with."""
    return library._encoders  # noqa: SLF001
