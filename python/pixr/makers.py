"""Makes the objects of an answer in a third of the time that their own constructors take.

A frozen dataclass sets each field past its own guard. Here a class of the same slots, without the guard, is filled and
becomes the frozen one when all fields are set: what comes out is an instance of the type in `pixr.types`.
Imported by the engine's binding at the first search; arguments go by position, all of them.
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from typing import Any

from pixr.types import Creator, Hit, Match, Moment, Video

__all__ = ["creator", "hit", "match", "moment", "video"]


def _maker(frozen: type[Any]) -> type[Any]:
    def freeze(self: Any) -> None:
        self.__class__ = frozen

    names = [field.name for field in fields(frozen)]
    return make_dataclass(frozen.__name__, names, slots=True, eq=False, repr=False, namespace={"__post_init__": freeze})


hit, moment, match, video, creator = map(_maker, (Hit, Moment, Match, Video, Creator))
