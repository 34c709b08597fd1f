"""The smallest rows that a library takes: what is said in some videos."""

from __future__ import annotations

import pyarrow as pa


def rows(*ids: str) -> pa.RecordBatch:
    """A segment of five seconds of each video, in which the same two words are said."""
    count = len(ids)
    return pa.record_batch(
        {"video_id": list(ids), "start": [0.0] * count, "end": [5.0] * count, "speech": ["solar panels"] * count}
    )
