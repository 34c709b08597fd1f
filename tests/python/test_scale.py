"""The bench of growth keeps apart what differs, and says what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benches.scale.__main__ import ROWS_A_PART, fitted, kept_parts

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
