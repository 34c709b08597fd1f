"""Between the engine's JSON and the types of `pixr.types`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixr.types import Channel, Creator, Mode, Segment, Video

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

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


def segments_from_batch(batch: pa.RecordBatch) -> list[Segment]:
    """Rows of an exported batch as segments. Of a vector it matters only whether there is one, so none is read."""
    columns = [
        (column.is_valid() if name.endswith(".vector") else column).to_pylist()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    segments = []
    for values in zip(*columns, strict=True):
        row: dict[str, Any] = dict(zip(batch.schema.names, values, strict=True))
        if row["start"] is None:
            continue
        texts: dict[Channel, str] = {}
        channels = []
        for channel in MODE_OF:
            text = row.get(f"{channel}.text") or row.get(f"{channel}.description")
            if text:
                texts[channel] = text
            if text or row.get(f"{channel}.vector"):
                channels.append(channel)
        segments.append(Segment(row["start"], row["end"], texts, tuple(channels)))
    return segments
