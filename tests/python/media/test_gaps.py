"""Whoever indexes a file of which a part is missing is told so."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import av
import pytest

from pixr.media import open_segments
from pixr.media.gaps import Gaps, first_common

FORMS = {
    "mkv": "-c:v mpeg4 -c:a aac",
    "webm": "-c:v libvpx -c:a libopus",
    "flv": "-c:v flv1 -c:a libmp3lame -ar 44100",
    "ogv": "-c:v libtheora -c:a libvorbis",
    "wmv": "-c:v wmv2 -c:a wmav2",
}


def film(path: Path, form: str, pictures: str = "testsrc=size=160x120:rate=10:duration=30") -> Path:
    """Half a minute with noise."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which makes the file, is not installed")
    inputs = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", "anoisesrc=duration=30"]
    options = [*form.split(), "-g", "10", "-b:v", "100k"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *options, str(path)], check=True)
    return path


def told(path: Path) -> str | None:
    with open_segments(path) as stream:
        list(stream)
        return stream.broken_reason


@pytest.mark.parametrize("hole", ["zeros", "cut"])
@pytest.mark.parametrize("suffix", FORMS)
def test_a_hole_in_a_file_is_told_of(tmp_path: Path, suffix: str, hole: str) -> None:
    """A fifth of a film was missing, and it was indexed without a word: only broadcasts and MP4 had a warning."""
    path = film(tmp_path / f"film.{suffix}", FORMS[suffix])
    assert told(path) is None
    whole = path.read_bytes()
    begin, end = int(len(whole) * 0.4), int(len(whole) * 0.6)
    path.write_bytes(whole[:begin] + (bytes(end - begin) if hole == "zeros" else b"") + whole[end:])
    found = re.fullmatch(r"it has no pictures from (\S+) s to (\S+) s: damaged, or put together", told(path) or "")
    assert found is not None
    assert [float(found[1]), float(found[2])] == pytest.approx([12.0, 18.0], abs=2.0)


@pytest.mark.parametrize("hole", ["zeros", "cut"])
def test_a_hole_at_which_a_file_of_fragments_ends_is_told_of(tmp_path: Path, hole: str) -> None:
    """Its header doesn't say how long it is: of half a minute eighteen seconds were left out without a word."""
    form = "-c:v libx264 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof"
    path = film(tmp_path / "film.mp4", form)
    assert told(path) is None
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100_000))
    assert told(path) is None, "nothing is lost with what fills a file up"
    begin, end = int(len(whole) * 0.4), int(len(whole) * 0.6)
    path.write_bytes(whole[:begin] + (bytes(end - begin) if hole == "zeros" else b"") + whole[end:])
    found = re.fullmatch(r"what follows (\S+) s can't be read: damaged", told(path) or "")
    assert found is not None, told(path)
    assert float(found[1]) == pytest.approx(12.0, abs=2.0)


def test_a_screen_that_does_not_change_is_no_hole(tmp_path: Path) -> None:
    """Its recording has no pictures for a while, but sound."""
    pictures = "testsrc=size=160x120:rate=10:duration=30,select='lt(t,5)+gt(t,20)'"
    path = film(tmp_path / "film.mkv", "-fps_mode vfr -c:v mpeg4 -c:a aac", pictures)
    with av.open(str(path)) as container:
        shown = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
    assert max(later - begin for begin, later in itertools.pairwise(shown)) > 14.0
    assert told(path) is None


def test_the_first_stretch_is_found_in_which_both_pause() -> None:
    pictures, sound = Gaps(), Gaps()
    for begin in (0.0, 5.0, 6.0, 20.0, 21.0, 40.0):
        pictures.note(begin, begin + 1.0)
    for begin in (0.0, 4.5, 8.0, 12.0, 35.0):
        sound.note(begin, begin + 4.5)
    assert pictures.found == [(1.0, 5.0), (7.0, 20.0), (22.0, 40.0)]
    assert sound.found == [(16.5, 35.0)]
    assert first_common(pictures, sound) == (16.5, 20.0)
    assert first_common(pictures, Gaps()) is None
