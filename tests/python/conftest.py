"""What tests of more than one folder need."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.python.encoders.parity_inputs import ARCHIVE


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of every family with their references' vectors; see `models/build_parity.py`."""
    folder = tmp_path_factory.mktemp("parity")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder
