"""Speech is recognised where the weights are; where they are not, the reason is said."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pixr.encoders.cache import cache_folder
from pixr.errors import SpeechUnavailable
from pixr.media import SpeechRecogniser, align_to_shots, open_audio
from pixr.media.speech_model import find_speech_model, verify_speech_model
from tests.python.media.videos import textured, write_video

SENTENCES = ["The children are playing football in the park.", "A red train is waiting at the station."]


@pytest.fixture(scope="module")
def recogniser() -> SpeechRecogniser:
    try:
        return SpeechRecogniser()
    except SpeechUnavailable as error:
        pytest.skip(f"no speech weights on this machine: {error}")


@pytest.fixture
def narrated(tmp_path: Path) -> Path:
    """Eight seconds of picture, one sentence from 0 s and one from 4 s."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng, which speaks the sentences, is not installed")
    import soundfile

    track = np.zeros(8 * 16000)
    for index, sentence in enumerate(SENTENCES):
        wave = tmp_path / f"{index}.wav"
        subprocess.run(["espeak-ng", "-s", "150", "-w", str(wave), sentence], check=True)
        samples, rate = soundfile.read(wave)
        heard = np.interp(np.arange(int(len(samples) * 16000 / rate)) * rate / 16000, np.arange(len(samples)), samples)
        track[index * 64000 : index * 64000 + min(len(heard), 64000)] = heard[:64000]
    return write_video(
        tmp_path / "n.mp4", [textured(1, 160, 120)] * 80, sound=lambda t: track[: len(t)], sound_seconds=8.0
    )


def test_each_sentence_is_heard_in_its_own_shot(recogniser: SpeechRecogniser, narrated: Path) -> None:
    said = align_to_shots(recogniser.transcribe(open_audio(narrated), lambda _: [4.0]), [(0.0, 4.0), (4.0, 8.0)])
    assert [(one.start_seconds, one.end_seconds) for one in said] == [(0.0, 4.0), (4.0, 8.0)]
    for heard, sentence in zip(said, SENTENCES, strict=True):
        expected = set(sentence.lower().strip(".").split())
        got = set(heard.text.lower().strip(".").split())
        assert len(expected & got) >= 0.6 * len(expected), heard.text


def test_the_same_sound_gives_the_same_words(recogniser: SpeechRecogniser, narrated: Path) -> None:
    assert list(recogniser.transcribe(open_audio(narrated))) == list(recogniser.transcribe(open_audio(narrated)))


def test_silence_says_nothing(recogniser: SpeechRecogniser, tmp_path: Path) -> None:
    path = write_video(tmp_path / "s.mp4", [textured(1, 160, 120)] * 20, sound=np.zeros_like, sound_seconds=2.0)
    assert list(recogniser.transcribe(open_audio(path))) == []


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpeechUnavailable, match=r"model\.bin is missing") as caught:
        SpeechRecogniser(tmp_path)
    assert caught.value.code == "speech_unavailable"


def test_a_damaged_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"nothing")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SpeechUnavailable, match="can't be loaded"):
        SpeechRecogniser(tmp_path)


def test_without_a_network_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(SpeechUnavailable, match="can't be downloaded"):
        find_speech_model()
    with pytest.raises(SpeechUnavailable, match="pixr models pull"):
        find_speech_model(download=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_changed_file_is_not_the_pinned_model(tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_text("{}")
    wrong = verify_speech_model(tmp_path)
    assert wrong is not None
    assert "expected 14b1b421" in wrong


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("PIXR_CACHE_DIR", raising=False)
    assert cache_folder() == Path("/somewhere/pixr")
    monkeypatch.setenv("PIXR_CACHE_DIR", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
