"""Moments cut out into files: they begin where the moment does, and play."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixr.errors import UnreadableVideo
from pixr.media.audio import decode_audio
from pixr.media.frame_at import frame_at
from pixr.media.frames import probe
from pixr.show.cut import cut_moment, cut_moments
from pixr.types import Hit, Hits, Moment, Timing, Video
from tests.python.media.videos import damaged_video, textured, write_video
from tests.python.server.browser import CHROMIUM, browsing

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
    assert len(shown(cut.path)) <= 31, "the last pictures may need a later one"
    assert length(cut.path, "audio") == pytest.approx(3.0, abs=0.2)


def test_packets_are_copied_of_what_has_another_encoder_than_decoder(tmp_path: Path) -> None:
    """AV1 was encoded anew always: for a copy its decoder was looked for among the encoders."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        # Run by root, this encoder gives its process the highest priority of all, for good: the tests that came after
        # kept their locks from each other, and once they did not end.
        coder = {"preset": "12", "g": "10"}
        made = apart.submit(
            write_video, tmp_path / "a.mp4", [textured(1, 160, 120)] * 30, codec="libsvtav1", coder_options=coder
        )
        source = made.result()
    cut = cut_moment(source, 1.0, 2.0, tmp_path / "cut")
    assert (cut.copied, cut.start, cut.path.suffix) == (True, 1.0, ".mp4")
    assert len(shown(cut.path)) == 10
    assert probe(str(cut.path)).codec == probe(str(source)).codec


def test_a_copied_cut_ends_where_what_follows_stands_by_itself(clip: Path, tmp_path: Path) -> None:
    """Two pictures of the shot behind it, which are decoded early, flashed at its end."""
    cut = cut_moment(clip, 4.2, 8.0, tmp_path / "cut")
    assert cut.copied
    assert shown(cut.path) == [4] * 10 + [5] * 10 + [6] * 10 + [7] * 10


def test_pictures_are_encoded_anew_where_none_is_near(clip: Path, tmp_path: Path) -> None:
    cut = cut_moment(clip, 6.0, 9.0, tmp_path / "cut")
    assert (cut.copied, cut.start) == (False, 6.0)
    assert shown(cut.path) == [6] * 10 + [7] * 10 + [8] * 10
    assert length(cut.path, "video") == pytest.approx(3.0, abs=0.15)
    assert length(cut.path, "audio") == pytest.approx(3.0, abs=0.2)


def remuxed(clip: Path, path: Path) -> Path:
    """The same packets in the container of the path's ending."""
    with av.open(str(clip)) as given, av.open(str(path), "w") as made:
        streams = {
            stream: made.add_stream_from_template(stream) for stream in (*given.streams.video, *given.streams.audio)
        }
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                made.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mov"])
@pytest.mark.parametrize(("start", "end"), [(4.2, 7.0), (6.0, 9.0), (0.1, 2.0)])
def test_no_picture_is_missing_whatever_the_container(
    clip: Path, tmp_path: Path, suffix: str, start: float, end: float
) -> None:
    """Matroska tells no time of decoding for the first packets behind a seek: with them went all up to the next key."""
    source = remuxed(clip, tmp_path / f"other{suffix}")
    cut = cut_moment(source, start, end, tmp_path / "cut")
    pictures = shown(cut.path)
    seconds = [second for at, second in enumerate(pictures) if at == 0 or pictures[at - 1] != second]
    assert seconds[: int(end) - int(start)] == list(range(int(start), int(end)))
    assert len(pictures) >= round((end - cut.start) * 10) - 1
    assert length(cut.path, "video") == pytest.approx(end - cut.start, abs=0.4)
    assert length(cut.path, "audio") == pytest.approx(end - cut.start, abs=0.3)


def test_every_moment_of_an_mpeg_file_can_be_cut(tmp_path: Path) -> None:
    """Where sound is read from its middle on, what comes first is none: it was copied, or the cut was refused."""
    source, instants = tmp_path / "a.mpg", np.arange(1920) / 48000
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        sound: Any = container.add_stream("mp2", rate=48000, layout="mono")
        for number in range(250):
            grey = np.full((120, 160, 3), number // 25 * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            times = number / 25 + instants
            wave = 0.5 * 32767 * np.sin(2 * np.pi * (300 * times + 15 * times**2))
            heard = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48000, 1920 * number, Fraction(1, 48000)
            container.mux(sound.encode(heard))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    for half in range(19):
        cut = cut_moment(source, half / 2, half / 2 + 0.5, tmp_path / "cut")
        (chunk,) = decode_audio(str(cut.path))
        assert chunk.start_seconds < 0.1
        assert chunk.end_seconds == pytest.approx(cut.end - cut.start, abs=0.1)
        middle = chunk.as_float()[len(chunk.samples) // 4 : -len(chunk.samples) // 4]
        pitch = np.count_nonzero(np.diff(middle > 0)) / 2 / (len(middle) / chunk.sample_rate_hz)
        at = cut.start + (chunk.start_seconds + chunk.end_seconds) / 2
        assert pitch == pytest.approx(300 + 30 * at, abs=8), half


@pytest.mark.parametrize("rotation", [90, 180])
def test_turned_pictures_stay_upright(tmp_path: Path, rotation: int) -> None:
    """What is encoded anew lay on its side."""
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:60, :80] = 255
    source = write_video(tmp_path / "turned.mp4", [picture] * 60, rotation=rotation)
    cut = cut_moment(source, 1.1, 2.1, tmp_path / "cut")
    assert not cut.copied
    assert np.abs(frame_at(cut.path, 0.5, 200).astype(int) - frame_at(source, 1.5, 200)).mean() < 8


@pytest.mark.parametrize(("rotation", "proportion"), [(0, 16 / 9), (90, 9 / 16)])
def test_squeezed_pictures_are_shown_as_in_the_source(tmp_path: Path, rotation: int, proportion: float) -> None:
    """They were shown squeezed: the cut told nothing of how they are stretched."""
    source = write_video(
        tmp_path / "a.mp4",
        [textured(1, 180, 144)] * 60,
        codec="libx264",
        point_shape=Fraction(64, 45),
        rotation=rotation,
    )
    made = cut_moment(source, 2.05, 4.0, tmp_path / "cut")
    assert not made.copied
    info = probe(str(made.path))
    assert info.width / info.height == pytest.approx(proportion, rel=0.01)


def test_a_picture_that_stands_through_a_moment_is_in_its_cut(tmp_path: Path) -> None:
    """Of slides that stand for long, a moment that began behind one had nothing in its file, or only the next."""
    slides = [textured(seed, 160, 120) for seed in range(3)]
    source = write_video(tmp_path / "slides.mp4", slides, times=[0.0, 20.0, 40.0])
    for start, end, count in ((10.0, 15.0, 1), (15.0, 30.0, 2)):
        cut = cut_moment(source, start, end, tmp_path / "cut")
        with av.open(str(cut.path)) as container:
            assert [frame.time for frame in container.decode(video=0)] == [0.0, 5.0][:count]
        assert np.abs(frame_at(cut.path, 0.0, 200).astype(int) - slides[0]).mean() < 12


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_cut_plays_that_begins_where_pictures_lean_on_those_before(tmp_path: Path) -> None:
    """Of open groups of pictures, as broadcasts have them, the first was copied, and a browser gave up behind it."""
    source = write_video(
        tmp_path / "a.mp4",
        [textured(number // 10, 160, 120) for number in range(120)],
        rate=25,
        codec="libx264",
        coder_options={"x264-params": "open-gop=1:keyint=50:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"},
    )
    cut = cut_moment(source, 2.0, 3.0, tmp_path / "cut")
    (tmp_path / "page.html").write_text(f"<video src='{cut.path.as_uri()}'></video>", encoding="utf-8")
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        tab.value("var video = document.querySelector('video'); video.play(), null")
        tab.wait_for("video.ended || video.error !== null", 20)
        assert tab.value("video.error?.message") is None
        assert tab.value("video.getVideoPlaybackQuality().totalVideoFrames") == 25
    assert np.abs(frame_at(cut.path, 0.0, 4000).astype(int) - textured(5, 160, 120)).mean() < 12


def test_damaged_pictures_are_left_out_of_a_cut(tmp_path: Path) -> None:
    source = damaged_video(tmp_path / "hole.avi", pictures=range(4, 6))
    cut = cut_moment(source, 0.2, 0.8, tmp_path / "cut")
    assert len(shown(cut.path)) >= 4


def test_codecs_that_no_container_takes_are_encoded_anew(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.gif", [textured(1, 64, 64)] * 20, codec="gif", pixel_format="rgb8")
    assert len(shown(cut_moment(source, 0.0, 1.0, tmp_path / "cut").path)) == 10


def test_every_moment_gets_a_file_and_what_is_gone_none(clip: Path, tmp_path: Path) -> None:
    moments = tuple(Moment(start, start + 2.0, start, 0.5, ()) for start in (4.0, 9.0))
    hits = (
        Hit(Video("v", title="x", source=str(clip)), 0.5, moments),
        Hit(Video("gone", source=str(tmp_path / "gone.mp4")), 0.4, moments),
    )
    cuts = cut_moments(tmp_path / "cuts", Hits(hits, 2, "exact", {}, None, 1, Timing(0.0, 0.0, 0.0)))
    assert [cut.path.name for cut in cuts] == ["01-01-clip-4.00-6.00.mp4", "01-02-clip-9.00-11.00.mp4"]
    assert sorted(path.name for path in (tmp_path / "cuts").iterdir()) == sorted(cut.path.name for cut in cuts)


def test_a_moment_that_cannot_be_cut_keeps_no_other_from_it(clip: Path, tmp_path: Path) -> None:
    """One damaged source of twenty left the nineteen behind it without their files."""
    (tmp_path / "broken.mp4").write_text("no video")
    moments = (Moment(4.0, 6.0, 4.0, 0.5, ()),)
    sources = (tmp_path / "broken.mp4", clip)
    hits = tuple(Hit(Video(source.stem, source=str(source)), 0.5, moments) for source in sources)
    with pytest.raises(UnreadableVideo, match=r"broken\.mp4"):
        cut_moments(tmp_path / "cuts", Hits(hits, 2, "exact", {}, None, 1, Timing(0.0, 0.0, 0.0)))
    assert [path.name for path in (tmp_path / "cuts").iterdir()] == ["02-01-clip-4.00-6.00.mp4"]


def test_what_a_container_does_not_take_goes_into_matroska(clip: Path, tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which makes the file, is not installed")
    odd = tmp_path / "clip.avi"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(clip), "-c:v", "mpeg4", "-c:a", "mp3", str(odd)], check=True)
    cut = cut_moment(odd, 1.0, 3.0, tmp_path / "cut")
    assert cut.path.suffix == ".mkv"
    assert shown(cut.path)


@pytest.mark.parametrize(("codec", "name"), [("wmav2", "clip.wmv"), ("adpcm_ima_wav", "clip.avi")])
def test_sound_that_no_container_takes_is_encoded_anew(tmp_path: Path, codec: str, name: str) -> None:
    """No moment of a WMV, nor of what cameras of its time wrote, could be cut, for the sound in it."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg, which makes the file, is not installed")
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=6", "-f", "lavfi", "-i", "sine=d=6"]
    source = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c:v", "mpeg4", "-c:a", codec, str(source)], check=True)
    cut = cut_moment(source, 2.4, 4.2, tmp_path / "cut")
    with av.open(str(cut.path)) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio"]
        heard = [frame.time for frame in made.decode(audio=0) if frame.time is not None]
    assert heard[0] < 0.1
    assert heard[-1] == pytest.approx(cut.end - cut.start, abs=0.15)


def test_cutting_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    with pytest.raises(UnreadableVideo):
        cut_moment(text, 0.0, 1.0, tmp_path / "cut")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
