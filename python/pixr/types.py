"""What goes in and what comes out: videos, segments, hits, moments, matches.

All are frozen dataclasses; `pixr.wire` gives the shapes of the HTTP API (camelCase), with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from pixr.arguments import MOST_SECONDS, check_number, check_whole_number

__all__ = [
    "Channel",
    "Creator",
    "FacetMode",
    "Facets",
    "Fusion",
    "Hit",
    "Hits",
    "Limits",
    "Match",
    "Mode",
    "Moment",
    "Segment",
    "Sync",
    "Timing",
    "Total",
    "Video",
    "Way",
]

Mode = Literal["visual", "text", "audio"]
Channel = Literal["frame", "metadata", "screen", "speech", "sound"]
FacetMode = Literal["filtered", "disjunctive"]
Fusion = Literal["weighted_sum", "probabilistic", "max", "rrf"]
Sync = Literal["always", "group", "none"]
Total = Literal["exact", "found"]
Facets = dict[str, dict[str, int]]
Way = Literal["exact", "codes", "filtered_walk", "approximate"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a library uses, for `pixr.open`. None stands for the engine's default, which is given for each.

    At the first three limits background work begins; at twice the limit writers wait for it.

    Args:
        writer_memory: bytes of segments in memory before they become a part; 128 MiB. While the part is written, they
            are in memory three times.
        log_bytes: bytes of log before a part is written; 64 MiB.
        parts: how many parts there may be before the smallest are merged; 64. Each is one open, mapped file.
        cursor_snapshots: how many old states are kept for cursors; 32.
        cursor_seconds: how long an old state is kept after its last use; 600.
        cursor_bytes: bytes on disk that only old states hold; 1 GiB. In memory they hold at most `writer_memory`.

    Raises:
        InvalidQuery: one is below 0, or not a whole number (`cursor_seconds`: not a number).
    """

    writer_memory: int | None = None
    log_bytes: int | None = None
    parts: int | None = None
    cursor_snapshots: int | None = None
    cursor_seconds: float | None = None
    cursor_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            given = getattr(self, name)
            if given is not None and name == "cursor_seconds":
                check_number(name, given, 0, MOST_SECONDS)
            elif given is not None:
                check_whole_number(name, given, 0, 1 << 62)


@dataclass(frozen=True, slots=True)
class Creator:
    """Who made a video."""

    id: str = ""
    name: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Video:
    """One source with its metadata. `duration` is in seconds, `created` an RFC 3339 date or date and time."""

    id: str
    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    duration: float = 0.0
    created: str | None = None
    quality: str | None = None
    creator: Creator | None = None
    source: str | None = None
    content_hash: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Segment:
    """A span `[start, end)` of a video in seconds, with what is known of it on each channel (text or description)."""

    start: float
    end: float
    texts: Mapping[Channel, str] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Evidence on one channel: when, how sure, what it says.

    Attributes:
        start: in seconds.
        end: in seconds.
        mode: the channel's mode.
        channel: the kind of evidence.
        confidence: in [0, 1], how often such evidence is right, if that was fitted for the space. Scores are made of
            other confidences, which come in the same order.
        weight: the channel's weight in the score.
        contribution: this match's part of the moment's score; the contributions of a moment add up to it. What the
            moment must not have contributes less than nothing.
        cosine: the raw score of vectors, None if none were compared.
        bm25: the raw score of words, None if none were compared.
        description: what the evidence says, in words.
        highlights: spans of `description`, in characters, that are words of the query.
        clause: the clause of the question that it answers best, None if that is the whole question.
        part: which of related questions it answers.
    """

    start: float
    end: float
    mode: Mode
    channel: Channel
    confidence: float
    weight: float
    contribution: float
    cosine: float | None = None
    bm25: float | None = None
    description: str | None = None
    highlights: tuple[tuple[int, int], ...] = ()
    clause: str | None = None
    part: str | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Moment:
    """Matches that overlap in time: a span in seconds that a player jumps to, and why."""

    start: float
    end: float
    peak: float
    score: float
    matches: tuple[Match, ...]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Hit:
    """A video, its score, and its moments, best first."""

    video: Video
    score: float
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent: encoding the query, searching, and in total.

    `counting` is the part of the search that went only into the total and the facets.
    """

    encode: float
    search: float
    total: float
    counting: float = 0.0


@dataclass(frozen=True, slots=True)
class Hits(Sequence[Hit]):
    """One page of hits, with counts over the full list.

    Attributes:
        items: the hits of this page.
        total: how many videos the query would return without a limit.
        total_relation: whether `total` and `facets` are exact.
        facets: by column and value, how many of all these videos have it.
        next_cursor: leads to the next page; None on the last.
        snapshot: the number of the state that was searched.
        timing: how long it took.
        warnings: what was asked for but could not be done.
        plan: how each channel was searched. Without effort, "exact". With effort, "approximate", or "filtered_walk"
            under a filter, or "codes" where no graph can be walked (there are few rows, or it is not in memory) or a
            filter leaves so little that reading codes takes less.
    """

    items: tuple[Hit, ...]
    total: int
    total_relation: Literal["exact", "estimated"]
    facets: Facets
    next_cursor: str | None
    snapshot: int
    timing: Timing
    warnings: tuple[str, ...] = ()
    plan: Mapping[Channel, Way] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        return self.items[index]
