"""The vector of what a video's title, description and tags say: made anew when they change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixr.errors import MissingExtra, ModelError, ModelNotFound
from pixr.rows import Rows
from pixr.source_files import is_title_of, source_to_path
from pixr.spaces import spaces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from pixr import _engine
    from pixr.encoders.load import Encoders
    from pixr.types import Video

VECTOR = "metadata.vector"


def metadata_words(title: str, description: str, tags: Iterable[str]) -> str:
    """The text whose vector stands for a video's metadata."""
    return "\n".join(part for part in (title, description, ", ".join(tags)) if part)


def words_of(video: Video) -> str:
    """The text whose vector stands for an indexed video's metadata. A title that only names its file is left out."""
    is_named = video.source is not None and is_title_of(video.title, source_to_path(video.source) or video.source)
    return metadata_words("" if is_named else video.title, video.description, video.tags)


@dataclass(frozen=True)
class Retitled:
    """Rows with a video's new vector, to be laid over the rows it has; None if it has no such vector any more."""

    rows: pa.RecordBatch | None


def retitled(engine: _engine.Library, before: Video, after: Video, encoders: Callable[[], Encoders]) -> Retitled | None:
    """The new vector of a video whose words change; None if it has no vector to change.

    Only a vector that an encoder of the library made is made anew; users' own vectors stay. If the encoder can't be
    loaded, the vector is removed, with a RuntimeWarning: the video is then found by its new words themselves, and no
    longer by the old ones.
    """
    space = spaces_of(engine).get("metadata")
    if space is None or words_of(before) == words_of(after):
        return None
    import pyarrow as pa

    held = pa.table(pa.record_batch(engine.segments([after.id])))
    spans = _spans(held)
    if not spans and after.content_hash is None:
        return None
    try:
        text = encoders().text
        if (text.space.name, text.space.version) != (space["name"], space["version"]):
            return None
        if words := words_of(after):
            made, vector = Rows(after.id), text.encode_documents([words])[0]
            for start, end in spans or [(0.0, after.duration)]:
                made.add(start, end, "metadata", vector=vector)
            return Retitled(made.batch())
    except (MissingExtra, ModelNotFound, ModelError) as error:
        message = f"video {after.id!r} is found by its new words, not by their meaning: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    return Retitled(None) if spans else None


def _spans(held: pa.Table) -> list[tuple[float, float]]:
    """The spans of a video that have such a vector: as it is indexed, one for the whole video."""
    import pyarrow.compute as pc

    if VECTOR not in held.column_names:
        return []
    rows = held.select(["start", "end"]).filter(pc.is_valid(held.column(VECTOR)))
    return [(row["start"], row["end"]) for row in rows.to_pylist()]
