"""What an engine must be able to do to be measured: build an index in a directory, open it, answer.

An adapter promises that `build` uses all cores and the settings that the engine's authors recommend (M 16 and
efConstruction 200 for graphs), that `open` reads what `build` left and nothing else, and that `search` uses the
quickest way from a float32 query to row numbers that the engine's public Python interface has.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

K = 10
M = 16
CONSTRUCTION = 200
WIDTHS = (10, 15, 20, 30, 45, 70, 100, 150, 220, 320, 500)
"""Search widths of graphs: how many candidates a search keeps."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Vectors: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = "Sequence[int] | NDArray[np.integer]"


class Index(ABC):
    """An open index."""

    @abstractmethod
    def search(self, query: Vectors, parameter: int) -> Rows:
        """The `K` rows with the greatest inner product with `query`, of shape (dimension,)."""

    def search_many(self, queries: Vectors, parameter: int) -> Sequence[Rows] | NDArray[np.integer]:
        """The same for each of `queries`, of shape (count, dimension), in one call on all cores."""
        raise NotImplementedError(f"{type(self).__name__} takes one query a call")

    @property
    def has_batches(self) -> bool:
        """Whether there is such a call."""
        return type(self).search_many is not Index.search_many


class Engine(ABC):
    """One engine with one kind of index."""

    def __init__(self, name: str, *, module: str, packages: Sequence[str], sweep: Sequence[int] = WIDTHS) -> None:
        self.name = name
        """As the tables call it."""
        self.index = name
        """Whose index it opens: engines that ask the same one in another way share it."""
        self.module = module
        """What is imported before anything is timed."""
        self.packages = tuple(packages)
        """Distributions that `requirements.txt` names, the engine's own first, whose release is told; none for Pixr."""
        self.sweep = tuple(sweep)
        """Values of the search parameter, from quick to thorough."""

    @abstractmethod
    def build(self, vectors: Vectors, directory: Path) -> None:
        """Index unit `vectors`, of shape (rows, dimension), leaving all that `open` needs in the empty `directory`."""

    @abstractmethod
    def open(self, directory: Path, rows: int, dimension: int) -> Index:
        """Open what `build` left."""
