"""Encodes a video that is in a library anew: its stored words, and the pictures and sound of its source file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixr.errors import UnreadableVideo
from pixr.frame_vectors import frame_vectors
from pixr.rows import Rows
from pixr.source_files import source_to_path
from pixr.titles import words_of
from pixr.types import Channel, Video

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.encoders.protocol import ImageEncoder, TextEncoder

__all__ = ["encode_anew", "fingerprint", "stored_rows"]


def stored_rows(library: _engine.Library, id: str) -> list[dict[str, Any]]:
    """A video's segments; in place of a vector, whether there is one."""
    import pyarrow as pa

    batch = pa.record_batch(library.segments([id]))
    columns = {
        name: batch.column(name).is_valid() if name.endswith(".vector") else batch.column(name)
        for name in batch.schema.names
    }
    rows: list[dict[str, Any]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return [row for row in rows if row["start"] is not None]


def fingerprint(video: Video, rows: list[dict[str, Any]]) -> str:
    """A digest of all that the new vectors depend on: the source, the words, the spans."""
    said = [(row["start"], row["end"], row.get("speech.text"), bool(row.get("frame.vector"))) for row in rows]
    told = (video.title, video.description, list(video.tags), video.source, video.content_hash)
    return hashlib.sha256(json.dumps([told, said]).encode()).hexdigest()


def encode_anew(video: Video, rows: list[dict[str, Any]], encoders: Mapping[Channel, TextEncoder]) -> Rows:
    """New vectors on these channels: of what is said, of titles and pictures that have a vector, and of what is heard.

    Raises:
        UnreadableVideo: pictures or sound are needed, and the source is gone, is another file, or can't be decoded.
    """
    from pixr.encoders.protocol import ImageEncoder, SoundEncoder

    made = Rows(video.id)
    if (text := encoders.get("speech")) is not None:
        said = [row for row in rows if row.get("speech.text")]
        for row, vector in zip(said, text.encode_documents([row["speech.text"] for row in said]), strict=True):
            made.add(row["start"], row["end"], "speech", vector=vector)
    if (text := encoders.get("metadata")) is not None:
        words = words_of(video)
        for row in rows:
            if row.get("metadata.vector") and words:
                made.add(row["start"], row["end"], "metadata", vector=text.encode_documents([words])[0])
    if isinstance(visual := encoders.get("frame"), ImageEncoder):
        _encode_frames(video, rows, visual, made)
    if isinstance(sound := encoders.get("sound"), SoundEncoder):
        _encode_sound(video, sound, made)
    return made


def _encode_frames(video: Video, rows: list[dict[str, Any]], encoder: ImageEncoder, made: Rows) -> None:
    """Give each span that has a vector a new one, of the source's pictures in it."""
    from pixr.media.sandbox import open_segments

    waiting = sorted({(row["start"], row["end"]) for row in rows if row.get("frame.vector")}, reverse=True)
    if not waiting:
        return
    vectors_of: dict[tuple[float, float], list[Any]] = {}  # by each span that has begun and not ended

    def close(spans: Sequence[tuple[float, float]]) -> None:
        for span in spans:
            if vectors := vectors_of.pop(span):
                pooled = encoder.pool(np.stack(vectors))
                made.add(*span, "frame", vector=pooled, description=encoder.describe(pooled[None])[0])

    last: Any = None
    with open_segments(_source(video)) as stream:
        for segment in stream:
            encoded = frame_vectors(encoder, segment.frames, last)
            for frame, vector in zip(segment.frames, encoded, strict=True):
                at = frame.timestamp_seconds
                while waiting and waiting[-1][0] <= at:
                    vectors_of[waiting.pop()] = []
                close([span for span in vectors_of if span[1] <= at])
                for vectors in vectors_of.values():
                    vectors.append(vector)
                last = vector
    close(list(vectors_of))


def _encode_sound(video: Video, encoder: Any, made: Rows) -> None:
    from pixr.media.sandbox import open_audio
    from pixr.media.sounds import hear

    for sound in hear(open_audio(_source(video), sample_rate_hz=encoder.sample_rate_hz), encoder):
        made.add(sound.start_seconds, sound.end_seconds, "sound", vector=sound.vector, description=sound.description)


def _source(video: Video) -> str:
    """The video's file. It must be the one that was indexed, since the video's spans were found in that."""
    from pixr.ingest import content_hash

    file = source_to_path(video.source) if video.source else None
    if file is None or not file.is_file():
        raise UnreadableVideo(video.source or video.id, f"its source is not there any more: {video.source or 'none'}")
    if video.content_hash is not None and content_hash(file) != video.content_hash:
        raise UnreadableVideo(file, f"{video.source} is not the file that was indexed")
    return os.fspath(file)
