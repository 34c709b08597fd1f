"""Turns anything that speaks Arrow into the single batch that the engine reads, and finds spaces for its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixr.convert import MODE_OF
from pixr.errors import InvalidBatch
from pixr.types import Channel

if TYPE_CHECKING:
    import pyarrow as pa

    from pixr.encoders.protocol import Space

__all__ = ["custom_spaces", "one_batch"]


def one_batch(batch: Any) -> pa.RecordBatch:
    """A table, or anything else that speaks Arrow, as one batch of types that the engine reads.

    Dictionaries are resolved; whole numbers in `video_id` become text, and in `start` and `end` floats.

    Raises:
        InvalidBatch: it does not speak Arrow, or is too large for one batch.
    """
    import pyarrow as pa

    if isinstance(batch, pa.RecordBatch):
        return _plain(batch)
    try:
        if hasattr(batch, "__arrow_c_array__"):
            return _plain(pa.record_batch(batch))
        if hasattr(batch, "__arrow_c_stream__"):
            return _plain(_of_table(pa.table(batch)))
    except (pa.ArrowException, TypeError) as error:
        raise InvalidBatch(f"{type(batch).__name__} is not an Arrow record batch: {error}") from None
    raise InvalidBatch(f"{type(batch).__name__} is not an Arrow record batch")


def _of_table(table: pa.Table) -> pa.RecordBatch:
    import pyarrow as pa

    batches = table.combine_chunks().to_batches()
    if len(batches) > 1:
        raise InvalidBatch("the table is too large for one batch; add its batches one by one")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    for name, kind in (("video_id", pa.string()), ("start", pa.float64()), ("end", pa.float64())):
        for place in batch.schema.get_all_field_indices(name):
            field = batch.schema.field(place)
            if pa.types.is_integer(field.type):
                try:
                    column = batch.column(place).cast(kind)
                except pa.ArrowException as error:  # beyond 2^53
                    raise InvalidBatch(f"column {name!r} is {field.type}: {error}") from None
                batch = batch.set_column(place, field.with_type(kind), column)
    return _without_dictionaries(batch)


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            column = batch.column(place)
            if str(field.type.value_type) == "string_view":  # from polars; pyarrow can't take it out of a dictionary
                words = column.dictionary.cast(pa.large_string())
                column = pa.DictionaryArray.from_arrays(column.indices, words)
            try:
                column = column.dictionary_decode()
            except pa.ArrowException as error:
                raise InvalidBatch(f"column {field.name!r} is {field.type}: {error}") from None
            batch = batch.set_column(place, field.with_type(column.type), column)
    return batch


def custom_spaces(batch: pa.RecordBatch, known: Mapping[Channel, Any]) -> dict[Channel, Space]:
    """A space for each vector channel of the batch that the library has none for yet."""
    import pyarrow as pa

    from pixr.encoders.protocol import Space

    spaces: dict[Channel, Space] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        channel = field.name.removesuffix(".vector")
        values = getattr(column, "storage", column)  # a tensor is stored as a list
        kind = values.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if channel not in MODE_OF or channel in known or not is_list:
            continue
        dimension = getattr(kind, "list_size", 0)
        if dimension <= 0:
            first = next((value for value in values if value.is_valid), None)
            dimension = len(first) if first is not None else 0
        if dimension > 0:
            spaces[channel] = Space("custom", "1", dimension)
    return spaces
