"""Asks every system in turns, so that all meet the same machine.

A machine that others share is quick for a minute and slow for the next, by half and more. Asked one after the other, a
system may meet one of the two alone, and a ratio says which. So each is asked everything once, in a process of its own,
then the next, and so on, three times over; of each call the least time counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

TURNS = 3
SECONDS_A_POINT = 8.0
"""What one setting of one system is asked for, all turns together."""
LEAST_QUERIES = 30

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Calls(Generic[Answer]):
    """The seconds that each call took, and what it answered."""

    took: list[float]
    found: list[Answer]


def timed(calls: Sequence[Callable[[], Answer]]) -> Calls[Answer]:
    """Make each call once; fewer of them where they take long."""
    took: list[float] = []
    found: list[Answer] = []
    began = time.perf_counter()
    for call in calls:
        started = time.perf_counter()
        found.append(call())
        took.append(time.perf_counter() - started)
        if len(took) >= LEAST_QUERIES and time.perf_counter() - began > SECONDS_A_POINT / TURNS:
            break
    return Calls(took, found)


def least(turns: Sequence[Calls[Answer]]) -> Calls[Answer]:
    """The calls that all turns made, each with its least time and the first answer."""
    took = [min(times) for times in zip(*(turn.took for turn in turns), strict=False)]
    return Calls(took, turns[0].found[: len(took)])
