"""The columns of a Parquet file: those that are read, by the names that segments have, and what is said of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixr.convert import MODE_OF
from pixr.errors import InvalidBatch, InvalidQuery

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_columns", "chosen", "left_out", "told"]

_EXPECTED = (
    f"expected are video_id (text), start and end (seconds), channels ({', '.join(MODE_OF)}; a list of floats is a "
    "vector, text is text) alone or followed by .vector, .text or .description, and video (JSON) if there is metadata"
)
_ADVICE = 'columns={"video_id": "NAME"}, or pixr import --column video_id=NAME, says which is which'
_MOST_TOLD = 50


def check_columns(columns: Any) -> None:
    """Refuse what does not give the file's name of each column.

    Raises:
        InvalidQuery: says what is expected.
    """
    if not isinstance(columns, Mapping):
        raise InvalidQuery(f"columns is {type(columns).__name__}, the file's names of columns are expected by ours")
    for ours, theirs in columns.items():
        if not isinstance(ours, str) or not isinstance(theirs, str):
            raise InvalidQuery(f"columns: {ours!r} is {theirs!r}, a name is expected of each")


def chosen(batch: pa.RecordBatch, columns: Mapping[str, str] | None) -> pa.RecordBatch:
    """The batch with the columns that are named, by our names; all of them as they are if there are no names.

    Raises:
        InvalidBatch: there is no column of a name, or there are several.
    """
    if columns is None:
        return batch
    places = []
    for theirs in columns.values():
        found = batch.schema.get_all_field_indices(theirs)
        if len(found) != 1:
            raise InvalidBatch(f"{'several columns are' if found else 'no column is'} called {theirs!r}")
        places += found
    return batch.select(places).rename_columns(list(columns))


def left_out(schema: pa.Schema, columns: Mapping[str, str] | None) -> list[str]:
    """The file's columns that are not read."""
    return [] if columns is None else [name for name in schema.names if name not in columns.values()]


def told(schema: pa.Schema) -> str:
    """Which columns are expected, which a file has, and how to say which is which."""
    has = [f"{field.name} ({field.type})" for field in schema][:_MOST_TOLD]
    more = [f"{len(schema) - len(has)} more"] if len(schema) > len(has) else []
    return f"{_EXPECTED}; the file has {', '.join(has + more)}; {_ADVICE}"
