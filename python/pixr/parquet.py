"""A library as one Parquet file, and back.

One row is one segment with the columns of `Library.add_segments`, and `video`, the metadata as JSON in a video's first
row. The schema's metadata holds the spaces and calibrations. Vectors stay float16, bit for bit.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pixr.errors import InvalidBatch, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from pixr import _engine

_SETTINGS = b"pixr.settings"
_VIDEOS_PER_BATCH = 200


def export(engine: _engine.Library, path: Path) -> int:
    """Write every video; a file that was there is replaced when all is written. Returns the number of videos."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = engine.video_ids()
    part = path.with_name(path.name + ".part")
    schema = pa.record_batch(engine.segments([])).schema
    schema = schema.with_metadata({**(schema.metadata or {}), _SETTINGS: engine.settings().encode()})
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for start in range(0, len(ids), _VIDEOS_PER_BATCH):
                batch = pa.record_batch(engine.segments(ids[start : start + _VIDEOS_PER_BATCH]))
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"write {path}: {error}") from error
    return len(ids)


def load(engine: _engine.Library, path: Path) -> int:
    """Add every video of the file. Returns the number of videos."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidBatch(f"{path} is not a Parquet file: {error}") from error
    except OSError as error:
        raise StorageError(f"read {path}: {error}") from error
    settings: dict[str, Any] = json.loads((file.schema_arrow.metadata or {}).get(_SETTINGS, b"{}"))
    for channel, space in settings.get("spaces", {}).items():
        engine.set_space(channel, space["name"], space["version"], space["dimension"])
    for channel, calibration in settings.get("calibrations", {}).items():
        engine.set_calibration(channel, json.dumps(calibration))
    ids: set[str] = set()
    for batch in file.iter_batches(batch_size=16_384):
        ids.update(engine.add_segments(batch))
    return len(ids)
