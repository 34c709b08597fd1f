"""What a system must be able to do to answer queries as users ask them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from benches.peers.fused.corpus import Corpus
from benches.peers.protocol import Vectors

PLACES = 10
DEPTH = 100
"""How many of each channel's best a fusion by ranks looks at."""
RANK_OFFSET = 60
"""Of Cormack et al. 2009, as LanceDB and Milvus have it."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Question:
    """One query: what it means, what it says, and which videos may answer (those with a number below `share`)."""

    vector: Vectors
    text: str
    share: int


class System(ABC):
    """One system with one way of asking it."""

    def __init__(self, name: str, *, module: str, packages: Sequence[str], efforts: Sequence[int] = (DEPTH,)) -> None:
        self.name = name
        self.module = module
        self.packages = tuple(packages)
        self.efforts = tuple(efforts)
        """How much to look at, from little to much."""
        self.index = name
        """The system that builds what this one asks: itself, or one before it."""

    @abstractmethod
    def build(self, corpus: Corpus, directory: Path) -> None:
        """Index all of it, leaving what `open` needs in the empty `directory`."""

    @abstractmethod
    def open(self, corpus: Corpus, directory: Path) -> Searcher:
        """Open what `build` left. `corpus` is for looking up which video a segment is of."""


class Searcher(ABC):
    """An open system. Safe to ask from several threads."""

    @abstractmethod
    def search(self, question: Question, effort: int) -> list[int]:
        """The best videos, at most `PLACES`, best first."""


class Ranks(Generic[Key]):
    """Reciprocal rank fusion: what stands at places of several lists adds `1 / (60 + place)` for each."""

    def __init__(self) -> None:
        self._scores: dict[Key, float] = {}

    def add(self, ranking: Iterable[Key]) -> None:
        """One list, best first; what stands there again counts once."""
        for place, key in enumerate(dict.fromkeys(ranking), start=1):
            self._scores[key] = self._scores.get(key, 0.0) + 1 / (RANK_OFFSET + place)

    def best(self, count: int) -> list[Key]:
        """The `count` best, best first."""
        ordered = sorted(self._scores.items(), key=lambda item: -item[1])
        return [key for key, _ in ordered[:count]]
