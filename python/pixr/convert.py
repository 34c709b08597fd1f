"""Between the engine's JSON and the types of `pixr.types`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixr import _engine
from pixr.errors import InvalidVideo
from pixr.json_text import as_json
from pixr.types import Channel, Creator, Mode, Segment, Video

if TYPE_CHECKING:
    import pyarrow as pa

MODE_OF: dict[Channel, Mode] = {
    "frame": "visual",
    "metadata": "text",
    "screen": "text",
    "speech": "audio",
    "sound": "audio",
}

_TEXT: tuple[str, Any] = ("a text", str)
_OPTIONAL_TEXT: tuple[str, Any] = ("a text", str | None)
_TYPES: dict[str, tuple[str, Any]] = {
    "id": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "duration": ("a number of seconds", int | float),
    "created": _OPTIONAL_TEXT,
    "quality": _OPTIONAL_TEXT,
    "creator": ("a Creator", Mapping | None),
    "source": _OPTIONAL_TEXT,
    "content_hash": _OPTIONAL_TEXT,
    "metadata": ("values by name", Mapping),
}
"""What the fields of a video have to be. The engine checks it as well, but names only a column of its JSON."""
_CREATOR_TYPES: dict[str, tuple[str, Any]] = {"id": _TEXT, "name": _TEXT, "verified": ("true or false", bool)}


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
    """A video as the engine reads it; unknown values are left out.

    Raises:
        InvalidVideo: `creator` or `metadata` has a wrong type.
    """
    if video.creator is not None and not isinstance(video.creator, Creator):
        raise _refused(video.id, f"creator is {type(video.creator).__name__}, a Creator is expected")
    if not isinstance(video.metadata, Mapping):
        raise _refused(video.id, f"metadata is {type(video.metadata).__name__}, values by name are expected")
    value: dict[str, Any] = {
        "id": video.id,
        "title": video.title,
        "description": video.description,
        "tags": video.tags,
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


def video_to_text(video: Video | Mapping[str, Any]) -> str:
    """A video, or its fields, as the JSON text that the engine takes.

    Raises:
        InvalidVideo: a field can't be written as JSON; the message names it.
    """
    if not isinstance(video, Video | Mapping):
        raise _refused(None, f"it is {type(video).__name__}, a Video or its fields by name are expected")
    fields = video_to_json(video) if isinstance(video, Video) else dict(video)
    if "tags" in fields:
        fields["tags"] = list(tags_of(fields.get("id"), fields["tags"]))
    if unknown := sorted(str(name) for name in fields if name not in Video.__dataclass_fields__):
        known = ", ".join(Video.__dataclass_fields__)
        raise _refused(fields.get("id"), f"it has no {', '.join(unknown)}; what a video has is {known}")
    if "id" not in fields:
        raise _refused(None, "it has no id")
    for name, value in fields.items():
        try:
            as_json(value, _whole_number)
        except (TypeError, ValueError, RecursionError) as error:
            raise _refused(fields.get("id"), f"{name}: {error}") from None
        _check_type(fields.get("id"), name, value, _TYPES.get(name))
    for name, value in (fields.get("creator") or {}).items():
        _check_type(fields.get("id"), f"creator.{name}", value, _CREATOR_TYPES.get(name))
    return json.dumps(fields)


def _check_type(id: Any, name: str, value: Any, known: tuple[str, Any] | None) -> None:
    expected, types = known or ("a value", object)
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        got = "nothing" if value is None else type(value).__name__
        raise _refused(id, f"{name} is {got}, {expected} is expected")


def check_video(video: Video) -> None:
    """Refuse metadata that can't be stored, before work is spent on the video. This takes half a millisecond.

    The engine decides what can be stored, so a library in memory is given the video.

    Raises:
        InvalidVideo: the message names the field and what is wrong with it.
    """
    _engine.Library.in_memory().put(video_to_text(video))


def tags_of(id: Any, tags: Any) -> tuple[str, ...]:
    """The tags of a video, from anything that yields texts but is not a text, whose letters would become tags.

    Raises:
        InvalidVideo: `tags` is something else.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise _refused(id, f"tags is {type(tags).__name__}, a list of words is expected")
    words = tuple(tags)
    for word in words:
        if not isinstance(word, str):
            raise _refused(id, f"tags has {type(word).__name__}, words are expected")
    return words


def _whole_number(digits: str) -> int:
    """A whole number that the engine keeps as it is; it would take a larger one for the float that is near to it."""
    number = int(digits)
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"a whole number ({digits[:40]}) has more than 64 bits; write it as text")
    return number


def _refused(id: Any, detail: str) -> InvalidVideo:
    return InvalidVideo(f'invalid video "{id or ""}": {detail}')


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
