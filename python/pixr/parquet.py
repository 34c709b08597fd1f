"""A library as one Parquet file, and back.

One row is one segment with the columns of `Library.add_segments`, and `video`, the metadata as JSON in a video's first
row. The schema's metadata holds the spaces and calibrations, and which encoders the library was indexed with. Vectors
stay float16, bit for bit.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from pixr import _engine
from pixr.encoder_choice import Choice, remember_first
from pixr.errors import InvalidBatch, PixrError, StorageError, VideoNotFound

_SETTINGS = b"pixr.settings"
_ENCODERS = b"pixr.encoders"
_VIDEOS_PER_BATCH = 200


class _Changed(Exception):
    """The library was written to while it was read, so what was read is of no one state."""


def export(engine: _engine.Library, path: Path, choice: Choice | None) -> int:
    """Write every video; a file that was there is replaced when all is written. Returns the number of videos.

    What is written is the library at one moment. Where others write meanwhile, it is copied first, to a folder beside
    `path` that is gone afterwards. A failure leaves nothing behind.
    """
    part = path.with_name(path.name + ".part")
    try:
        try:
            count = _write(engine, part, choice)
        except _Changed:
            count = _write_copy(engine, part, choice)
        part.replace(path)
    except PixrError:  # some are an OSError too
        raise
    except OSError as error:
        raise StorageError(f"write {path}: {error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return count


def _write_copy(engine: _engine.Library, part: Path, choice: Choice | None) -> int:
    """As `_write`, of a copy, which nobody writes to."""
    with tempfile.TemporaryDirectory(prefix=f"{part.name}-", dir=part.parent) as folder:
        engine.backup(folder)
        copy = _engine.Library.open(folder, json.dumps({"access": "read"}))
        try:
            return _write(copy, part, choice)
        finally:
            copy.close()


def _write(engine: _engine.Library, part: Path, choice: Choice | None) -> int:
    """Write every video to `part`.

    Raises:
        _Changed: the library was written to meanwhile; the file is not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = _number(engine)
    ids = engine.video_ids()
    schema = pa.record_batch(engine.segments([])).schema
    metadata = {**(schema.metadata or {}), _SETTINGS: engine.settings().encode()}
    if choice is not None:
        metadata[_ENCODERS] = choice.encode().encode()
    schema = schema.with_metadata(metadata)
    with pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for start in range(0, len(ids), _VIDEOS_PER_BATCH):
            try:
                batch = pa.record_batch(engine.segments(ids[start : start + _VIDEOS_PER_BATCH]))
            except VideoNotFound as error:
                raise _Changed from error
            if _number(engine) != number:
                raise _Changed
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    return len(ids)


def _number(engine: _engine.Library) -> int:
    """The number of the library's state; equal numbers mean equal content."""
    return int(json.loads(engine.info())["snapshot"])


def load(engine: _engine.Library, path: Path, library: Path) -> int:
    """Add every video of the file. Returns the number of videos.

    The library, in the folder `library`, is from then on asked with the file's encoders, if it has none on record.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidBatch(f"{path} is not a Parquet file: {error}") from error
    except OSError as error:
        raise StorageError(f"read {path}: {error}") from error
    metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    settings: dict[str, Any] = json.loads(metadata.get(_SETTINGS, b"{}"))
    for channel, space in settings.get("spaces", {}).items():
        engine.set_space(channel, space["name"], space["version"], space["dimension"])
    for channel, calibration in settings.get("calibrations", {}).items():
        engine.set_calibration(channel, json.dumps(calibration))
    ids: set[str] = set()
    for batch in file.iter_batches(batch_size=16_384):
        ids.update(engine.add_segments(batch))
    if ids and (said := metadata.get(_ENCODERS)) is not None:
        remember_first(library, Choice.decode(said))
    return len(ids)
