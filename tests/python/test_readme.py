"""The README's Python runs as it stands there, in order, on a small video made here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.clips import make_clip

README = Path(__file__).resolve().parents[2] / "README.md"
pytest.importorskip("av")


def blocks() -> list[str]:
    """Every block of Python in the README."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_python_block_runs(tmp_path: Path) -> None:
    """In a process of its own each, since they stand for programs; one folder, since later ones build on earlier."""
    from PIL import Image

    make_clip(tmp_path / "roof.mp4", ["Solar panels", "on a roof"])
    Image.new("RGB", (64, 64), (120, 60, 40)).save(tmp_path / "tile.jpg")
    assert len(blocks()) >= 3
    for number, code in enumerate(blocks()):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"block {number + 1}:\n{code}\n{done.stderr}"
        if number == 0:
            assert "Solar install" in done.stdout, "the first example finds the roof by its title at least"


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = README.read_text(encoding="utf-8").splitlines()[:45]
    assert any("make demo" in line for line in first_screen)
    assert any("make test" in line for line in first_screen)
    assert "```python" in first_screen


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
