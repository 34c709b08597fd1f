"""One picture at an instant: the right one, upright, in proportion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.media.frame_at import frame_at
from tests.python.clips import COLOURS, make_clip

pytest.importorskip("av")


@pytest.mark.parametrize(("seconds", "shot"), [(0.0, 0), (1.9, 0), (2.0, 1), (3.95, 1), (4.0, 2), (99.0, 2), (-1.0, 0)])
def test_the_picture_is_the_one_shown_at_that_instant(tmp_path: Path, seconds: float, shot: int) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ["", "", ""])
    picture = frame_at(clip, seconds, 4000)
    assert picture.shape == (240, 320, 3), "never made larger"
    assert np.abs(picture.mean(axis=(0, 1)) - COLOURS[shot]).max() < 12


def test_a_smaller_picture_keeps_its_proportions(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", [""], size=(320, 160))
    assert frame_at(clip, 1.0, 100).shape == (50, 100, 3)


def test_a_file_without_pictures_is_an_error_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(UnreadableVideo, match=r"broken\.mp4"):
        frame_at(broken, 0.0, 100)
    with pytest.raises(UnreadableVideo, match="No such file"):
        frame_at(tmp_path / "absent.mp4", 0.0, 100)
