"""Between the engine's JSON and the types of `pixr.types`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixr.types import Channel, Creator, Hit, Hits, Match, Mode, Moment, Segment, Timing, Video

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODE_OF: dict[Channel, Mode] = {
    "frame": "visual",
    "metadata": "text",
    "screen": "text",
    "speech": "audio",
    "sound": "audio",
}


def video_from_json(value: Mapping[str, Any]) -> Video:
    """A video as the engine writes it."""
    creator = value.get("creator")
    return Video(
        id=value["id"],
        title=value.get("title", ""),
        description=value.get("description", ""),
        tags=tuple(value.get("tags", ())),
        duration=value.get("duration", 0.0),
        created=value.get("created"),
        quality=value.get("quality"),
        creator=Creator(**creator) if creator else None,
        source=value.get("source"),
        content_hash=value.get("content_hash"),
        metadata=value.get("metadata", {}),
    )


def video_to_json(video: Video) -> dict[str, Any]:
    """A video as the engine reads it; unknown values are left out."""
    value: dict[str, Any] = {
        "id": video.id,
        "title": video.title,
        "description": video.description,
        "tags": list(video.tags),
        "duration": video.duration,
    }
    for name in ("created", "quality", "source", "content_hash"):
        if (known := getattr(video, name)) is not None:
            value[name] = known
    if video.creator is not None:
        value["creator"] = asdict(video.creator)
    if video.metadata:
        value["metadata"] = dict(video.metadata)
    return value


def hits_from_json(
    value: Mapping[str, Any],
    timing: Timing,
    warnings: tuple[str, ...] = (),
    clauses: Sequence[str] = (),
    parts: Sequence[str] = (),
) -> Hits:
    """A page as the engine writes it; `clauses` are those that it was asked, `parts` the related questions."""
    return Hits(
        items=tuple(_hit(hit, clauses, parts) for hit in value["hits"]),
        total=value["total"],
        total_relation=value["total_relation"],
        facets=value["facets"],
        next_cursor=value["next_cursor"],
        snapshot=value["snapshot"],
        timing=timing,
        warnings=warnings,
    )


def _hit(value: Mapping[str, Any], clauses: Sequence[str], parts: Sequence[str]) -> Hit:
    moments = tuple(
        Moment(
            moment["start"],
            moment["end"],
            moment["peak"],
            moment["score"],
            tuple(_match(match, clauses, parts) for match in moment["matches"]),
        )
        for moment in value["moments"]
    )
    return Hit(video_from_json(value["video"]), value["score"], moments)


def _match(value: Mapping[str, Any], clauses: Sequence[str], parts: Sequence[str]) -> Match:
    channel: Channel = value["channel"]
    snippet = value.get("snippet")
    clause = value.get("clause")
    return Match(
        start=value["start"],
        end=value["end"],
        mode=MODE_OF[channel],
        channel=channel,
        confidence=value["confidence"],
        weight=value["weight"],
        contribution=value["contribution"],
        cosine=value.get("cosine"),
        bm25=value.get("lexical"),
        description=snippet["text"] if snippet else None,
        highlights=tuple((start, end) for start, end in snippet["highlights"]) if snippet else (),
        # The clauses of a related question are not told apart.
        clause=None if clause is None or parts else clauses[clause],
        part=parts[value["part"]] if parts else None,
    )


def segments_from_rows(rows: list[dict[str, Any]]) -> list[Segment]:
    """Rows of an exported batch as segments."""
    segments = []
    for row in rows:
        if row["start"] is None:
            continue
        texts: dict[Channel, str] = {}
        channels = []
        for channel in MODE_OF:
            text = row.get(f"{channel}.text") or row.get(f"{channel}.description")
            if text:
                texts[channel] = text
            if text or row.get(f"{channel}.vector") is not None:
                channels.append(channel)
        segments.append(Segment(row["start"], row["end"], texts, tuple(channels)))
    return segments
