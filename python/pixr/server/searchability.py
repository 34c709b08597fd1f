"""How findable a video is, from 0 to 100: what share of it each kind of evidence covers, and how well it is described.

    score = 100 · (0.35 frame + 0.25 speech + 0.10 screen + 0.10 title + 0.10 description + 0.10 tags)

`frame` is the share of the duration with a picture vector. `speech` and `screen` are the shares with words heard or
seen, counted as whole from a third and from a tenth of the duration on: nobody talks all the time. `title`,
`description` and `tags` are 1 where there are at least 3 words, 20 words and 3 tags, and less in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixr.types import Channel, Segment, Video

__all__ = ["searchability"]

WEIGHTS = {"frame": 0.35, "speech": 0.25, "screen": 0.10, "title": 0.10, "description": 0.10, "tags": 0.10}
_ENOUGH_SPEECH = 1 / 3
_ENOUGH_SCREEN = 1 / 10


def searchability(video: Video, segments: Sequence[Segment]) -> dict[str, Any]:
    """The score with its parts, each from 0 to 1."""

    def covered(channel: Channel) -> float:
        spans = sorted((one.start, one.end) for one in segments if channel in one.channels)
        seconds, reached = 0.0, 0.0
        for start, end in spans:
            seconds += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return min(1.0, seconds / video.duration) if video.duration > 0 else 0.0

    parts = {
        "frame": covered("frame"),
        "speech": min(1.0, covered("speech") / _ENOUGH_SPEECH),
        "screen": min(1.0, covered("screen") / _ENOUGH_SCREEN),
        "title": min(1.0, len(video.title.split()) / 3),
        "description": min(1.0, len(video.description.split()) / 20),
        "tags": min(1.0, len(video.tags) / 3),
    }
    score = 100 * sum(WEIGHTS[name] * part for name, part in parts.items())
    return {"searchabilityScore": round(score, 1), "parts": parts}
