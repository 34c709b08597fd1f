"""Pictures come at the right time, the right way up, whatever the container."""

from __future__ import annotations

import resource
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.media import CutOptions, open_audio, open_segments, probe_video
from pixr.media.frame_at import frame_at
from pixr.media.frames import VideoFrames, probe, scaled_size
from tests.python.media.videos import cut_video, damaged_video, textured, write_video


def frame_times(path: Path, **options: float) -> list[float]:
    with open_segments(path, CutOptions(**options)) as stream:  # type: ignore[arg-type]
        return [frame.timestamp_seconds for segment in stream for frame in segment.frames]


def test_one_frame_a_second_and_every_shot_start(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "a.mp4", [1, 2], pictures_per_shot=25)
    assert frame_times(path) == pytest.approx([0.0, 1.0, 2.0, 2.5, 3.5, 4.5], abs=0.01)


def test_variable_frame_rate_keeps_container_time_stamps(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 1.5, 1.6, 4.0, 4.1, 7.3]
    path = write_video(tmp_path / "v.mkv", [textured(seed, 160, 120) for seed in range(8)], times=times)
    frames = VideoFrames(str(path), probe(str(path)), analysis_rate=100)
    assert [time for time, _ in frames] == pytest.approx(times, abs=0.002)


def test_no_picture_begins_before_the_start_that_is_rounded(tmp_path: Path) -> None:
    """The container tells its start in microseconds, which may be behind the first picture by a third of one.

    Such videos were refused, since no segment begins before zero.
    """
    clip = cut_video(tmp_path / "a.ts", [1, 2], rate=30, codec="libx264")
    with open_segments(clip) as stream:
        assert stream.info.start_seconds == 0.0
        assert next(iter(stream)).start_seconds == 0.0
    times = [timestamp for timestamp, _ in VideoFrames(str(clip), probe(str(clip)), analysis_rate=100)]
    assert times[0] == 0.0
    assert len(times) == 40


def test_pictures_that_begin_late_share_the_clock_of_the_sound(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "late.mp4",
        [textured(1, 160, 120)] * 10,
        times=[2.0 + index / 10 for index in range(10)],
        sound=lambda t: 0.3 * np.sin(2 * np.pi * 440 * t),
        sound_seconds=3.0,
    )
    assert probe_video(path).start_seconds == pytest.approx(2.0, abs=0.06)
    assert frame_times(path)[0] == pytest.approx(2.0, abs=0.06)
    assert next(iter(open_audio(path))).start_seconds == pytest.approx(0.0, abs=0.07)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_pictures_are_handed_out_upright(tmp_path: Path, rotation: int) -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:60, :80] = (255, 0, 0)
    path = write_video(tmp_path / "r.mp4", [picture] * 5, rotation=rotation)
    upright = np.rot90(picture, rotation // 90)
    with open_segments(path) as stream:
        assert (stream.info.height, stream.info.width) == upright.shape[:2]
        image = next(iter(stream)).frames[0].image
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 10


@pytest.mark.parametrize(
    ("points", "size"), [(Fraction(64, 45), (256, 144)), (Fraction(8, 9), (160, 144)), (Fraction(1, 300), (180, 144))]
)
def test_squeezed_pictures_are_handed_out_as_they_are_shown(
    tmp_path: Path, points: Fraction, size: tuple[int, int]
) -> None:
    """What cameras and discs store squeezed was looked at squeezed, though told to be as shown."""
    path = write_video(tmp_path / "a.mp4", [textured(1, 180, 144)] * 5, codec="libx264", point_shape=points)
    with open_segments(path) as stream:
        assert (stream.info.width, stream.info.height) == size
        assert next(iter(stream)).frames[0].image.shape == (*reversed(size), 3)
    assert frame_at(path, 0.1, 4000).shape == (*reversed(size), 3)


def test_squeezed_pictures_that_are_turned_are_stretched_before(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", [textured(1, 180, 144)] * 5, codec="libx264", point_shape=Fraction(64, 45), rotation=90
    )
    with open_segments(path) as stream:
        assert (stream.info.width, stream.info.height) == (144, 256)
        assert next(iter(stream)).frames[0].image.shape == (256, 144, 3)
    assert frame_at(path, 0.1, 4000).shape == (256, 144, 3)


@pytest.mark.parametrize("size", [(321, 181), (161, 121), (99, 77), (853, 480)])
def test_odd_sizes_are_not_skewed(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = 220
    path = write_video(tmp_path / "odd.mp4", [picture] * 3)
    with open_segments(path) as stream:
        image = next(iter(stream)).frames[0].image
    expected = scaled_size(width, height, 480)
    assert image.shape == (expected[1], expected[0], 3)
    assert image[:, : expected[0] // 2 - 12].mean() > 200
    assert image[:, expected[0] // 2 + 12 :].mean() < 20


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 100), (3, 3), (17, 9)])
def test_tiny_pictures_are_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), (200, 30, 30), np.uint8)
    path = write_video(tmp_path / "tiny.avi", [picture] * 3, codec="mjpeg", pixel_format="yuvj420p")
    with open_segments(path) as stream:
        assert (stream.info.width, stream.info.height) == size
        frame = next(iter(stream)).frames[0]
    assert min(frame.image.shape[:2]) >= 64
    assert frame.image.shape[2] == 3
    assert frame.image[..., 0].mean() > 150
    assert frame.image[..., 1].mean() < 90


def test_one_picture_gives_one_segment_with_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", [textured(1, 160, 120)])
    with open_segments(path) as stream:
        (segment,) = stream
    assert len(segment.frames) == 1
    assert segment.end_seconds > segment.start_seconds == 0.0


def test_large_pictures_are_scaled_to_the_short_side(tmp_path: Path) -> None:
    path = write_video(tmp_path / "hd.mp4", [textured(1, 1280, 720)] * 3)
    with open_segments(path, CutOptions(short_side_pixels=240)) as stream:
        assert (stream.info.width, stream.info.height) == (1280, 720)
        assert next(iter(stream)).frames[0].image.shape == (240, 427, 3)


def test_a_video_without_sound_has_no_audio(tmp_path: Path) -> None:
    path = cut_video(tmp_path / "mute.mp4", [1])
    assert not probe_video(path).has_audio
    assert list(open_audio(path)) == []


def test_no_picture_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    """Else a slow caller has the whole video in memory: these pictures are 1.2 GB."""
    pictures = [textured(seed, 640, 480) for seed in range(4)]
    path = write_video(tmp_path / "slow.mp4", [pictures[index // 8 % 4] for index in range(1300)])
    frames = iter(VideoFrames(str(path), probe(str(path))))
    next(frames)
    before = resident_mb()
    time.sleep(0.5)
    for _ in range(20):
        next(frames)
    assert resident_mb() - before < 100


def resident_mb() -> float:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("no /proc here")
    return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_no_picture_of_an_avi_file_is_left_out(tmp_path: Path, codec: str) -> None:
    """It tells only when pictures are decoded: of those that are reordered a third had the time of an earlier one."""
    path = str(cut_video(tmp_path / "a.avi", [1, 2, 3], codec=codec, coder_options={"bf": "2"}))
    times = [time for time, _ in VideoFrames(path, probe(path), analysis_rate=100)]
    assert np.diff(times) == pytest.approx([0.1] * 59, abs=0.002)
    with open_segments(path) as stream:
        shots = [segment.start_seconds for segment in stream]
    assert shots == pytest.approx([times[0], times[20], times[40]], abs=0.002)


def test_a_first_picture_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    """The whole video was refused."""
    path = str(damaged_video(tmp_path / "hole.avi", pictures=range(2)))
    frames = VideoFrames(path, probe(path), analysis_rate=100)
    assert [time for time, _ in frames] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.7], abs=0.002)


def test_the_first_picture_is_not_looked_for_without_end(tmp_path: Path) -> None:
    """Of a long film that can't be decoded, as one that is encrypted, all would be read before it is refused."""
    path = write_video(tmp_path / "a.avi", [textured(1, 64, 64)] * 1100, codec="png", pixel_format="rgb24", rate=25)
    path.write_bytes(path.read_bytes().replace(b"IHDR", bytes(4), 1050))
    with pytest.raises(UnreadableVideo, match="no picture in it can be decoded"):
        probe(str(path))


def test_a_picture_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    path = str(damaged_video(tmp_path / "hole.avi", pictures=range(3, 4)))
    frames = VideoFrames(path, probe(path), analysis_rate=100)
    assert [time for time, _ in frames] == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7], abs=0.002)
    assert frames.decoded_until_seconds == frames.end_seconds == pytest.approx(0.8, abs=0.01)


def test_the_end_is_known_if_the_last_pictures_cannot_be_decoded(tmp_path: Path) -> None:
    path = str(damaged_video(tmp_path / "end.avi", pictures=range(5, 8)))
    frames = VideoFrames(path, probe(path), analysis_rate=100)
    assert len(list(frames)) == 5
    assert frames.decoded_until_seconds == pytest.approx(0.4, abs=0.01)
    assert frames.end_seconds == pytest.approx(0.8, abs=0.01)


def test_a_long_video_needs_no_more_memory_than_one_segment(tmp_path: Path) -> None:
    """An hour at two pictures a second: what is decoded is handed out as it comes, never gathered."""
    pictures = [textured(seed, 64, 64) for seed in range(8)]
    path = write_video(tmp_path / "long.avi", [pictures[index // 20 % 8] for index in range(7200)], rate=2)
    with open_segments(path) as stream:
        most = total = 0
        for segment in stream:
            most = max(most, len(segment.frames))
            total += 1
    assert stream.decoded_until_seconds == pytest.approx(3600, abs=1)
    assert total == 360
    assert most <= 13
