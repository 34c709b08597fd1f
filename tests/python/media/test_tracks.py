"""Of several pictures and sounds, those are indexed and shown that a player plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from pixr.media import open_audio, open_segments
from pixr.media.frame_at import frame_at
from tests.python.media.videos import textured, write_video

RED, BLUE = (200, 20, 20), (20, 20, 200)


def picture(colour: tuple[int, int, int]) -> Any:
    return av.VideoFrame.from_ndarray(np.full((120, 160, 3), colour, np.uint8))


def film(path: Path, dispositions: tuple[Disposition, Disposition]) -> Path:
    """Two seconds: a single red picture and a sound without any swing, then a blue film and a loud tone."""
    with av.open(str(path), "w") as container:
        pictures: list[Any] = [container.add_stream(codec, rate=10) for codec in ("mjpeg", "mpeg4")]
        sounds: list[Any] = [container.add_stream("aac", rate=16000, layout="mono") for _ in range(2)]
        for track, disposition, pixels in zip(pictures, dispositions, ("yuvj420p", "yuv420p"), strict=True):
            track.width, track.height, track.pix_fmt, track.disposition = 160, 120, pixels, disposition
        for track, disposition in zip(sounds, dispositions, strict=True):
            track.disposition = disposition & ~Disposition.attached_pic
        for track, colour, count in zip(pictures, (RED, BLUE), (1, 20), strict=True):
            for _ in range(count):
                container.mux(track.encode(picture(colour)))
            container.mux(track.encode(None))
        for track, swing in zip(sounds, (0, 9000), strict=True):
            samples = (swing * np.sin(np.arange(32000) / 10)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path


def with_cover_first(path: Path) -> Path:
    """The same MP4 with its `udta` box, which holds the cover, before its tracks: as some programs write it."""
    whole = path.read_bytes()
    begin = whole.index(b"moov") + 4
    end = begin - 8 + int.from_bytes(whole[begin - 8 : begin - 4], "big")
    boxes, at = [], begin
    while at < end:
        byte_len = int.from_bytes(whole[at : at + 4], "big")
        boxes.append(whole[at : at + byte_len])
        at += byte_len
    boxes.sort(key=lambda box: box[4:8] != b"udta")
    path.write_bytes(whole[:begin] + b"".join(boxes) + whole[end:])
    return path


def assert_the_film_is_taken(path: Path) -> None:
    with open_segments(path) as stream:
        segments = list(stream)
    assert segments[-1].end_seconds == pytest.approx(2.0, abs=0.11)
    for shown in (segments[0].frames[0].image, frame_at(path, 1.0, 200)):
        assert np.abs(shown.mean(axis=(0, 1)) - BLUE).max() < 12


def test_a_cover_before_the_film_is_not_the_film(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", (Disposition.attached_pic, Disposition(0)))
    with av.open(str(with_cover_first(path))) as container:
        assert container.streams.video[0].disposition & Disposition.attached_pic
    assert_the_film_is_taken(path)


def test_the_tracks_that_are_marked_as_default_are_taken(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", (Disposition(0), Disposition.default))
    assert_the_film_is_taken(path)
    assert max(int(chunk.samples.max()) for chunk in open_audio(path)) > 8000


def test_a_stream_that_appears_late_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """A damaged byte in a broadcast, or one that goes on with other tracks, made an `IndexError` of the whole video."""
    first, second = (
        write_video(
            tmp_path / f"{number}.ts",
            [textured(number, 160, 120)] * 40,
            codec="mpeg2video",
            rate=25,
            sound=lambda t: 0.3 * np.sin(2000 * t),
            sound_seconds=1.6,
            options={"mpegts_start_pid": str(0x100 + 16 * number)},
        )
        for number in range(2)
    )
    path = tmp_path / "both.ts"
    much = first.read_bytes() * (6_000_000 // first.stat().st_size)  # more than is looked at when it is opened
    path.write_bytes(much + second.read_bytes() + much)
    with av.open(str(path)) as container:
        assert len(container.streams) == 2, "the others are not known yet"
    with open_segments(path) as stream:
        assert list(stream)
    assert stream.decoded_until_seconds == pytest.approx(1.6, abs=0.1)
    assert list(open_audio(path))[-1].end_seconds == pytest.approx(1.6, abs=0.15)


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "mpeg2video"), (".ogv", "libvpx")])
def test_what_follows_a_long_hole_is_read(tmp_path: Path, suffix: str, codec: str) -> None:
    """Of a download with a stretch of zeros all that followed was left out, pictures and sound, without a word."""
    path = write_video(
        tmp_path / f"hole{suffix}",
        [textured(number // 25, 160, 120) for number in range(100)],
        codec=codec,
        rate=25,
        sound=(lambda t: 0.3 * np.sin(2000 * t)) if suffix == ".ts" else None,
        sound_seconds=4.0,
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(1 << 20) + whole[len(whole) // 2 :])
    with open_segments(path) as stream:
        segments = list(stream)
    assert segments[-1].end_seconds == pytest.approx(4.0, abs=0.1)
    assert len(segments) >= 3
    if suffix == ".ts":
        assert list(open_audio(path))[-1].end_seconds == pytest.approx(4.0, abs=0.15)


@pytest.mark.parametrize("stream_id", [0xE0, 0xC0])
def test_what_follows_a_damaged_time_stamp_is_read(tmp_path: Path, stream_id: int) -> None:
    """One that was half a minute too late, of a picture or of sound, left out all that followed for half a minute."""
    path = write_video(
        tmp_path / "film.ts",
        [textured(number // 25, 160, 120) for number in range(150)],
        codec="mpeg2video",
        rate=25,
        sound=lambda t: 0.3 * np.sin(2000 * t),
        sound_seconds=6.0,
    )
    path.write_bytes(with_one_stamp_later(path.read_bytes(), stream_id, 30.0))
    with open_segments(path) as stream:
        cuts = [segment.start_seconds for segment in stream]
    assert np.diff(cuts) == pytest.approx([1.0] * 5, abs=0.05)
    heard = list(open_audio(path))
    assert heard[-1].end_seconds == pytest.approx(6.0, abs=0.15)
    assert sum(len(chunk.samples) for chunk in heard) / 16000 == pytest.approx(6.0, abs=0.7)


def with_one_stamp_later(ts: bytes, stream_id: int, seconds: float) -> bytes:
    """An MPEG transport stream, in which the packet in the middle of a stream claims to be presented later."""
    begins = [at for at in range(len(ts)) if ts.startswith(bytes((0, 0, 1, stream_id)), at)]
    at = begins[len(begins) // 2]
    changed = bytearray(ts)
    for field in range(at + 9, at + 9 + 5 * (ts[at + 7] >> 6).bit_count(), 5):  # PTS, and DTS if it is there
        read = int.from_bytes(ts[field : field + 5], "big")
        ticks = (read >> 33 & 7) << 30 | (read >> 17 & 0x7FFF) << 15 | (read >> 1 & 0x7FFF)
        ticks += round(seconds * 90_000)
        marks = read & 0xF1_00_01_00_01
        stamp = marks | ticks >> 30 << 33 | (ticks >> 15 & 0x7FFF) << 17 | (ticks & 0x7FFF) << 1
        changed[field : field + 5] = stamp.to_bytes(5, "big")
    return bytes(changed)


def test_a_cover_is_shown_where_there_is_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover: Any = container.add_stream("mjpeg", rate=10)
        cover.width, cover.height, cover.pix_fmt = 160, 120, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(picture(RED)))
        container.mux(cover.encode(None))
    assert np.abs(frame_at(path, 0.0, 200).mean(axis=(0, 1)) - RED).max() < 12


def test_tags_that_are_not_utf_8_are_nothing_to_a_reader(tmp_path: Path) -> None:
    """PyAV refuses such a file unless it is told not to; 19 has no option for it, and every file was refused."""
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "CAFETERIA"
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 160, 120, "yuv420p"
        for _ in range(10):
            container.mux(track.encode(picture(BLUE)))
        container.mux(track.encode(None))
    written = path.read_bytes()
    assert written.count(b"CAFETERIA") == 1
    path.write_bytes(written.replace(b"CAFETERIA", b"CAF\xc9T\xc9RIA"))
    with open_segments(path) as stream:
        assert len(list(stream)) == 1
    assert frame_at(path, 0.5, 160).shape == (120, 160, 3)
