"""The bench of growth keeps apart what differs, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benches.scale.__main__ import ROWS_A_PART, fitted, kept_parts, table

ROOT = Path(__file__).parents[2]


def test_parts_of_another_size_are_built_anew(tmp_path: Path) -> None:
    """With `--rows-a-part` given after a run without it, the parts of that run were asked again, and told as these."""
    assert kept_parts(tmp_path, 10_000_000, 2_000_000) != kept_parts(tmp_path, 10_000_000, ROWS_A_PART)
    assert kept_parts(tmp_path, 1_000_000, 2_000_000) == kept_parts(tmp_path, 1_000_000, ROWS_A_PART), "one part of all"


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    """It was a traceback of a subprocess, after the bench program had been built."""
    command = [sys.executable, "-m", "benches.scale", "--data", str(tmp_path), "--work", str(tmp_path / "work")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 2
    assert f"no more_vectors.py in {tmp_path}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_fitted_exponent_is_the_slope_in_logarithms() -> None:
    points = [{"rows": rows, "ms": 0.001 * rows**0.5} for rows in (100, 10_000, 1_000_000)]
    exponent = fitted(points, "ms")
    assert exponent is not None
    assert abs(exponent - 0.5) < 1e-9
    assert fitted(points[:1], "ms") is None


def test_the_table_says_which_commit_a_size_is_of() -> None:
    """Sizes that were asked at another commit stood beside those of this one as if they were of one engine."""
    known = dict.fromkeys(
        (
            "build_seconds",
            "build_peak_bytes",
            "bytes",
            "resident_mb",
            "exact_p50_ms",
            "first_ms",
            "cold_p50_ms",
            "cold_p99_ms",
        ),
        1.0,
    )
    points = [
        {**known, "rows": rows, "parts": 1, "commit": commit} for rows, commit in ((100, "abc1234"), (200, "def5678+"))
    ]
    lines = table([*points, {**known, "rows": 300, "parts": 1}]).splitlines()
    assert [line.split("|")[2].strip() for line in lines[:1] + lines[2:5]] == [
        "commit",
        "abc1234",
        "def5678+",
        "unknown",
    ]
