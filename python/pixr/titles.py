"""The vector of what a video's title, description and tags say: made anew when they change."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pixr.asking import spaces_of
from pixr.errors import MissingExtra, ModelError, ModelNotFound
from pixr.rows import Rows
from pixr.source_files import source_to_path, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from pixr import _engine
    from pixr.encoders.load import Encoders
    from pixr.encoders.protocol import Vectors
    from pixr.types import Video

VECTOR = "metadata.vector"


def metadata_words(title: str, description: str, tags: Iterable[str]) -> str:
    """The text whose vector stands for a video's metadata."""
    return "\n".join(part for part in (title, description, ", ".join(tags)) if part)


def words_of(video: Video) -> str:
    """The same of an indexed video; a title that is only the name of its file says nothing."""
    is_named = bool(video.source) and video.title == title_of(source_to_path(video.source or "") or video.source or "")
    return metadata_words("" if is_named else video.title, video.description, video.tags)


def retitled(
    engine: _engine.Library, before: Video, after: Video, encoders: Callable[[], Encoders]
) -> tuple[pa.RecordBatch | None] | None:
    """All segments of a video whose words change, with the vector of the new ones; None where there is none to change.

    Vectors of one's own stay: only what an encoder of the library made is made anew. Where that can't be loaded the
    vector goes, with a RuntimeWarning: the video is then found by the words themselves, and by the old ones no more.
    """
    space = spaces_of(engine).get("metadata")
    if space is None or words_of(before) == words_of(after):
        return None
    import pyarrow as pa

    held = pa.table(pa.record_batch(engine.segments([after.id])))
    has_vector = VECTOR in held.column_names and held.column(VECTOR).null_count < held.num_rows
    if not has_vector and after.content_hash is None:
        return None
    vector: Vectors | None = None
    try:
        text = encoders().text
        if (text.space.name, text.space.version) != (space["name"], space["version"]):
            return None
        if words := words_of(after):
            vector = text.encode_documents([words])[0]
    except (MissingExtra, ModelNotFound, ModelError) as error:
        message = f"video {after.id!r} is found by its new words, not by their meaning: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    return (_with_vector(held, after, vector),)


def _with_vector(held: pa.Table, video: Video, vector: Vectors | None) -> pa.RecordBatch | None:
    """The rows without the old vector, and one with the new."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rest = held.drop_columns([name for name in (VECTOR, "video") if name in held.column_names])
    evidence = [name for name in rest.column_names if name not in ("video_id", "start", "end")]
    says = [pc.is_valid(rest.column(name)) for name in evidence]
    kept = rest.filter(pc.fill_null(_any(says), False)) if says else rest.slice(0, 0)
    made = Rows(video.id)
    if vector is not None:
        made.add(0.0, video.duration, "metadata", vector=vector)
    row = made.batch()
    tables = [kept] if row is None else [kept, pa.table(row)]
    batches = pa.concat_tables(tables, promote_options="permissive").combine_chunks().to_batches()
    return batches[0] if batches else None


def _any(masks: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found
