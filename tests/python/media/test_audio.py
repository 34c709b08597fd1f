"""All of the sound is heard, whatever form it has."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pixr.media import open_audio


def tone(path: Path, *, rate: int, layout: str, hertz: float, seconds: float) -> bytes:
    """The bytes of a bare AC-3 stream, with the same tone on every channel."""
    with av.open(str(path), "w", format="ac3") as container:
        stream = container.add_stream("ac3", rate=rate, layout=layout)
        wave = (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.tile(wave, (stream.layout.nb_channels, 1)), format="fltp", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize(("layout", "rate"), [("5.1", 48000), ("mono", 48000), ("stereo", 32000)])
def test_sound_that_changes_its_form_is_heard_to_the_end(tmp_path: Path, layout: str, rate: int) -> None:
    """Broadcasts go from stereo to 5.1 and back: all behind the first change was left out without a word."""
    first = tone(tmp_path / "1", rate=48000, layout="stereo", hertz=440, seconds=3)
    second = tone(tmp_path / "2", rate=rate, layout=layout, hertz=880, seconds=3)
    path = tmp_path / "both.ac3"
    path.write_bytes(first + second)
    chunks = list(open_audio(path))
    heard = np.concatenate([chunk.samples for chunk in chunks])
    assert chunks[-1].end_seconds == pytest.approx(6.0, abs=0.1)
    for at, hertz in ((1.5, 440), (4.5, 880)):
        second_of_it = heard[int((at - 0.5) * 16000) : int((at + 0.5) * 16000)]
        assert np.abs(np.fft.rfft(second_of_it)).argmax() == pytest.approx(hertz, abs=2)


def test_channels_in_an_order_of_their_own_are_heard(tmp_path: Path) -> None:
    """QuickTime tells 7.1 in another order than the usual one: the decoder crashed on it, and nothing was heard."""
    path = tmp_path / "a.mov"
    wave = (0.3 * 32767 * np.sin(2 * np.pi * 440 * np.arange(3 * 48000) / 48000)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 8)[None], format="s16", layout="7.1")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    told = bytearray(path.read_bytes())
    at = told.index(b"chan") + 8
    told[at : at + 4] = (128 << 16 | 8).to_bytes(4, "big")  # MPEG 7.1 C: the sides stand before the back
    path.write_bytes(told)
    heard = np.concatenate([chunk.samples for chunk in open_audio(path)])
    assert len(heard) / 16000 == pytest.approx(3.0, abs=0.01)
    assert np.abs(np.fft.rfft(heard[16000:32000])).argmax() == 440


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("aac", "mp4"), ("libmp3lame", "mp3"), ("pcm_s16le", "wav"), ("flac", "mkv"), ("pcm_f32le", "mkv")],
)
def test_channels_of_opposite_phase_are_heard(tmp_path: Path, codec: str, suffix: str) -> None:
    """A cable that is wired wrongly turns one channel round: the mix of both was silence, and no word was heard."""
    path = tmp_path / f"a.{suffix}"
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * 48000) / 48000)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="stereo")
        for start in range(0, len(wave), 1152):
            piece = wave[start : start + 1152]
            frame = av.AudioFrame.from_ndarray(np.stack((piece, -0.95 * piece)), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = np.concatenate([chunk.samples for chunk in open_audio(path)])
    middle = heard[16000:32000] / 32768
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert np.abs(np.fft.rfft(middle)).argmax() == 440
