"""Moments cut out into files: they begin where the moment does, and play."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.show.cut import cut_moment, cut_moments
from pixr.types import Hit, Hits, Moment, Timing, Video

av = pytest.importorskip("av")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve seconds with a brightness a second, a tone, and a picture that stands by itself every four seconds."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10, options={"g": "40", "sc_threshold": "0", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 160, 120, "yuv420p", Fraction(1, 10)
        sound: Any = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(120):
            grey = np.full((120, 160, 3), 20 * (number // 10), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
        wave = (0.2 * 32767 * np.sin(np.arange(12 * 16000) / 10)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def shown(path: Path) -> list[int]:
    """The second of the source that each picture of a cut is from."""
    with av.open(str(path)) as container:
        return [round(frame.to_ndarray(format="gray").mean() / 20) for frame in container.decode(video=0)]


def length(path: Path, kind: str) -> float:
    with av.open(str(path)) as container:
        ends = [
            float((packet.pts + packet.duration) * packet.time_base)
            for packet in container.demux(**{kind: 0})
            if packet.pts is not None
        ]
        return max(ends, default=0.0)


def test_packets_are_copied_where_a_picture_stands_by_itself(clip: Path, tmp_path: Path) -> None:
    cut = cut_moment(clip, 4.2, 7.0, tmp_path / "cut")
    assert (cut.copied, cut.start, cut.path.suffix) == (True, 4.0, ".mp4")
    assert shown(cut.path)[0] == 4
    assert shown(cut.path)[:30] == [4] * 10 + [5] * 10 + [6] * 10
    assert len(shown(cut.path)) <= 33, "the last pictures may need later ones"
    assert length(cut.path, "audio") == pytest.approx(3.0, abs=0.2)


def test_pictures_are_encoded_anew_where_none_is_near(clip: Path, tmp_path: Path) -> None:
    cut = cut_moment(clip, 6.0, 9.0, tmp_path / "cut")
    assert (cut.copied, cut.start) == (False, 6.0)
    assert shown(cut.path) == [6] * 10 + [7] * 10 + [8] * 10
    assert length(cut.path, "video") == pytest.approx(3.0, abs=0.15)
    assert length(cut.path, "audio") == pytest.approx(3.0, abs=0.2)


def test_every_moment_gets_a_file_and_what_is_gone_none(clip: Path, tmp_path: Path) -> None:
    moments = tuple(Moment(start, start + 2.0, start, 0.5, ()) for start in (4.0, 9.0))
    hits = (
        Hit(Video("v", title="x", source=str(clip)), 0.5, moments),
        Hit(Video("gone", source=str(tmp_path / "gone.mp4")), 0.4, moments),
    )
    cuts = cut_moments(tmp_path / "cuts", Hits(hits, 2, "exact", {}, None, 1, Timing(0.0, 0.0, 0.0)))
    assert [cut.path.name for cut in cuts] == ["01-01-clip-4.00-6.00.mp4", "01-02-clip-9.00-11.00.mp4"]
    assert sorted(path.name for path in (tmp_path / "cuts").iterdir()) == sorted(cut.path.name for cut in cuts)


def test_what_a_container_does_not_take_goes_into_matroska(clip: Path, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which makes the file, is not installed")
    odd = tmp_path / "clip.avi"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), "-c:v", "mpeg4", "-c:a", "mp3", str(odd)], check=True)
    cut = cut_moment(odd, 1.0, 3.0, tmp_path / "cut")
    assert cut.path.suffix == ".mkv"
    assert shown(cut.path)


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    with pytest.raises(UnreadableVideo):
        cut_moment(text, 0.0, 1.0, tmp_path / "cut")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
