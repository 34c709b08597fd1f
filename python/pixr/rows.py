"""The rows of one video: collected into the record batch that the engine takes, and read from the one that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from pixr import _engine
    from pixr.types import Channel


def rows_of(engine: _engine.Library, id: str) -> list[dict[str, Any]]:
    """What is stored of a video, a row a segment: `start`, `end`, and evidence by names such as `speech.text`.

    Raises:
        VideoNotFound: there is no such video.
    """
    import pyarrow as pa

    rows: list[dict[str, Any]] = pa.record_batch(engine.segments([id])).to_pylist()
    return [row for row in rows if row["start"] is not None]  # a video without segments has one row without a span


class Rows:
    """Collects evidence row by row.

    Args:
        video_id: the video of all rows.
    """

    def __init__(self, video_id: str) -> None:
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
            kind = name.rpartition(".")[2]
            values = [row.get(name) for row in self._rows]
            if kind == "vector":
                # Not of a fixed length: that keeps room for a vector also in the rows that have none, which is most of
                # them. A video of ten hours has 18,000 rows of sound, and each had seven kilobytes of nothing.
                columns[name] = pa.array(values, pa.list_(pa.float32()))
            else:
                columns[name] = pa.array(values, pa.string())
        return pa.RecordBatch.from_pydict(columns)
