"""The rows of one video as the record batch that the engine takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from pixr.types import Channel


class Rows:
    """Collects evidence row by row.

    Args:
        dimensions: of the vectors of each channel that has any.
        video_id: the video of all rows.
    """

    def __init__(self, dimensions: Mapping[Channel, int], video_id: str) -> None:
        self._dimensions: dict[str, int] = {str(channel): dimension for channel, dimension in dimensions.items()}
        self._video_id = video_id
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        start: float,
        end: float,
        channel: Channel,
        *,
        vector: Any = None,
        text: str | None = None,
        description: str | None = None,
    ) -> None:
        """Add one piece of evidence: a span in seconds, and a vector of shape (dimension,), words, or both."""
        row: dict[str, Any] = {"start": start, "end": end}
        for name, value in (("vector", vector), ("text", text), ("description", description)):
            if value is not None:
                row[f"{channel}.{name}"] = value
        self._rows.append(row)

    def batch(self) -> pa.RecordBatch | None:
        """All rows; None if there are none."""
        import pyarrow as pa

        if not self._rows:
            return None
        count = len(self._rows)
        columns: dict[str, pa.Array] = {
            "video_id": pa.array([self._video_id] * count, pa.string()),
            "start": pa.array([row["start"] for row in self._rows], pa.float64()),
            "end": pa.array([row["end"] for row in self._rows], pa.float64()),
        }
        for name in sorted({key for row in self._rows for key in row} - {"start", "end"}):
            channel, _, kind = name.partition(".")
            values = [row.get(name) for row in self._rows]
            if kind == "vector":
                dimension = self._dimensions[channel]
                columns[name] = pa.array(values, pa.list_(pa.float32(), dimension))
            else:
                columns[name] = pa.array(values, pa.string())
        return pa.RecordBatch.from_pydict(columns)
