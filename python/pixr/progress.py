"""What indexing is given, what it reports while it works, and what it returns at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

from pixr.errors import PixrError
from pixr.types import Channel, Creator, Video

Stage = Literal["decode", "visual", "speech", "screen", "sound", "store"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to index, with its metadata. Without `id`, an id is made from the hash of its content.

    `captions` is a file (SRT, WebVTT, JSON) with what is said, in place of the file's own subtitles and
    of recognising it.
    """

    path: str | PathLike[str]
    id: str | None = None
    title: str = ""
    description: str = ""
    tags: Sequence[str] = ()
    created: str | None = None
    quality: str | None = None
    creator: Creator | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    captions: str | PathLike[str] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of one video is, in seconds of the video."""

    video: str
    stage: Stage
    seconds_done: float
    seconds_total: float
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source. `warnings` say what was left out, such as speech that can't be recognised here.

    `stage_seconds` is how long each stage was busy, on its own thread.
    """

    source: Source
    status: Literal["added", "skipped", "failed"]
    video: Video | None = None
    error: PixrError | None = None
    warnings: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Reindexed:
    """What `Library.reindex` did.

    Attributes:
        channels: those whose vectors are now of another space, or will be once it is complete.
        encoded: how many videos this run encoded; an earlier run may have encoded others.
        complete: whether the new spaces serve now. They don't after failures, unless these were to be left out.
        refused: (video, its fingerprint, reason) for each video in `failed`.
    """

    channels: tuple[Channel, ...]
    encoded: int = 0
    complete: bool = False
    refused: list[tuple[Video, str, str]] = field(default_factory=list, repr=False)

    @property
    def failed(self) -> list[tuple[Video, str]]:
        """(video, reason) for each video that can't be encoded anew, for example because its source is gone."""
        return [(video, reason) for video, _, reason in self.refused]
