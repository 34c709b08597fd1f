"""One picture at an instant: the right one, upright, in proportion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.media import open_segments
from pixr.media.frame_at import frame_at
from pixr.media.frames import VideoFrames, probe
from pixr.show.cut import cut_moment
from tests.python.clips import COLOURS, make_clip
from tests.python.media.videos import cut_video, damaged_video, textured, write_video

av = pytest.importorskip("av")


@pytest.mark.parametrize(("seconds", "shot"), [(0.0, 0), (1.9, 0), (2.0, 1), (3.95, 1), (4.0, 2), (99.0, 2), (-1.0, 0)])
def test_the_picture_is_the_one_shown_at_that_instant(tmp_path: Path, seconds: float, shot: int) -> None:
    clip = make_clip(tmp_path / "clip.mp4", ["", "", ""])
    picture = frame_at(clip, seconds, 4000)
    assert picture.shape == (240, 320, 3), "never made larger"
    assert np.abs(picture.mean(axis=(0, 1)) - COLOURS[shot]).max() < 12


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".flv"])
def test_the_picture_is_the_right_one_where_no_index_leads_to_it(tmp_path: Path, suffix: str) -> None:
    """A seek in an MPEG stream leads behind the picture that later ones build upon: a later one was shown, or none."""
    clip = make_clip(tmp_path / f"clip{suffix}", ["", "", ""])
    for seconds, shot in (
        (0.0, 0),
        (1.0, 0),
        (1.85, 0),
        (2.05, 1),
        (3.0, 1),
        (3.85, 1),
        (4.05, 2),
        (5.5, 2),
        (99.0, 2),
    ):
        picture = frame_at(clip, seconds, 4000)
        assert np.abs(picture.mean(axis=(0, 1)) - COLOURS[shot]).max() < 12, seconds


def test_what_lies_before_zero_in_a_matroska_file_is_shown(tmp_path: Path) -> None:
    """Nothing leads there: a picture of seconds later was shown, and cut."""
    pictures = [textured(at // 4, 160, 120) for at in range(40)]
    whole = write_video(
        tmp_path / "whole.mkv",
        pictures,
        codec="libx264",
        coder_options={"g": "20"},
        sound=np.sin,
        sound_seconds=4.0,
    )
    clip = tmp_path / "early.mkv"
    with av.open(str(whole)) as given, av.open(str(clip), "w", options={"avoid_negative_ts": "disabled"}) as made:
        streams = [made.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.pts is not None:
                packet.pts, packet.dts = packet.pts - 500, None if packet.dts is None else packet.dts - 500
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    for time, picture in VideoFrames(str(clip), probe(str(clip)), analysis_rate=100):
        assert np.array_equal(frame_at(clip, time + 0.05, 200), picture), time
        if round(10 * time) == 3:
            cut = cut_moment(clip, time, time + 0.5, tmp_path / "cut")
            assert np.abs(frame_at(cut.path, 0.0, 200).astype(int) - picture).mean() < 8


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_file_shows_and_cuts_what_was_found(tmp_path: Path, codec: str) -> None:
    """Its pictures were shown and cut by guessed times, a cut that was copied began with grey ones."""
    clip = cut_video(tmp_path / "a.avi", [1, 2, 3], codec=codec, coder_options={"bf": "2", "g": "5"})
    for time, picture in VideoFrames(str(clip), probe(str(clip)), analysis_rate=100):
        assert np.array_equal(frame_at(clip, time + 0.05, 200), picture), time
        if round(10 * time) % 6 == 0:
            cut = cut_moment(clip, time, time + 0.5, tmp_path / "cut")
            assert cut.start == pytest.approx(time, abs=0.01)
            assert np.abs(frame_at(cut.path, 0.0, 200).astype(int) - picture).mean() < 8, time


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
def test_an_avi_file_shows_each_picture_at_its_own_time(tmp_path: Path, codec: str) -> None:
    """Each was one picture late, beside its sound, and two of H.264: so many a decoder that reorders holds back."""
    pictures = [textured(seed, 160, 96) for seed in range(60)]
    coder_options = {"bf": "2", "g": "12", "b_strategy": "0"}
    clip = write_video(tmp_path / "a.avi", pictures, rate=25, codec=codec, coder_options=coder_options)
    times = [time for time, _ in VideoFrames(str(clip), probe(str(clip)), analysis_rate=100)]
    assert times == pytest.approx([number / 25 for number in range(60)])
    for number in (0, 1, 2, 11, 12, 13, 37, 58, 59):
        shown = frame_at(clip, number / 25 + 0.02, 4000).astype(int)
        assert np.abs([shown - picture for picture in pictures]).mean((1, 2, 3)).argmin() == number
    cut = cut_moment(clip, 37 / 25, 50 / 25, tmp_path / "cut")
    for number in (37, 49):
        shown = frame_at(cut.path, (number - 37) / 25 + 0.02, 4000).astype(int)
        assert np.abs([shown - picture for picture in pictures]).mean((1, 2, 3)).argmin() == number


def test_where_a_picture_is_damaged_the_one_before_it_is_shown(tmp_path: Path) -> None:
    clip = damaged_video(tmp_path / "hole.avi", pictures=range(3, 6))
    before = frame_at(clip, 0.2, 4000)
    assert np.array_equal(frame_at(clip, 0.45, 4000), before)
    assert not np.array_equal(frame_at(clip, 0.6, 4000), before)


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


def test_pictures_behind_the_end_that_is_claimed_are_shown(tmp_path: Path) -> None:
    """A screen recording of variable rate claimed 1.3 s of its 3.1, and the one at 1.0 s stood for all behind that."""
    pictures = [textured(seed, 160, 96) for seed in range(6)]
    clip = write_video(tmp_path / "a.mp4", pictures, times=[0.0, 0.1, 0.2, 1.0, 2.0, 3.0], codec="libx264")
    assert probe(str(clip)).duration_seconds < 2.0
    for seconds, shown in ((1.5, 3), (2.0, 4), (2.9, 4), (3.0, 5), (99.0, 5)):
        assert np.abs(frame_at(clip, seconds, 4000).astype(int) - pictures[shown]).mean() < 12, seconds


def test_a_stream_without_times_is_shown_and_cut_at_its_rate(tmp_path: Path) -> None:
    """What recorders write, H.264 without a container, was found, and then "Operation not permitted" to be shown."""
    pictures = [textured(number // 10, 160, 96) for number in range(60)]
    clip = write_video(tmp_path / "a.h264", pictures, rate=25, codec="libx264")
    with open_segments(clip) as stream:
        assert [segment.end_seconds for segment in stream][-1] == pytest.approx(60 / 25)
    for number in (0, 9, 10, 34, 59):
        shown = frame_at(clip, number / 25 + 0.02, 4000)
        assert np.abs(shown.astype(int) - pictures[number]).mean() < 12, number
    cut = cut_moment(clip, 20 / 25, 50 / 25, tmp_path / "cut")
    assert np.abs(frame_at(cut.path, 0.0, 4000).astype(int) - pictures[20]).mean() < 12
    assert np.abs(frame_at(cut.path, 99.0, 4000).astype(int) - pictures[49]).mean() < 12
