"""Finds where a file has neither pictures nor sound: a part of it is missing.

Pictures alone may pause, as where a screen that doesn't change is recorded, and so may sound.
"""

from __future__ import annotations

__all__ = ["Gaps", "first_common"]

_GAP_SECONDS = 2.0
_MOST_GAPS = 1000


class Gaps:
    """The stretches of more than two seconds without a packet of one stream, by when packets begin and end."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []
        self._until: float | None = None

    def note(self, begin: float, end: float) -> None:
        """Take in the next packet of the file, which is shown or heard from `begin` to `end`, in seconds."""
        until = self._until
        if until is not None and begin - until > _GAP_SECONDS and len(self.found) < _MOST_GAPS:
            self.found.append((until, begin))
        self._until = end if until is None else max(until, end)


def first_common(pictures: Gaps, sound: Gaps) -> tuple[float, float] | None:
    """The first stretch of more than two seconds in which both pause, None if there is none."""
    others = iter(sound.found)
    heard = next(others, None)
    for begin, end in pictures.found:
        while heard is not None and heard[1] <= begin:
            heard = next(others, None)
        if heard is None:
            return None
        after, until = max(begin, heard[0]), min(end, heard[1])
        if until - after > _GAP_SECONDS:
            return after, until
    return None
