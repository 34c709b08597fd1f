"""Brings what speaks Arrow to the one batch that the engine reads, and tells which spaces its vectors found."""

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
    """A table, or what else speaks Arrow, as one batch of plain columns; the engine reads no dictionaries.

    Raises:
        InvalidBatch: it is none, or too large for one.
    """
    import pyarrow as pa

    if hasattr(batch, "to_batches"):
        batches = batch.combine_chunks().to_batches()
        if len(batches) > 1:
            raise InvalidBatch("the table is too large for one batch; add its batches one by one")
        batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=batch.schema)
    if not hasattr(batch, "__arrow_c_array__"):
        raise InvalidBatch(f"{type(batch).__name__} is not an Arrow record batch")
    if not isinstance(batch, pa.RecordBatch):
        try:
            batch = pa.record_batch(batch)
        except pa.ArrowException as error:
            raise InvalidBatch(f"{type(batch).__name__} is not an Arrow record batch: {error}") from None
    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in batch.schema
    ]
    return batch if plain == list(batch.schema) else batch.cast(pa.schema(plain))


def custom_spaces(batch: pa.RecordBatch, known: Mapping[Channel, Any]) -> dict[Channel, Space]:
    """A space for each vector channel of the batch that the library has none for yet."""
    from pixr.encoders.protocol import Space

    spaces: dict[Channel, Space] = {}
    for field in batch.schema:
        channel = field.name.removesuffix(".vector")
        kind = getattr(field.type, "storage_type", field.type)  # of a tensor, what it is stored as
        if channel not in MODE_OF or channel in known or not hasattr(kind, "value_type"):
            continue
        dimension = getattr(kind, "list_size", 0)
        if dimension <= 0:
            first = next((value for value in batch.column(field.name) if value.is_valid), None)
            dimension = len(first) if first is not None else 0
        if dimension > 0:
            spaces[channel] = Space("custom", "1", dimension)
    return spaces
