"""The real embedded models, loaded once, and pictures drawn on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixr.encoders import EncoderOptions, Encoders, default_encoders


@pytest.fixture(scope="session")
def encoders() -> Encoders:
    return default_encoders(EncoderOptions(threads=1, batch_size=4))


@pytest.fixture(scope="session")
def pictures() -> list[NDArray[np.uint8]]:
    """Five pictures of different sizes and contents: noise, a gradient, a checkerboard, a disc, a flat grey."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    gradient = np.stack([np.tile(np.linspace(0, 255, 120), (90, 1))] * 3, axis=2).astype(np.uint8)
    rows, columns = np.mgrid[0:200, 0:300]
    board = np.repeat(((rows // 25 + columns // 25) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    disc = np.where(((rows - 100) ** 2 + (columns - 150) ** 2 < 70**2)[:, :, None], (255, 140, 0), (30, 60, 160))
    return [noise, gradient, board, disc.astype(np.uint8), np.full((33, 17, 3), 128, np.uint8)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PIXR_CACHE_DIR", str(folder))
    return folder
