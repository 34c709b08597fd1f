"""Windows are cut, halved and left out as the sound and the time stamps say; a stand-in speaks for the model."""

from __future__ import annotations

import numpy as np
import pytest

from pixr.errors import SpeechUnavailable
from pixr.media.mel import log_mel
from pixr.media.speech_windows import WindowReader, _compression, _Piece, _split

STAMP = 50_000


def piece(seconds: float, quiet: list[tuple[float, float]]) -> _Piece:
    return _Piece(np.zeros((80, int(seconds * 100)), np.float32), quiet, "en")


def test_one_stamp_at_the_end_says_that_the_window_is_done() -> None:
    segments, until, done = _split([STAMP, 7, 8, STAMP + 100], STAMP, 500, 2000)
    assert [(one["start"], one["end"], one["tokens"]) for one in segments] == [(5.0, 7.0, [STAMP, 7, 8, STAMP + 100])]
    assert (until, done) == (2500, True)


def test_an_unfinished_sentence_is_left_to_the_next_window() -> None:
    tokens = [STAMP, 7, STAMP + 100, STAMP + 110, 8, STAMP + 200, STAMP + 210, 9]
    segments, until, done = _split(tokens, STAMP, 0, 3000)
    assert [(one["start"], one["end"]) for one in segments] == [(0.0, 2.0), (2.2, 4.0)]
    assert (until, done) == (400, False)


def test_words_without_stamps_fill_the_window() -> None:
    segments, until, done = _split([7, 8, 9], STAMP, 100, 900)
    assert [(one["start"], one["end"]) for one in segments] == [(1.0, 10.0)]
    assert (until, done) == (1000, False)


def test_a_rest_in_which_nothing_is_heard_is_not_read() -> None:
    state = piece(20.0, [(12.0, 20.0)])
    state.seek = 1190
    state.skip_quiet_rest()
    assert state.seek == state.frame_count


def test_a_rest_in_which_something_is_heard_is_read() -> None:
    state = piece(20.0, [(12.0, 15.0)])
    state.seek = 1190
    state.skip_quiet_rest()
    assert (state.seek, state.window_frames) == (1190, 810)


def test_a_window_of_repetitions_is_halved_at_its_longest_pause_until_it_is_short() -> None:
    state = piece(24.0, [(1.0, 3.0), (9.0, 9.4), (14.0, 15.0)])
    assert state.halve()
    assert state.stop == 1450
    assert state.halve()
    assert state.stop == 920
    assert state.halve()
    assert state.stop == 460
    assert not state.halve(), "what is short is given up, or reading would never end"
    state.seek = 450
    state.skip_quiet_rest()
    assert state.window_frames == 1950, "the rest is read as before, with the crumb that was left of the half"


def test_repetitions_compress_better_than_sentences() -> None:
    assert _compression("and so on " * 30) > 2.4
    assert _compression("The children are playing football in the park. A red train is waiting at the station.") < 2.4
    assert _compression("") <= 1.0


def test_the_spectrogram_is_that_of_faster_whisper() -> None:
    extractor = pytest.importorskip("faster_whisper.feature_extractor").FeatureExtractor()
    for seconds in (0.5, 3.0, 7.013):
        samples = np.random.default_rng(1).normal(0.0, 0.1, int(seconds * 16000)).astype(np.float32)
        ours, theirs = log_mel(samples, extractor.mel_filters), extractor(samples)
        assert ours.shape[1] == theirs.shape[1] - 1
        np.testing.assert_allclose(ours, theirs[:, :-1], atol=1e-4)


def test_pieces_read_together_say_what_they_say_alone() -> None:
    faster_whisper = pytest.importorskip("faster_whisper")
    from pixr.media.speech_model import find_speech_model

    try:
        path = find_speech_model()
    except SpeechUnavailable as error:
        pytest.skip(f"no speech weights on this machine: {error}")
    model = faster_whisper.WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1)
    reader = WindowReader(model, beam_size=5, language="en")
    tones = [np.sin(np.arange(16000 * (2 + at)) * 0.05 * (at + 1)).astype(np.float32) * 0.3 for at in range(2)]
    silence = np.zeros(16000, np.float32)
    together = reader.read([*tones, silence])
    assert [[w.text for w in words] for words in together] == [
        [w.text for w in reader.read([samples])[0]] for samples in (*tones, silence)
    ]
    assert together[2] == []
