"""A library as one Parquet file, and back.

One row is one segment with the columns of `Library.add_segments`, and `video`, the metadata as JSON in a video's first
row. The schema's metadata holds the spaces and calibrations, and which encoders the library was indexed with. Vectors
stay float16, bit for bit.

A file that another program wrote has neither; its vectors are then of spaces called "custom", and its columns may have
other names.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixr import _engine
from pixr.batches import custom_spaces, one_batch
from pixr.columns import check_columns, chosen, left_out, told
from pixr.encoder_choice import Choice, remember_first
from pixr.errors import InvalidBatch, PixrError, StorageError, VideoNotFound
from pixr.scratch import scratch_folder
from pixr.set_spaces import set_spaces
from pixr.spaces import spaces_of
from pixr.types import Channel
from pixr.whole_file import partial_names, whole_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pixr.encoders.protocol import Space

_SETTINGS = b"pixr.settings"
_ENCODERS = b"pixr.encoders"
_VIDEOS_PER_BATCH = 200
_ROWS_PER_READ = 16_384
# Added at once: a quarter of what one write of the engine takes, for rows take more room there.
_BYTES_PER_WRITE = 64 << 20


class _Changed(Exception):
    """The library was written to while it was read, so what was read is of no one state."""


def export(engine: _engine.Library, path: Path, choice: Choice | None) -> int:
    """Write every video; a file that was there is replaced when all is written. Returns the number of videos.

    What is written is the library at one moment. Where others write meanwhile, it is copied first, to a folder beside
    `path` that is gone afterwards. A failure leaves nothing behind, and what a process that was killed left is removed.
    """
    try:
        with whole_file(path) as part:
            try:
                return _write(engine, part, choice)
            except _Changed:
                return _write_copy(engine, path, part, choice)
    except PixrError:  # some are an OSError too
        raise
    except OSError as error:
        raise StorageError(f"write {path}: {error}") from error


def _write_copy(engine: _engine.Library, path: Path, part: Path, choice: Choice | None) -> int:
    """As `_write`, of a copy beside `part`, which nobody writes to."""
    with scratch_folder(part.parent, *partial_names(path)) as folder:
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
    schema = _without_room(pa.record_batch(engine.segments([]))).schema
    metadata = {**(schema.metadata or {}), _SETTINGS: engine.settings().encode()}
    if choice is not None:
        metadata[_ENCODERS] = choice.encode().encode()
    schema = schema.with_metadata(metadata)
    # Files are opened here, for pyarrow takes a name with a colon for an address. The schema of Arrow is left out: that
    # of Parquet says all that is needed, to every program that reads it.
    with (
        part.open("wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True, store_schema=False) as writer,
    ):
        for start in range(0, len(ids), _VIDEOS_PER_BATCH):
            try:
                batch = pa.record_batch(engine.segments(ids[start : start + _VIDEOS_PER_BATCH]))
            except VideoNotFound as error:
                raise _Changed from error
            if _number(engine) != number:
                raise _Changed
            writer.write_batch(_without_room(batch).replace_schema_metadata(schema.metadata))
        writer.add_key_value_metadata(schema.metadata)
    return len(ids)


def _without_room(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with lists of any length as vectors, which take nothing in the rows that have none.

    The engine's lists have one length, and so room for a vector in every row. pyarrow before 25 refuses to write that.
    """
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_fixed_size_list(field.type):
            vectors = batch.column(place)
            is_there = vectors.is_valid().to_numpy(zero_copy_only=False)
            bounds = np.append(0, np.cumsum(is_there, dtype=np.int64) * field.type.list_size)
            offsets = pa.array(bounds, mask=np.append(~is_there, False))
            lists = pa.LargeListArray.from_arrays(offsets, vectors.drop_null().flatten())
            batch = batch.set_column(place, field.with_type(lists.type), lists)
    return batch


def _number(engine: _engine.Library) -> int:
    """The number of the library's state; equal numbers mean equal content."""
    return int(json.loads(engine.info())["snapshot"])


def load(engine: _engine.Library, path: Path, library: Path, columns: Mapping[str, str] | None = None) -> int:
    """Add every video of the file. Returns the number of videos.

    `columns` gives the file's name of each column that is read; without, all are, by their names. The library, in the
    folder `library`, is from then on asked with the file's encoders, if it has none on record. A file whose first rows
    are refused leaves nothing behind; what came before other rows that are refused stays.

    Raises:
        InvalidBatch: the file is not a Parquet file, is damaged, or has other columns than segments have.
        InvalidQuery: `columns` is no mapping of names.
        StorageError: it can't be read.
        InvalidVector, InvalidSpan, DimensionMismatch, SpaceMismatch: as `Library.add_segments`.
    """
    with Exported.open(path, columns) as exported:
        batches = exported.batches()
        first = next(batches, exported.no_rows)
        set_spaces(engine, {**custom_spaces(first, spaces_of(engine)), **exported.spaces}, first)
        for channel, calibration in exported.calibrations.items():
            engine.set_calibration(channel, calibration)
        ids: set[str] = set()
        for batch in itertools.chain([first], batches):
            set_spaces(engine, custom_spaces(batch, spaces_of(engine)), batch)
            ids.update(engine.add_segments(batch))
    if ids and exported.choice is not None:
        remember_first(library, exported.choice)
    return len(ids)


def check(path: Path, columns: Mapping[str, str] | None = None) -> list[str]:
    """Load the file's first rows into a library in memory, which refuses what any new library would.

    Returns the names of the columns that are not read. Raises: as `load`.
    """
    with Exported.open(path, columns) as exported, closing(_engine.Library.in_memory()) as engine:
        first = next(exported.batches(), exported.no_rows)
        set_spaces(engine, {**custom_spaces(first, {}), **exported.spaces}, first)
        engine.add_segments(first)
        return left_out(exported.file.schema_arrow, columns)


@dataclass(frozen=True)
class Exported:
    """A file that `export` or another program wrote, open, with what it says of the library as a whole.

    A context manager: leaving it closes.

    Attributes:
        columns: the file's name of each column that is read; all by their names if None.
        no_rows: a batch with the columns that are read.
    """

    path: Path
    file: pq.ParquetFile
    columns: Mapping[str, str] | None
    no_rows: pa.RecordBatch
    spaces: dict[Channel, Space]
    calibrations: dict[Channel, str]
    choice: Choice | None

    @classmethod
    def open(cls, path: Path, columns: Mapping[str, str] | None = None) -> Exported:
        """Open the file and read what it says of the library, but no rows.

        Raises:
            InvalidBatch, InvalidQuery, StorageError: as `load`.
        """
        from pixr.encoders.protocol import Space

        if columns is not None:
            check_columns(columns)
        with _naming(path):
            file = _opened(path)
            metadata: dict[bytes, bytes] = file.metadata.metadata or {}
        try:
            settings: dict[str, Any] = json.loads(metadata.get(_SETTINGS, b"{}"))
            spaces = {channel: Space(**space) for channel, space in settings.get("spaces", {}).items()}
            calibrations = {channel: json.dumps(one) for channel, one in settings.get("calibrations", {}).items()}
            said = metadata.get(_ENCODERS)
            choice = None if said is None else Choice.decode(said)
            _try(spaces, calibrations)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            file.close(force=True)
            raise InvalidBatch(f"{path} is damaged: what it says of the library as a whole: {error}") from error
        try:
            no_rows = _no_rows(path, file.schema_arrow, columns)
        except BaseException:
            file.close(force=True)
            raise
        return cls(path, file, columns, no_rows, spaces, calibrations, choice)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in pieces that one write takes. Raises: as `load`."""
        names = None if self.columns is None else list(self.columns.values())
        batches = self.file.iter_batches(batch_size=_ROWS_PER_READ, columns=names)
        left: int = self.file.metadata.num_rows
        while left > 0:
            with _naming(self.path):
                batch = next(batches, None)
                if batch is None:  # a page whose header is damaged can end the reading
                    raise InvalidBatch(f"{self.path} is damaged: {left} rows are missing")
                batch.validate(full=True)
            left -= len(batch)
            yield from _pieces(one_batch(chosen(batch, self.columns)))

    def __enter__(self) -> Exported:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close(force=True)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch, cut in halves until each is short enough or a single row."""
    if batch.nbytes <= _BYTES_PER_WRITE or len(batch) == 1:
        yield batch
        return
    middle = len(batch) // 2
    yield from _pieces(batch.slice(0, middle))
    yield from _pieces(batch.slice(middle))


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    source = path.open("rb")
    try:
        return pq.ParquetFile(source, page_checksum_verification=True)
    except BaseException:
        source.close()
        raise


def _no_rows(path: Path, schema: pa.Schema, columns: Mapping[str, str] | None) -> pa.RecordBatch:
    """A batch with the columns that are read, which a library in memory takes.

    Raises:
        InvalidBatch: says which columns are expected, and which are there.
    """
    import pyarrow as pa

    try:
        with _naming(path):
            empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
        batch = one_batch(chosen(empty, columns))
        with closing(_engine.Library.in_memory()) as engine:
            engine.add_segments(batch)
    except InvalidBatch as error:
        raise InvalidBatch(f"{path}: {str(error).removeprefix('invalid batch: ')}; {told(schema)}") from None
    return batch


def _try(spaces: Mapping[Channel, Space], calibrations: Mapping[Channel, str]) -> None:
    """Set them in a library in memory, which refuses what any library would."""
    engine = _engine.Library.in_memory()
    for channel, space in spaces.items():
        engine.set_space(channel, space.name, space.version, space.dimension)
    for channel, calibration in calibrations.items():
        engine.set_calibration(channel, calibration)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of pyarrow as those of Pixr, with the file's name."""
    import pyarrow as pa

    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise StorageError(f"read {path}: {error}") from error
        raise InvalidBatch(f"{path} is damaged: {error}") from error  # pyarrow says so of bytes that mean nothing
    except (pa.ArrowException, UnicodeDecodeError) as error:  # the latter of the name of a column
        raise InvalidBatch(f"{path} is not a Parquet file, or is damaged: {error}") from error
