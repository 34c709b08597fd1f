"""A library indexed with published models is asked with the same, without being told."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pixr
from pixr.encoders import EncoderOptions
from pixr.errors import ModelError, SpaceMismatch
from tests.python.clips import make_clip
from tests.python.encoders.parity_inputs import sound

pytest.importorskip("av")

OPTIONS = EncoderOptions(threads=1, batch_size=4)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots of six seconds with a sound of twelve: its rate is not the one that CLAP hears."""
    folder = tmp_path_factory.mktemp("clip")
    silent = make_clip(folder / "silent.mp4", ["one", "two"], seconds=6.0)
    rate = 22_050
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((sound(12.0, rate) * 32767).astype("<i2").tobytes())
    heard = folder / "heard.mkv"
    inputs = ["-i", str(silent), "-i", str(folder / "sound.wav")]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c", "copy", str(heard)], check=True)
    return heard


@pytest.fixture(scope="module")
def library(recorded: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "l.pixr"
    names = [recorded / name for name in ("clip", "sentence-multilingual", "clap-unfused")]
    with pixr.open(path, encoder=names, encoder_options=OPTIONS) as opened:
        opened.add(clip, title="Two words", speech=False, screen=False)
    return path


def test_every_channel_holds_the_space_of_its_model(library: Path) -> None:
    with pixr.open(library, read_only=True) as opened:
        spaces = opened.info()["spaces"]
    assert {channel: space["dimension"] for channel, space in spaces.items()} == {
        "frame": 12, "metadata": 12, "speech": 12, "sound": 12,
    }  # fmt: skip
    assert len({space["version"] for space in spaces.values()}) == 3


def test_sound_is_indexed_in_windows_of_five_seconds(library: Path) -> None:
    with pixr.open(library, read_only=True) as opened:
        (video,) = opened.videos()
        heard = [row for row in opened.segments(video.id) if "sound" in row.channels]
    assert [(round(row.start), round(row.end)) for row in heard] == [(0, 5), (5, 10), (10, 12)]


def test_words_are_asked_of_every_channel_without_naming_the_models_again(library: Path) -> None:
    with pixr.open(library, read_only=True, encoder_options=OPTIONS) as opened:
        hits = opened.search("a dog on the beach", min_score=0.0)
        assert hits.warnings == ()
        assert len(hits) == 1
        # A channel that can't be asked would be an error here; weights drawn by lot may find nothing on it.
        assert opened.search("a dog", channels=["sound"], min_score=0.0).warnings == ()


def test_an_imported_library_is_asked_with_the_same_models(library: Path, tmp_path: Path) -> None:
    """A Parquet file didn't say which: pictures could not be asked of, nor videos be added."""
    with pixr.open(library, read_only=True, encoder_options=OPTIONS) as opened:
        opened.export(tmp_path / "l.parquet")
        asked = opened.search("a dog on the beach", modes=["visual"], min_score=0.0)
    with pixr.open(tmp_path / "new.pixr", encoder_options=OPTIONS) as imported:
        imported.load(tmp_path / "l.parquet")
        again = imported.search("a dog on the beach", modes=["visual"], min_score=0.0)
    assert again.warnings == ()
    assert [(hit.video.id, hit.score) for hit in again] == [(hit.video.id, hit.score) for hit in asked]
    assert len(again) == 1


def test_another_model_is_refused_and_both_are_named(library: Path, recorded: Path, clip: Path, tmp_path: Path) -> None:
    other = make_clip(tmp_path / "other.mp4", ["three"])
    with pixr.open(library, encoder=recorded / "siglip", encoder_options=OPTIONS) as opened:
        with pytest.raises(SpaceMismatch) as caught:
            opened.add(other, speech=False, screen=False)
        assert "siglip" in str(caught.value)
        assert len(list(opened.videos())) == 1
    with pixr.open(library, read_only=True, encoder_options=OPTIONS) as opened:  # what is on record is unchanged
        assert opened.search("a dog", min_score=0.0).warnings == ()


def test_a_model_that_is_gone_is_said_so(library: Path, tmp_path: Path) -> None:
    import shutil

    copied = Path(shutil.copytree(library, tmp_path / "copy.pixr"))
    (copied / "encoders.json").write_text('{"encoders": ["/nowhere/clip"], "precision": "auto"}')
    with pixr.open(copied, read_only=True) as opened, pytest.raises(ModelError, match="/nowhere/clip"):
        opened.search("a dog")


def test_the_same_sound_at_two_rates_is_nearly_the_same_to_the_model(recorded: Path) -> None:
    import av

    from pixr.encoders import SoundEncoder
    from pixr.encoders.published import load_folder

    encoder = load_folder(recorded / "clap-unfused", OPTIONS)
    assert isinstance(encoder, SoundEncoder)

    def tone(rate_hz: int) -> NDArray[np.float32]:
        at = np.arange(8 * rate_hz) / rate_hz
        rising: NDArray[np.float32] = (0.3 * np.sin(2 * np.pi * (220 * at + 60 * at**2))).astype(np.float32)
        return rising

    samples = (tone(44_100) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = 44_100
    resampler = av.AudioResampler("s16", "mono", encoder.sample_rate_hz)
    parts = [part.to_ndarray().reshape(-1) for part in (*resampler.resample(frame), *resampler.resample(None))]
    resampled = np.concatenate(parts).astype(np.float32) / np.float32(32768)
    one, other = encoder.encode_sounds([tone(encoder.sample_rate_hz), resampled])
    assert float(one @ other) > 0.98
