"""What is told of a confidence, beside what ranks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import pixr
from pixr.errors import InvalidQuery

CURVE = {"vector": {"center": 0.5, "slope": 8.0}, "floor": 0.01, "sufficient": 0.05}
REPORTED = {"low": 2.0, "high": 0.5, "shift": -1.0}


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    """Three shots whose pictures have cosines of 1, 0.6 and 0.28 with the first axis."""
    pictures = np.array([[1.0, 0.0], [0.6, 0.8], [0.28, 0.96]], np.float32)
    batch = pa.record_batch(
        {
            "video_id": ["a", "b", "c"],
            "start": [0.0, 0.0, 0.0],
            "end": [5.0, 5.0, 5.0],
            "frame": pa.FixedSizeListArray.from_arrays(pa.array(pictures.ravel()), 2),
        }
    )
    library = pixr.open(tmp_path / "films.pixr")
    library.add_segments(batch)
    return library


def ask(library: pixr.Library) -> list[tuple[str, float, float, float]]:
    hits = library.search(vectors={"frame": np.array([1.0, 0.0], np.float32)})
    return [
        (h.video.id, h.score, h.moments[0].matches[0].confidence, h.moments[0].matches[0].contribution) for h in hits
    ]


def test_a_shown_confidence_follows_its_map_and_changes_no_score(library: pixr.Library) -> None:
    library._engine.set_calibration("frame", json.dumps(CURVE))
    ranked = ask(library)
    assert [id for id, *_ in ranked] == ["a", "b", "c"]
    library._engine.set_calibration("frame", json.dumps({**CURVE, "reported": REPORTED}))
    told = ask(library)
    assert [(id, score, part) for id, score, _, part in told] == [(id, score, part) for id, score, _, part in ranked]
    for (*_, before, _), (*_, after, _) in zip(ranked, told, strict=True):
        expected = 1 / (1 + math.exp(1.0 - 2.0 * math.log(before) + 0.5 * math.log1p(-before)))
        assert after == pytest.approx(expected, abs=1e-6)
    # The library keeps it.
    assert json.loads(library._engine.settings())["calibrations"]["frame"]["reported"] == REPORTED


def test_a_map_that_falls_is_refused(library: pixr.Library) -> None:
    with pytest.raises(InvalidQuery, match="low -2"):
        library._engine.set_calibration("frame", json.dumps({**CURVE, "reported": {**REPORTED, "low": -2.0}}))
